/** Logs who was denied, without letting a client that hammers fill the disk. */
import type { Log } from "../log.ts";
import { systemClock, type Clock } from "./clock.ts";
import type { AccessRequest } from "./sdk.ts";

/** One access that was denied. */
export interface Denial {
  /** The plugin that denied it; null when none allowed it. */
  readonly plugin: string | null;
  readonly channel: string;
  readonly action: AccessRequest["action"];
  readonly transport: string;
  readonly address: string;
  readonly reason: string;
}

/** Lines that may come at once, before further ones of the same plugin and action are only counted. */
const BURST = 20;
/** Milliseconds for which they are counted. */
const QUIET_MS = 10_000;
/** Characters of a channel's name or a reason. */
const MAX_TEXT = 500;

interface Window {
  lines: number;
  suppressed: number;
  last: Denial;
}

/**
 * One for all channels of a server: whoever may ask for any channel of a pattern must not get a line for
 * each of them.
 */
export class DenialLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #windows = new Map<string, Window>();
  readonly #closing = new AbortController();

  constructor(log: Log, clock: Clock = systemClock) {
    this.#log = log;
    this.#clock = clock;
  }

  /**
   * @param isFailure The plugin failed: those are counted apart, or denials that are meant could hide them.
   * @returns Whether it was written, and not only counted.
   */
  denied(denial: Denial, isFailure = false): boolean {
    if (this.#closing.signal.aborted) return false;
    const key = `${denial.action} ${isFailure} ${denial.plugin ?? ""}`;
    let window = this.#windows.get(key);
    if (!window) {
      window = { lines: 0, suppressed: 0, last: denial };
      this.#windows.set(key, window);
      void this.#watch(key, window);
    }
    if (window.lines < BURST) {
      window.lines++;
      this.#log.info("access denied", fieldsOf(denial));
      return true;
    }
    window.suppressed++;
    window.last = denial;
    return false;
  }

  /** Logs what was held back; nothing is logged from here on. */
  close(): void {
    this.#closing.abort();
  }

  async #watch(key: string, window: Window): Promise<void> {
    for (;;) {
      await this.#clock.delay(QUIET_MS, this.#closing.signal);
      const count = window.suppressed;
      if (count === 0) break;
      window.suppressed = 0;
      const last = fieldsOf(window.last);
      this.#log.info(`access denied ${count} more times, the last as told here`, {
        count,
        ...last,
      });
    }
    this.#windows.delete(key);
  }
}

function fieldsOf({ channel, reason, ...rest }: Denial): Record<string, unknown> {
  return { ...rest, channel: channel.slice(0, MAX_TEXT), reason: reason.slice(0, MAX_TEXT) };
}
