/** Receipts of publishes in the broker's tables, kept in the transaction of their messages. */
import type { Database, Statement } from "bun:sqlite";
import type { KeptReceipt, Receipt } from "../channel/terms.ts";
import { AVERAGE_LENGTH } from "./receipts.ts";

type Bound = string | number;

export class SqliteReceipts {
  readonly #now: () => number;
  readonly #max: number;
  readonly #find: Statement<KeptReceipt, Bound[]>;
  readonly #keep: Statement<unknown, Bound[]>;
  readonly #newest: Statement<{ id: number; length: number }, Bound[]>;
  readonly #expire: Statement<unknown, Bound[]>;
  readonly #crowdOut: Statement<unknown, Bound[]>;
  readonly #oldest: Statement<{ expires: number }, Bound[]>;

  /** @param max Receipts that are kept at most. */
  constructor(database: Database, now: () => number, max: number) {
    this.#now = now;
    this.#max = max;
    this.#find = database.query(
      `SELECT fingerprint, note, epoch, first, last FROM receipts
       WHERE channel = ? AND key = ? AND expires > ?`,
    );
    this.#keep = database.query(
      "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#newest = database.query("SELECT id, length FROM receipts ORDER BY id DESC LIMIT 1");
    // In the order in which they were kept, which is the order in which they are over, near enough.
    this.#expire = database.query(
      `DELETE FROM receipts WHERE id IN (SELECT id FROM receipts ORDER BY id LIMIT ?1) AND expires <= ?2`,
    );
    this.#oldest = database.query("SELECT expires FROM receipts ORDER BY id LIMIT 1");
    this.#crowdOut = database.query(
      `DELETE FROM receipts WHERE id IN (SELECT id FROM receipts ORDER BY id LIMIT ?1)
         AND (id <= ?2 OR length <= ?3)`,
    );
  }

  /** Within a transaction. */
  keep(channel: string, receipt: Receipt, epoch: string, first: number, last: number): void {
    const { key, fingerprint, note, keepMs } = receipt;
    const before = this.#newest.get();
    const id = (before?.id ?? 0) + 1;
    const length =
      (before?.length ?? 0) + channel.length + key.length + fingerprint.length + note.length;
    const expires = this.#now() + keepMs;
    this.#keep.run(id, channel, key, fingerprint, note, epoch, first, last, expires, length);
    // As many as were added, and one more, so that a smaller limit is reached by and by.
    this.#crowdOut.run(2, id - this.#max, length - this.#max * AVERAGE_LENGTH);
  }

  find(channel: string, key: string): KeptReceipt | null {
    return this.#find.get(channel, key, this.#now());
  }

  /** Whether the oldest one is over. */
  hasExpired(): boolean {
    const oldest = this.#oldest.get();
    return oldest !== null && oldest.expires <= this.#now();
  }

  /** Deletes some that are over, in a transaction. @returns How many. */
  sweep(count: number): number {
    return this.#expire.run(count, this.#now()).changes;
  }
}
