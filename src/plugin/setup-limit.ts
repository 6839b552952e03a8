/** How long a `setup` may take: as long as any, or a little longer once the server stops. */
import { LATE, within, type Clock } from "./clock.ts";

export interface SetupLimits {
  readonly clock: Clock;
  readonly setupMs: number;
  /** Milliseconds that are left when the server stops. */
  readonly closeMs: number;
  readonly stopping?: AbortSignal | undefined;
}

export class SetupLimit {
  readonly #limits: SetupLimits;
  readonly #onStop: () => void;
  /** The limit that holds, in milliseconds. */
  ms: number;

  /** @param onStop Tells the setup that the server stops. */
  constructor(limits: SetupLimits, onStop: () => void) {
    this.#limits = limits;
    this.#onStop = onStop;
    this.ms = limits.setupMs;
  }

  /** @returns What the setup gave, or `LATE` when the time was up first. */
  async within<T>(work: Promise<T>): Promise<T | typeof LATE> {
    const { clock, setupMs, closeMs, stopping } = this.#limits;
    if (!stopping) return within(work, setupMs, clock);
    const stopped = Promise.withResolvers<typeof LATE>();
    const stop = () => {
      this.#onStop();
      this.ms = closeMs;
      within(work, closeMs, clock).then(
        (result) => result === LATE && stopped.resolve(LATE),
        () => {},
      );
    };
    // It may have been told before the setup began.
    if (stopping.aborted) stop();
    else stopping.addEventListener("abort", stop, { once: true });
    try {
      return await Promise.race([within(work, setupMs, clock), stopped.promise]);
    } finally {
      stopping.removeEventListener("abort", stop);
    }
  }
}
