/** Lets one message of each key through in each interval: the first at once, then the newest. */
import { compileExpression, definePlugin, duration, OptionError, parseDuration, t } from "tidewire";
import type { Draft } from "tidewire";

export default definePlugin({
  name: "throttle",
  options: t.Object({
    every: duration({
      description: "The least time between two messages of a key, at least 1ms.",
    }),
    key: t.Optional(
      t.String({
        minLength: 1,
        description:
          "JSONata over data, event, key, format, channel and params that tells what is throttled " +
          "together. Default: the message's own key. Messages without one share one interval.",
        examples: ["data.symbol", "event"],
      }),
    ),
    max_keys: t.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 10_000,
      description:
        "Keys that are remembered. Over it, the key that was sent longest ago is forgotten, and " +
        "what is held of it is sent early.",
    }),
  }),
  check: read,
  setup({ options, channel, emit, signal }) {
    const { everyMs, keyOf } = read(options);
    const throttle = new Throttle(everyMs, options.max_keys);
    let timer: Timer | null = null;
    let isClosed = false;

    const schedule = (): void => {
      if (timer !== null || signal.aborted) return;
      const due = throttle.due;
      if (due === null) return;
      timer = setTimeout(wake, Math.max(0, Math.min(due - performance.now(), 2 ** 31 - 1)));
    };
    const wake = (): void => {
      timer = null;
      // In the pipeline's own turn: a newer message that is on its way replaces a held one.
      const taken = emit(() => {
        const drafts = throttle.take(performance.now());
        schedule();
        return drafts;
      });
      // The channel has too much waiting; what is held stays held, and grows no further.
      if (!taken) timer = setTimeout(wake, everyMs);
    };
    const add = (draft: Draft, key: string): Draft | readonly Draft[] | null => {
      // After the close nothing is held any more: it would never be sent.
      const out = throttle.add(draft, key, isClosed ? Infinity : performance.now());
      schedule();
      return out;
    };
    signal.addEventListener("abort", () => timer !== null && clearTimeout(timer), { once: true });

    return {
      transform(draft) {
        if (!keyOf) return add(draft, draft.key ?? "");
        return keyOf
          .evaluate(draft, channel)
          .then((key) => add(draft, key === undefined ? "" : JSON.stringify(key)));
      },
      /** What is held is sent rather than lost: it is the newest of its key. */
      close() {
        emit(() => throttle.take(Infinity));
        isClosed = true;
      },
    };
  },
});

/** @throws {OptionError} When `every` is nothing, or `key` is not JSONata. */
function read({ every, key }: { readonly every: string; readonly key?: string }) {
  const everyMs = parseDuration(every);
  if (everyMs < 1) {
    throw new OptionError("every", `every is "${every}"; it must be at least 1ms`);
  }
  return { everyMs, keyOf: key === undefined ? null : compileExpression(key, "key") };
}

interface Entry {
  sentMs: number;
  held: Draft | null;
}

class Throttle {
  readonly #everyMs: number;
  readonly #maxKeys: number;
  /** In the order in which they were sent: the first is the first that is due. */
  readonly #entries = new Map<string, Entry>();
  #held = 0;

  constructor(everyMs: number, maxKeys: number) {
    this.#everyMs = everyMs;
    this.#maxKeys = maxKeys;
  }

  /** When `take` should be called next, or null while nothing is held. */
  get due(): number | null {
    if (this.#held === 0) return null;
    for (const entry of this.#entries.values()) {
      if (entry.held) return entry.sentMs + this.#everyMs;
    }
    return null;
  }

  /** Takes in a draft; gives what may go on now. */
  add(draft: Draft, key: string, nowMs: number): Draft | readonly Draft[] | null {
    this.#forget(nowMs);
    const entry = this.#entries.get(key);
    if (entry && nowMs < entry.sentMs + this.#everyMs) {
      if (!entry.held) this.#held++;
      entry.held = draft;
      return null;
    }
    // What was held and is late is older than this draft: the latest wins.
    if (entry?.held) this.#held--;
    this.#send(key, nowMs);
    const evicted = this.#evict();
    return evicted ? [evicted, draft] : draft;
  }

  /** Gives what is held and due, oldest first; null when nothing is. */
  take(nowMs: number): readonly Draft[] | null {
    const due: Draft[] = [];
    const sent: string[] = [];
    for (const [key, { sentMs, held }] of this.#entries) {
      if (nowMs < sentMs + this.#everyMs) break;
      if (held) {
        due.push(held);
        sent.push(key);
      }
    }
    for (const key of sent) this.#send(key, nowMs);
    this.#held -= due.length;
    return due.length === 0 ? null : due;
  }

  #send(key: string, nowMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { sentMs: nowMs, held: null });
  }

  /** Keys whose interval is over and that hold nothing need not be remembered. */
  #forget(nowMs: number): void {
    for (const [key, { sentMs, held }] of this.#entries) {
      if (held || nowMs < sentMs + this.#everyMs) return;
      this.#entries.delete(key);
    }
  }

  #evict(): Draft | null {
    if (this.#entries.size <= this.#maxKeys) return null;
    const [key, { held }] = this.#entries.entries().next().value!;
    this.#entries.delete(key);
    if (held) this.#held--;
    return held;
  }
}
