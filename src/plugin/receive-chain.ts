/** Takes what a client sent through the `receive` hooks: plugin by plugin, frame by frame. */
import { ChannelError } from "../channel/errors.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Draft } from "../channel/message.ts";
import { LATE, within, type Clock } from "./clock.ts";
import { noDraft, toDraft } from "./draft.ts";
import { HookResultError } from "./errors.ts";
import { HOOK_MS } from "./hooks.ts";
import { RefusedError } from "./refused-error.ts";
import type { Reports } from "./reports.ts";
import type { Client } from "./sdk.ts";
import { isThenable } from "./thenable.ts";

/** The `receive` hook of one plugin. */
export interface Receiver {
  readonly receive: (data: unknown, client: Client, raw: string | Uint8Array) => unknown;
  readonly reports: Reports;
}

/** What a client sent. */
interface Frame {
  readonly data: unknown;
  readonly client: Client;
  readonly raw: string | Uint8Array;
}

/** Frames of one client that may wait for its earlier ones. */
const MAX_WAITING = 1000;

export class ReceiveChain {
  readonly #receivers: readonly Receiver[];
  readonly #channel: string;
  readonly #clock: Clock;
  /** Clients whose frames are on their way, by id. */
  readonly #busy = new Map<string, { tail: Promise<void>; count: number }>();

  constructor(receivers: readonly Receiver[], channel: string, clock: Clock) {
    this.#receivers = receivers;
    this.#channel = channel;
    this.#clock = clock;
  }

  /**
   * Gives the draft to publish, or null when a plugin swallowed it. Frames of one client come out in the
   * order in which they went in.
   *
   * @param text What JSON data was parsed from, where it is known.
   * @throws {PluginError} When a plugin failed; rejects with it where a hook was asynchronous, and with
   *   `timeout` where it did not settle within 10 s. What it gives later is not taken.
   * @throws {RefusedError} When a plugin refused it.
   * @throws {ChannelError} With `overloaded` when too many frames of this client wait.
   */
  receive(data: unknown, client: Client, text?: string): MaybePromise<Draft | null> {
    const frame = { data, client, raw: text ?? rawOf(data) };
    const busy = this.#busy.get(client.id);
    if (!busy) {
      const result = this.#pass(frame, 0, null);
      return result instanceof Promise ? this.#hold(client.id, result) : result;
    }
    if (busy.count >= MAX_WAITING) {
      throw new ChannelError(
        "overloaded",
        `${MAX_WAITING} messages of this client wait for the plugins of channel "${this.#channel}"; send slower`,
      );
    }
    return this.#hold(
      client.id,
      busy.tail.then(() => this.#pass(frame, 0, null)),
    );
  }

  #hold(id: string, result: Promise<Draft | null>): Promise<Draft | null> {
    const busy = this.#busy.get(id) ?? { tail: Promise.resolve(), count: 0 };
    this.#busy.set(id, busy);
    busy.count++;
    const settled = () => {
      if (--busy.count === 0) this.#busy.delete(id);
    };
    busy.tail = result.then(settled, settled);
    return result;
  }

  #pass(frame: Frame, index: number, before: Draft | null): MaybePromise<Draft | null> {
    let draft = before;
    for (let i = index; i < this.#receivers.length; i++) {
      const result = this.#call(
        this.#receivers[i]!,
        draft ? { ...frame, data: draft.data } : frame,
      );
      if (result instanceof Promise) {
        const earlier = draft;
        return result.then((late) =>
          late ? this.#pass(frame, i + 1, { ...earlier, ...late }) : null,
        );
      }
      if (!result) return null;
      draft = { ...draft, ...result };
    }
    return draft;
  }

  #call({ receive, reports }: Receiver, { data, client, raw }: Frame): MaybePromise<Draft | null> {
    const failed = (error: unknown): never => {
      // What the author meant to happen is neither counted nor logged as a failure.
      if (error instanceof RefusedError) throw error;
      const located = reports.error("receive", error);
      reports.failed("receive", located, 1);
      throw located;
    };
    try {
      const result = receive(data, client, raw);
      return isThenable(result) ? this.#wait(result, reports).catch(failed) : check(result);
    } catch (error) {
      return failed(error);
    }
  }

  /** A hook that never settles would hold up its client for ever. */
  async #wait(result: PromiseLike<unknown>, reports: Reports): Promise<Draft | null> {
    const settled = await within(Promise.resolve(result), HOOK_MS, this.#clock);
    if (settled === LATE) throw reports.timeout("receive", HOOK_MS);
    return check(settled);
  }
}

/** Leaves out fields that are not set: those of an earlier plugin's draft stay. */
function check(result: unknown): Draft | null {
  if (result === undefined || result === null) return null;
  const draft = toDraft(result);
  if (!draft) {
    throw new HookResultError(
      `receive returned ${noDraft(result)}`,
      `return a draft, which is an object with "data", or null to swallow it`,
    );
  }
  const { data, ...names } = draft;
  const set = Object.entries(names).filter(([, value]) => value !== undefined);
  return { data, ...Object.fromEntries(set) };
}

/** Text and bytes are what came. */
function rawOf(data: unknown): string | Uint8Array {
  return typeof data === "string" || data instanceof Uint8Array ? data : JSON.stringify(data);
}
