/** Keeps what plugins store in this process: it is gone when the server stops. */
import { checkUseBytes, storeClosed, type KeyValues } from "../channel/key-values.ts";
import { checkTotalBytes } from "./total-bytes.ts";

interface Entry {
  readonly text: string;
  readonly expiresAt: number | null;
  readonly bytes: number;
}

interface Use {
  readonly entries: Map<string, Entry>;
  /** Of its keys and values, in UTF-8, with what is over and not swept yet. */
  bytes: number;
}

export interface MemoryValuesOptions {
  /** Bytes that all uses together may keep. */
  readonly maxBytes?: number | undefined;
}

/** Channels of a pattern are named by clients, and each has a use of its own: all are bounded together. */
const MAX_BYTES = 256 * 1024 ** 2;
/** What the smallest entry takes beside its text, about. */
const ENTRY_BYTES = 128;
/** What is over stays so long at most, while anything is set; reads never show it. Milliseconds. */
const SWEEP_MS = 60_000;

export class MemoryValues implements KeyValues {
  readonly #uses = new Map<string, Use>();
  readonly #now: () => number;
  readonly #maxBytes: number;
  #bytes = 0;
  /** Nothing is over before. */
  #soonest = Infinity;
  #isClosed = false;

  /** @param now The clock, in milliseconds since the epoch. */
  constructor(now: () => number = Date.now, { maxBytes = MAX_BYTES }: MemoryValuesOptions = {}) {
    this.#now = now;
    this.#maxBytes = maxBytes;
  }

  async get(use: string, key: string): Promise<string | undefined> {
    const entry = this.#of(use)?.entries.get(key);
    return entry && this.#isAlive(entry) ? entry.text : undefined;
  }

  async set(use: string, key: string, text: string, expiresAt: number | null): Promise<void> {
    this.#check();
    this.#sweep(SWEEP_MS);
    const bytes = Buffer.byteLength(key) + Buffer.byteLength(text);
    const before = () => this.#uses.get(use)?.entries.get(key);
    const ofUse = () => (this.#uses.get(use)?.bytes ?? 0) - (before()?.bytes ?? 0) + bytes;
    const ofAll = () => this.#bytes - sizeOf(before()) + bytes + ENTRY_BYTES;
    try {
      checkUseBytes(ofUse());
      checkTotalBytes(this.#bytes, ofAll(), this.#maxBytes);
    } catch {
      // What is over takes room until it is swept.
      this.#sweep(0);
      checkUseBytes(ofUse());
      checkTotalBytes(this.#bytes, ofAll(), this.#maxBytes);
    }
    this.#remove(use, key);
    const kept = this.#uses.get(use) ?? { entries: new Map<string, Entry>(), bytes: 0 };
    this.#uses.set(use, kept);
    const entry = { text, expiresAt, bytes };
    kept.entries.set(key, entry);
    this.#soonest = Math.min(this.#soonest, expiresAt ?? Infinity);
    kept.bytes += bytes;
    this.#bytes += sizeOf(entry);
  }

  async delete(use: string, key: string): Promise<boolean> {
    const entry = this.#of(use)?.entries.get(key);
    this.#remove(use, key);
    return entry !== undefined && this.#isAlive(entry);
  }

  async entries(use: string, prefix: string): Promise<[string, string][]> {
    return [...(this.#of(use)?.entries ?? [])]
      .filter(([key, entry]) => key.startsWith(prefix) && this.#isAlive(entry))
      .map(([key, { text }]): [string, string] => [key, text])
      .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#uses.clear();
  }

  /** @throws {KeyValuesError} When the server has stopped. */
  #check(): void {
    if (this.#isClosed) throw storeClosed();
  }

  #of(use: string): Use | undefined {
    this.#check();
    return this.#uses.get(use);
  }

  #isAlive({ expiresAt }: Entry): boolean {
    return expiresAt === null || expiresAt > this.#now();
  }

  /** Removes what is over, when some of it has been for `ms` milliseconds. */
  #sweep(ms: number): void {
    if (this.#now() - this.#soonest < ms) return;
    this.#soonest = Infinity;
    for (const [use, { entries }] of this.#uses) {
      for (const [key, entry] of entries) {
        if (!this.#isAlive(entry)) this.#remove(use, key);
        else this.#soonest = Math.min(this.#soonest, entry.expiresAt ?? Infinity);
      }
    }
  }

  /** A use that has nothing left goes too: clients may have made any number of them. */
  #remove(use: string, key: string): void {
    const kept = this.#uses.get(use);
    const entry = kept?.entries.get(key);
    if (!kept || !entry) return;
    kept.entries.delete(key);
    kept.bytes -= entry.bytes;
    this.#bytes -= sizeOf(entry);
    if (kept.entries.size === 0) this.#uses.delete(use);
  }
}

function sizeOf(entry: Entry | undefined): number {
  return entry ? entry.bytes + ENTRY_BYTES : 0;
}
