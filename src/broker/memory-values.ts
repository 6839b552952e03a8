/** Keeps what plugins store in this process: it is gone when the server stops. */
import { checkUseBytes, storeClosed, type KeyValues } from "../channel/key-values.ts";

interface Entry {
  readonly text: string;
  readonly expiresAt: number | null;
  readonly bytes: number;
}

export class MemoryValues implements KeyValues {
  readonly #uses = new Map<string, Map<string, Entry>>();
  readonly #now: () => number;
  #isClosed = false;

  /** @param now The clock, in milliseconds since the epoch. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async get(use: string, key: string): Promise<string | undefined> {
    return this.#of(use).get(key)?.text;
  }

  async set(use: string, key: string, text: string, expiresAt: number | null): Promise<void> {
    const entries = this.#of(use);
    const bytes = Buffer.byteLength(key) + Buffer.byteLength(text);
    let total = bytes - (entries.get(key)?.bytes ?? 0);
    for (const entry of entries.values()) total += entry.bytes;
    checkUseBytes(total);
    entries.set(key, { text, expiresAt, bytes });
    this.#uses.set(use, entries);
  }

  async delete(use: string, key: string): Promise<boolean> {
    return this.#of(use).delete(key);
  }

  async entries(use: string, prefix: string): Promise<[string, string][]> {
    return [...this.#of(use)]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, { text }]): [string, string] => [key, text])
      .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#uses.clear();
  }

  /** What a use has, without what is over. */
  #of(use: string): Map<string, Entry> {
    if (this.#isClosed) throw storeClosed();
    const entries = this.#uses.get(use) ?? new Map<string, Entry>();
    const now = this.#now();
    for (const [key, { expiresAt }] of entries) {
      if (expiresAt !== null && expiresAt <= now) entries.delete(key);
    }
    return entries;
  }
}
