/** A clock for tests: time passes when they say so. */
import type { Clock } from "./clock.ts";

interface Waiting {
  readonly dueMs: number;
  readonly wake: () => void;
}

export class FakeClock implements Clock {
  /** Every delay that was asked for, in milliseconds, in order. */
  readonly asked: number[] = [];
  #nowMs = 0;
  readonly #waiting = new Set<Waiting>();

  now(): number {
    return this.#nowMs;
  }

  delay(ms: number, signal: AbortSignal): Promise<void> {
    this.asked.push(ms);
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const waiting: Waiting = {
        dueMs: this.#nowMs + ms,
        wake: () => {
          this.#waiting.delete(waiting);
          signal.removeEventListener("abort", waiting.wake);
          resolve();
        },
      };
      this.#waiting.add(waiting);
      signal.addEventListener("abort", waiting.wake);
    });
  }

  /** Delays that have not ended. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** Lets time pass, delay by delay, with what each of them sets going. */
  async pass(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    await settled();
    for (;;) {
      const [next] = [...this.#waiting]
        .filter(({ dueMs }) => dueMs <= end)
        .sort((a, b) => a.dueMs - b.dueMs);
      if (!next) break;
      this.#nowMs = next.dueMs;
      next.wake();
      await settled();
    }
    this.#nowMs = end;
  }
}

/** Resolves when everything that was under way and needs no timer or I/O has run. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
