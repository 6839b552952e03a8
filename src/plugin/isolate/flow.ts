/**
 * Holds a worker up that says more than the server takes: what waits for the server's thread is memory that
 * nobody watches. What is asked and answered bounds itself, as does `emit`; logging, and what clients are
 * sent, does not.
 */
import type { ToHost } from "./wire.ts";

/** Messages that may be on their way, a large one counting for several. */
const MAX_UNTAKEN = 1000;
/** Characters or bytes that count for one more message. */
const LARGE = 16 * 1024;
/** Milliseconds after which a worker looks by itself, should nobody wake it. */
const LOOK_MS = 100;

/** The server's end: what it has taken is to be seen by the worker at once, whatever that one does. */
export class Taken {
  readonly shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  readonly #count = new Int32Array(this.shared);

  take(message: ToHost): void {
    const weight = weightOf(message);
    if (weight === 0) return;
    Atomics.add(this.#count, 0, weight);
    Atomics.notify(this.#count, 0);
  }
}

/** The worker's end. */
export class Said {
  readonly #taken: Int32Array;
  #count = 0;

  constructor(shared: SharedArrayBuffer) {
    this.#taken = new Int32Array(shared);
  }

  /** Called before a message is posted: blocks this thread until there is room for it. */
  wait(message: ToHost): void {
    const weight = weightOf(message);
    if (weight === 0) return;
    for (;;) {
      const taken = Atomics.load(this.#taken, 0);
      // Both wrap around at 32 bits.
      if (((this.#count - taken) | 0) < MAX_UNTAKEN) break;
      Atomics.wait(this.#taken, 0, taken, LOOK_MS);
    }
    this.#count = (this.#count + weight) | 0;
  }
}

/** The same in both threads: 0 for what bounds itself. */
function weightOf(message: ToHost): number {
  if (typeof message === "string") return 0;
  switch (message.say) {
    case "log":
      return 1 + largeness(message.message) + largenessOf(Object.values(message.fields ?? {}));
    case "send":
    case "hang up":
      return 1 + largenessOf(message.args);
    case "ask":
      return 1 + largenessOf("args" in message.ask ? message.ask.args : [message.ask.drafts]);
    default:
      return 0;
  }
}

function largenessOf(values: readonly unknown[]): number {
  return values.reduce((sum: number, value) => sum + largeness(value), 0);
}

/** Of objects no more than this is known without writing them out. */
function largeness(value: unknown): number {
  const size =
    typeof value === "string" ? value.length : ArrayBuffer.isView(value) ? value.byteLength : 0;
  return Math.floor(size / LARGE);
}
