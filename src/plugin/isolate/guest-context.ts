/** The setup context of a plugin in a worker: each of its parts asks the server's thread. */
import { currentTrail } from "../../channel/trail.ts";
import { createChannelContext } from "../channel-context.ts";
import { HookResultError } from "../errors.ts";
import type { Emitted, Logger, SetupContext, Store } from "../sdk.ts";
import { isThenable } from "../thenable.ts";
import { MAX_EMITTED, type Ask, type Start, type ToHost } from "./wire.ts";
import { toWireError, type WireError } from "./wire-error.ts";

export interface GuestContextOptions {
  readonly start: Start;
  readonly post: (message: ToHost) => void;
  readonly ask: (ask: Ask) => Promise<unknown>;
  readonly signal: AbortSignal;
}

/** Functions and drafts that the plugin emitted and the server has not taken yet. */
export class Emissions {
  readonly #post: (message: ToHost) => void;
  readonly #functions = new Map<number, () => Emitted | null>();
  #lastFunction = 0;
  #waiting = 0;
  isClosed = false;

  constructor(post: (message: ToHost) => void) {
    this.#post = post;
  }

  readonly emit = (drafts: Emitted | (() => Emitted | null)): boolean => {
    if (this.isClosed || this.#waiting >= MAX_EMITTED) return false;
    const trail = currentTrail();
    if (typeof drafts === "function") {
      const produce = ++this.#lastFunction;
      this.#functions.set(produce, drafts);
      this.#post({ say: "emit", trail, emitted: { produce } });
    } else {
      this.#post({ say: "emit", trail, emitted: { drafts } });
    }
    this.#waiting++;
    return true;
  };

  /** The server has taken one. */
  taken(): void {
    this.#waiting--;
  }

  /** Calls a function that was emitted: its turn has come. */
  produce(number: number): Emitted | null {
    const produce = this.#functions.get(number);
    this.#functions.delete(number);
    const produced = produce ? produce() : null;
    if (!isThenable(produced)) return produced;
    // The channel waits for what it gives.
    throw new HookResultError(
      "emit was given a promise",
      "the function gives a draft, several, or null at once",
    );
  }
}

export function createGuestContext(
  { start, post, ask, signal }: GuestContextOptions,
  emissions: Emissions,
): SetupContext<never> {
  const { channel, directory, options } = start;
  const publishTo = (name: string) => ({
    publish: (drafts: Emitted) =>
      ask({ what: "publish", channel: name, drafts }) as Promise<readonly string[]>,
  });
  return {
    options: options as never,
    channel: createChannelContext(channel.name, channel.params, publishTo),
    directory,
    log: createGuestLog(post),
    store: createGuestStore(ask),
    signal,
    emit: emissions.emit,
  };
}

function createGuestStore(ask: (ask: Ask) => Promise<unknown>): Store {
  const call =
    (method: "get" | "set" | "delete" | "entries") =>
    (...args: unknown[]) =>
      ask({ what: "store", method, args });
  return {
    get: call("get"),
    set: call("set"),
    delete: call("delete"),
    entries: call("entries"),
  } as Store;
}

function createGuestLog(post: (message: ToHost) => void): Logger {
  const line =
    (level: "debug" | "info" | "warn" | "error") =>
    (message: string, fields?: Record<string, unknown>) => {
      const errors: Record<string, WireError> = {};
      const others: Record<string, unknown> = {};
      for (const [name, value] of Object.entries(fields ?? {})) {
        if (value instanceof Error) errors[name] = toWireError(value);
        else others[name] = value;
      }
      const entry = { say: "log" as const, level, message: String(message), errors };
      try {
        post({ ...entry, fields: others });
      } catch {
        // A field that can't leave the worker: its text does. Logging never throws.
        post({ ...entry, fields: Object.fromEntries(Object.entries(others).map(toText)) });
      }
    };
  return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
}

function toText([name, value]: [string, unknown]): [string, string] {
  return [name, Bun.inspect(value, { depth: 2 })];
}
