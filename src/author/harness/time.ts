/** Time as a harness sees it: held, so that it passes when the test says so, or the machine's own. */
import { jest } from "bun:test";
import type { Clock } from "../../plugin/clock.ts";
import { HeldClock } from "./held-clock.ts";

export interface Time {
  /** What the plugin runtime measures its own limits and delays by. */
  readonly clock: Clock;
  /**
   * Goes on to the next timer of the plugin, and runs it.
   *
   * @param alsoRuntime Whether to go on to a delay of the runtime too: a source's restart.
   * @returns false when none waits, or when time can't be made to pass.
   */
  jump(alsoRuntime?: boolean): boolean;
  /** Lets this much time pass, timer by timer, calling `between` after each. */
  advance(ms: number, between: () => Promise<void>): Promise<void>;
  /** Lets go of it. Held time goes on as the machine's own when the last has let go. */
  release(): void;
}

/** Where held time starts, unless a test says where: the same each time, so that tests may count on it. */
export const FIRST_DAY = "2026-01-01T00:00:00.000Z";

/** The longest delay that a timer can have; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

let holders = 0;
let heldClock = new HeldClock();

/**
 * Holds time for the whole process: `Date`, `performance.now`, `setTimeout` and all that is made of it,
 * `node:timers/promises`, `Bun.sleep` and `AbortSignal.timeout` included. `setImmediate`, promises, files
 * and sockets go on by themselves. Who holds it at the same moment shares it.
 *
 * @throws {Error} When a start is asked for and time is held already.
 */
export function holdTime(start?: string | number | Date): Time {
  if (holders > 0 && start !== undefined) {
    throw new Error(
      "now can't be set: another plugin is running, and all that run at the same moment share one clock; set it where the first is started",
    );
  }
  if (holders === 0) {
    const now = new Date(start ?? FIRST_DAY);
    if (Number.isNaN(now.getTime())) throw new TypeError(`now is "${start}", which is no time`);
    jest.useFakeTimers({ now });
    heldClock = new HeldClock();
  }
  holders++;
  return new HeldTime(heldClock);
}

class HeldTime implements Time {
  readonly clock: HeldClock;
  #released = false;

  constructor(clock: HeldClock) {
    this.clock = clock;
  }

  jump(alsoRuntime = false): boolean {
    const { nextMs } = this.clock;
    if (jest.getTimerCount() === 0 && !(alsoRuntime && nextMs < Infinity)) return false;
    this.#step(nextMs);
    return true;
  }

  async advance(ms: number, between: () => Promise<void>): Promise<void> {
    await between();
    const endMs = performance.now() + ms;
    while (performance.now() < endMs) {
      this.#step(Math.min(endMs, this.clock.nextMs));
      await between();
    }
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (--holders === 0) jest.useRealTimers();
  }

  /** Goes on to the next timer, but to `limitMs` at most; there it runs all that are due. */
  #step(limitMs: number): void {
    const nowMs = performance.now();
    const delayMs = Math.min(Math.max(1, Math.ceil(limitMs - nowMs)), MAX_TIMER_MS);
    let isReached = false;
    // A timer of its own at the limit: there is no way to ask when the next one is due.
    const limit = setTimeout(() => (isReached = true), delayMs);
    do jest.advanceTimersToNextTimer();
    while (!isReached && performance.now() >= nowMs + delayMs);
    clearTimeout(limit);
    this.clock.wake();
  }
}

/** The machine's own time. */
export class RealTime implements Time {
  constructor(readonly clock: Clock) {}

  jump(): boolean {
    return false;
  }

  async advance(ms: number, between: () => Promise<void>): Promise<void> {
    await Bun.sleep(ms);
    await between();
  }

  release(): void {}
}
