/** Time as the plugin runtime sees it, so that tests need not wait for it. */

export interface Clock {
  /** Milliseconds that only count up. */
  now(): number;
  /** Resolves after `ms` milliseconds, or at once when the signal aborts. Never rejects. */
  delay(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  delay: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done);
    }),
};

/** What `within` gives when the time was up first. */
export const LATE: unique symbol = Symbol("late");

/** Waits for `work`, but `ms` milliseconds at most. A late rejection is swallowed. */
export async function within<T>(
  work: Promise<T>,
  ms: number,
  clock: Clock,
): Promise<T | typeof LATE> {
  const finished = new AbortController();
  try {
    return await Promise.race([
      work,
      clock.delay(ms, finished.signal).then((): typeof LATE => LATE),
    ]);
  } finally {
    finished.abort();
  }
}
