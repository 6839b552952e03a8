/** The plugin runtime's own delays while time is held: they end when time has passed them. */
import type { Clock } from "../../plugin/clock.ts";

interface Waiting {
  readonly dueMs: number;
  readonly end: () => void;
}

/**
 * Kept apart from the timers of plugins, since most of these delays are limits: to go on to one of them
 * would be to say that a hook took too long.
 */
export class HeldClock implements Clock {
  readonly #waiting = new Set<Waiting>();

  now(): number {
    return performance.now();
  }

  delay(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const waiting: Waiting = {
        dueMs: this.now() + ms,
        end: () => {
          this.#waiting.delete(waiting);
          signal.removeEventListener("abort", waiting.end);
          resolve();
        },
      };
      this.#waiting.add(waiting);
      signal.addEventListener("abort", waiting.end);
    });
  }

  /** When the first delay ends, as `now` tells it; Infinity when none waits. */
  get nextMs(): number {
    return this.#waiting.values().reduce((first, { dueMs }) => Math.min(first, dueMs), Infinity);
  }

  /** Ends the delays whose time has come, in order. */
  wake(): void {
    const now = this.now();
    const due = [...this.#waiting].filter(({ dueMs }) => dueMs <= now);
    for (const waiting of due.toSorted((a, b) => a.dueMs - b.dueMs)) waiting.end();
  }
}
