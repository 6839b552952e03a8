/** Tells the log that storage fails, without flooding it: a full disk refuses every publish. */
import type { Log } from "../log.ts";

/** Milliseconds between two lines about failures. */
const QUIET_MS = 10_000;

export class StorageReport {
  readonly #log: Pick<Log, "error" | "info"> | null;
  #loggedAt = -Infinity;
  /** Failures since the last line. */
  #times = 0;
  #isFailing = false;

  constructor(log: Pick<Log, "error" | "info"> | null) {
    this.#log = log;
  }

  /** @param refused Publishes that are refused by it. */
  failed(error: Error, refused = 0): void {
    this.#isFailing = true;
    this.#times++;
    const now = performance.now();
    if (now - this.#loggedAt < QUIET_MS) return;
    this.#loggedAt = now;
    const times = this.#times;
    this.#times = 0;
    this.#log?.error(`storage failed: ${error.message}`, {
      ...(refused > 0 && { refused }),
      ...(times > 1 && { times }),
    });
  }

  /** Something was kept. */
  worked(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#loggedAt = -Infinity;
    this.#times = 0;
    this.#log?.info("storage works again");
  }
}
