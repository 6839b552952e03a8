/** Waits for what a plugin does, letting held time pass as far as it has to. */
import { fetchesEnded, fetchesUnderWay } from "./fetches.ts";
import type { Time } from "./time.ts";

/** Timers that may run for one thing that is waited for: more means that it does not come. */
const MAX_JUMPS = 100_000;
/** Real milliseconds that held time stands still for one `fetch`: what takes longer may time out. */
const FETCH_MS = 1000;
/** Real milliseconds between two looks while something outside is waited for. */
const LOOK_MS = 2;

const cell = new Int32Array(new SharedArrayBuffer(4));

/** A real pause: timers are held, this is not. */
async function pause(ms: number): Promise<void> {
  await Atomics.waitAsync(cell, 0, 0, ms).value;
}

/** Resolves when everything that was under way and needs no timer or I/O has run. */
async function turns(): Promise<void> {
  for (let count = 0; count < 3; count++) await new Promise<void>(turn);
}

function turn(resolve: () => void): void {
  setImmediate(() => {
    // `expect(…).rejects` of bun:test runs a loop of its own until its promise has settled; after the
    // last immediate there is, that loop would sleep until some timer wakes it, so there is one more.
    setImmediate(() => {});
    resolve();
  });
}

export interface WaitOptions {
  /** Says what did not come, given why: a sentence's end. */
  readonly stuck: (why: string) => Error;
  /** Whether held time also goes on to the restart of a source that failed. */
  readonly restarts?: boolean;
}

export class Progress {
  readonly #time: Time;
  readonly #limitMs: number;

  /** @param limitMs Real milliseconds that one thing is waited for. */
  constructor(time: Time, limitMs: number) {
    this.#time = time;
    this.#limitMs = limitMs;
  }

  /** Waits until `isDone`, which is asked again after each step. */
  async until(isDone: () => boolean, { stuck, restarts = false }: WaitOptions): Promise<void> {
    const startMs = performance.now();
    let jumps = 0;
    let waitedMs = 0;
    let fetchMs = 0;
    let ended = fetchesEnded();
    for (;;) {
      await turns();
      if (isDone()) return;
      if (ended !== (ended = fetchesEnded())) fetchMs = 0;
      if ((fetchesUnderWay() === 0 || fetchMs >= FETCH_MS) && this.#time.jump(restarts)) {
        if (++jumps < MAX_JUMPS) continue;
        const passed = `${(performance.now() - startMs) / 1000} s`;
        throw stuck(`${jumps} timers ran, and the clock went on by ${passed}`);
      }
      if (waitedMs >= this.#limitMs) {
        const waiting = fetchesUnderWay() > 0 ? "a fetch is not answered" : "no timer is waiting";
        throw stuck(`${waiting}, and nothing happened in ${this.#limitMs / 1000} s of real time`);
      }
      await pause(LOOK_MS);
      waitedMs += LOOK_MS;
      if (fetchesUnderWay() > 0) fetchMs += LOOK_MS;
    }
  }

  /** Waits for a promise. */
  async of<T>(work: T | Promise<T>, options: WaitOptions): Promise<T> {
    if (!(work instanceof Promise)) return work;
    let settled = false;
    const settle = () => void (settled = true);
    work.then(settle, settle);
    await this.until(() => settled, options);
    return work;
  }

  /** Waits, while time stands still, for what runs by itself: promises, and calls of `fetch`. */
  async quiet(): Promise<void> {
    await this.#answers({ waitedMs: 0 });
  }

  /** Lets this much time pass; it stands still for calls of `fetch` on the way. */
  async advance(ms: number): Promise<void> {
    const patience = { waitedMs: 0 };
    await this.#time.advance(ms, () => this.#answers(patience));
    await this.quiet();
  }

  /** @param patience How long was waited since a call of `fetch` last ended. */
  async #answers(patience: { waitedMs: number }): Promise<void> {
    await turns();
    while (fetchesUnderWay() > 0 && patience.waitedMs < FETCH_MS) {
      const ended = fetchesEnded();
      await pause(LOOK_MS);
      await turns();
      patience.waitedMs = fetchesEnded() === ended ? patience.waitedMs + LOOK_MS : 0;
    }
  }
}
