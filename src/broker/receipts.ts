/** Receipts of publishes, in memory: kept for their time, the oldest forgotten when there are too many. */
import type { KeptReceipt, Receipt } from "../channel/terms.ts";

/** Receipts that a broker holds at most, of all channels together. */
export const MAX_RECEIPTS = 100_000;
/** Characters that one receipt may have on average: those with long notes push out others sooner. */
export const AVERAGE_LENGTH = 1024;

interface Entry extends KeptReceipt {
  readonly length: number;
  readonly expiresAt: number;
}

export class Receipts {
  readonly #max: number;
  readonly #now: () => number;
  /** In the order in which they were kept, which is the order in which they are over, near enough. */
  readonly #entries = new Map<string, Entry>();
  #length = 0;

  /** @param now The clock, in milliseconds since the epoch. */
  constructor(now: () => number, max: number = MAX_RECEIPTS) {
    this.#now = now;
    this.#max = max;
  }

  get count(): number {
    return this.#entries.size;
  }

  keep(channel: string, receipt: Receipt, epoch: string, first: number, last: number): void {
    const { key, fingerprint, note, keepMs } = receipt;
    const name = nameOf(channel, key);
    const length = name.length + fingerprint.length + note.length;
    this.#forget(name);
    const expiresAt = this.#now() + keepMs;
    this.#entries.set(name, { fingerprint, note, epoch, first, last, length, expiresAt });
    this.#length += length;
    while (this.#entries.size > this.#max || this.#length > this.#max * AVERAGE_LENGTH) {
      this.#forget(this.#entries.keys().next().value!);
    }
  }

  find(channel: string, key: string): KeptReceipt | null {
    const entry = this.#entries.get(nameOf(channel, key));
    if (!entry || entry.expiresAt <= this.#now()) return null;
    const { fingerprint, note, epoch, first, last } = entry;
    return { fingerprint, note, epoch, first, last };
  }

  /** Lets go of those that are over. */
  sweep(): void {
    const now = this.#now();
    for (const [name, { expiresAt }] of this.#entries) {
      if (expiresAt > now) return;
      this.#forget(name);
    }
  }

  #forget(name: string): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    this.#length -= entry.length;
    this.#entries.delete(name);
  }
}

/** No channel's name has a NUL. */
function nameOf(channel: string, key: string): string {
  return `${channel}\0${key}`;
}
