/** Calls `joined` and `left` of one plugin: for each client one after the other, whatever they await. */
import { withTrail } from "../channel/trail.ts";
import { LATE, within, type Clock } from "./clock.ts";
import { HOOK_MS, type BoundHooks } from "./hooks.ts";
import type { Reports } from "./reports.ts";
import type { Client } from "./sdk.ts";
import { isThenable } from "./thenable.ts";

interface Call {
  readonly hook: "joined" | "left";
  readonly client: Client;
}

/** The calls of one client: one under way, and those that wait for it. */
interface Turns {
  readonly waiting: Call[];
  done: Promise<void> | null;
}

export class Presence {
  readonly #hooks: BoundHooks;
  readonly #reports: Reports;
  readonly #clock: Clock;
  /** Clients of which a call is under way, by id. */
  readonly #busy = new Map<string, Turns>();
  #stopped = false;

  constructor(hooks: BoundHooks, reports: Reports, clock: Clock) {
    this.#hooks = hooks;
    this.#reports = reports;
    this.#clock = clock;
  }

  /** Calls that wait for an earlier one of their client. */
  get waiting(): number {
    return this.#busy.values().reduce((sum, { waiting }) => sum + waiting.length, 0);
  }

  /** Never throws: a plugin that does hurts neither the client nor the other plugins. */
  notify(hook: "joined" | "left", client: Client): void {
    if (this.#stopped) return;
    const busy = this.#busy.get(client.id);
    // A client that left while `joined` still ran must not be told of in the wrong order.
    if (busy) return enqueue(busy.waiting, { hook, client });
    if (!this.#hooks[hook]) return;
    const turns: Turns = { waiting: [], done: null };
    this.#busy.set(client.id, turns);
    const work = this.#next(turns.waiting, { hook, client });
    if (work) turns.done = this.#drain(client.id, turns.waiting, work);
    else this.#busy.delete(client.id);
  }

  /** Resolves when no call is under way or waits. */
  async idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy.values().map(({ done }) => done));
  }

  /** From here on no call begins, not even one that waits. */
  stop(): void {
    this.#stopped = true;
    for (const { waiting } of this.#busy.values()) waiting.length = 0;
  }

  async #drain(id: string, waiting: Call[], first: Promise<void>): Promise<void> {
    for (let work: Promise<void> | null = first; work; work = this.#next(waiting)) await work;
    this.#busy.delete(id);
  }

  /** Calls one after the other until one takes its time; null when none does. */
  #next(waiting: Call[], first = waiting.shift()): Promise<void> | null {
    for (let call: Call | undefined = first; call; call = waiting.shift()) {
      const work = this.#call(call);
      if (work) return work;
    }
    return null;
  }

  #call({ hook, client }: Call): Promise<void> | null {
    try {
      // Who falls behind is cut off while a message goes out: what comes of it is not about the message.
      const result = withTrail(null, () => this.#hooks[hook]?.(client));
      return isThenable(result) ? this.#limited(hook, result) : null;
    } catch (error) {
      this.#reports.failed(hook, error, 0);
      return null;
    }
  }

  async #limited(hook: "joined" | "left", work: PromiseLike<unknown>): Promise<void> {
    try {
      const ended = await within(Promise.resolve(work), HOOK_MS, this.#clock);
      if (ended === LATE) throw this.#reports.timeout(hook, HOOK_MS);
    } catch (error) {
      this.#reports.failed(hook, error, 0);
    }
  }
}

/**
 * At most two calls wait, however often a client comes and goes. `left` and the `joined` of a later visit
 * both stay: each visit has a `Client` of its own, and the earlier one no longer reaches anybody.
 */
function enqueue(waiting: Call[], call: Call): void {
  // Nobody was told of this visit, and it is over.
  if (call.hook === "left" && waiting.at(-1)?.hook === "joined") waiting.pop();
  else waiting.push(call);
}
