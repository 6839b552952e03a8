/** What the workers of one use of a plugin say by themselves, and what they ask of the server's thread. */
import { withTrail } from "../../channel/trail.ts";
import type { Clock } from "../clock.ts";
import type { SetupContext } from "../sdk.ts";
import { Emitter } from "./emitter.ts";
import type { HostClients } from "./host-clients.ts";
import type { Life } from "./life.ts";
import type { Ask, ToHost } from "./wire.ts";
import { fromWireError, toWireError, type WireError } from "./wire-error.ts";

export interface WorkerMessagesOptions {
  /** A name that ships, or the absolute path of a file. */
  readonly use: string;
  readonly plugin: string;
  readonly context: SetupContext<unknown>;
  readonly clock: Clock;
}

export class WorkerMessages {
  readonly #options: WorkerMessagesOptions;
  readonly #emitter: Emitter;

  constructor(options: WorkerMessagesOptions) {
    this.#options = options;
    this.#emitter = new Emitter(options.context, options.clock);
  }

  /** What was emitted and found no room yet is lost, and nothing is emitted any more. */
  close(): void {
    this.#emitter.close();
  }

  /** @throws {TypeError} When it is no message of a `Guest`. */
  take(message: Exclude<ToHost, string>, life: Life, clients: HostClients): void {
    const { context } = this.#options;
    switch (message.say) {
      case "changed":
        context.log.warn(
          "plugin's file is not what the server has loaded; its worker starts with it as it is now, and a reload brings it everywhere",
          { file: this.#options.use },
        );
        break;
      case "log": {
        const where = { plugin: this.#options.plugin, hook: "log", channel: context.channel.name };
        const errors = Object.entries(message.errors).map(([name, error]) => [
          name,
          fromWireError(error, where),
        ]);
        const fields = { ...message.fields, ...Object.fromEntries(errors) };
        context.log[message.level](message.message, fields);
        break;
      }
      case "send":
      case "hang up":
        try {
          clients.reach(message);
        } catch (error) {
          context.log.error("plugin failed to reach a client", { error });
        }
        break;
      case "emit":
        this.#emitter.take(message, life);
        break;
      case "ask":
        void this.#answer(message, life);
    }
  }

  async #answer({ id, trail, ask }: Extract<ToHost, { say: "ask" }>, life: Life): Promise<void> {
    const failed = (error: unknown): { say: "failure"; id: number; error: WireError } => ({
      say: "failure",
      id,
      error: toWireError(error),
    });
    try {
      const value = await withTrail(trail, () => this.#perform(ask));
      life.post({ say: "answer", id, value });
    } catch (error) {
      life.post(failed(error));
    }
  }

  async #perform(ask: Ask): Promise<unknown> {
    const { channel, store } = this.#options.context;
    if (ask.what === "publish") return channel(ask.channel).publish(ask.drafts);
    const method = store[ask.method] as (...args: readonly unknown[]) => Promise<unknown>;
    return method(...ask.args);
  }
}
