/** Calls `joined` and `left` of one plugin: for each client one after the other, whatever they await. */
import type { BoundHooks } from "./hooks.ts";
import type { Reports } from "./reports.ts";
import type { Client } from "./sdk.ts";
import { isThenable } from "./thenable.ts";

export class Presence {
  readonly #hooks: BoundHooks;
  readonly #reports: Reports;
  /** Calls under way, by client id. */
  readonly #busy = new Map<string, Promise<void>>();

  constructor(hooks: BoundHooks, reports: Reports) {
    this.#hooks = hooks;
    this.#reports = reports;
  }

  /** Never throws: a plugin that does hurts neither the client nor the other plugins. */
  notify(hook: "joined" | "left", client: Client): void {
    const call = this.#hooks[hook];
    if (!call) return;
    const before = this.#busy.get(client.id);
    let result: unknown;
    try {
      // A client that left while `joined` still ran must not be told of in the wrong order.
      result = before ? before.then(() => call(client)) : call(client);
    } catch (error) {
      return this.#reports.failed(hook, error, 0);
    }
    if (!isThenable(result)) return;
    const done = Promise.resolve(result)
      .then(
        () => {},
        (error: unknown) => this.#reports.failed(hook, error, 0),
      )
      .finally(() => {
        if (this.#busy.get(client.id) === done) this.#busy.delete(client.id);
      });
    this.#busy.set(client.id, done);
  }

  /** Resolves when no call is under way. */
  async idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy.values());
  }
}
