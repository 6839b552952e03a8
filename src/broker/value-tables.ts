/** The tables that plugins' values are in, in a SQLite database that may hold other tables too. */
import type { Database, Statement } from "bun:sqlite";
import { checkUseBytes, KeyValuesError } from "../channel/key-values.ts";
import { checkTotalBytes } from "./total-bytes.ts";

/** Counts up when the tables below change. */
const SCHEMA = 1;

const ROW_BYTES = 64;
/** What a row takes beside its key and value, about: the name of its use stands in each. */
const rowBytes = (row: "new" | "old") => `(length(${row}.use) + ${ROW_BYTES})`;

const CREATE = [
  // Bytes of all uses together, with what a row takes by itself.
  "CREATE TABLE plugin_store (schema INTEGER NOT NULL, bytes INTEGER NOT NULL DEFAULT 0)",
  `INSERT INTO plugin_store (schema) VALUES (${SCHEMA})`,
  // Keys are blobs: they compare by their UTF-8 bytes, and a NUL is a byte like any other.
  `CREATE TABLE plugin_values (
    use TEXT NOT NULL, key BLOB NOT NULL, value TEXT NOT NULL, expires INTEGER, bytes INTEGER NOT NULL,
    PRIMARY KEY (use, key)
  ) WITHOUT ROWID`,
  "CREATE INDEX plugin_values_expires ON plugin_values (expires) WHERE expires IS NOT NULL",
  "CREATE TABLE plugin_uses (use TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID",
  `CREATE TRIGGER plugin_values_insert AFTER INSERT ON plugin_values BEGIN
    INSERT INTO plugin_uses VALUES (new.use, new.bytes)
      ON CONFLICT (use) DO UPDATE SET bytes = bytes + new.bytes;
    UPDATE plugin_store SET bytes = bytes + new.bytes + ${rowBytes("new")};
  END`,
  `CREATE TRIGGER plugin_values_update AFTER UPDATE ON plugin_values BEGIN
    UPDATE plugin_uses SET bytes = bytes - old.bytes + new.bytes WHERE use = new.use;
    UPDATE plugin_store SET bytes = bytes - old.bytes + new.bytes;
  END`,
  `CREATE TRIGGER plugin_values_delete AFTER DELETE ON plugin_values BEGIN
    UPDATE plugin_uses SET bytes = bytes - old.bytes WHERE use = old.use;
    DELETE FROM plugin_uses WHERE use = old.use AND bytes = 0;
    UPDATE plugin_store SET bytes = bytes - old.bytes - ${rowBytes("old")};
  END`,
];

export interface ValueTablesOptions {
  /** The clock, in milliseconds since the epoch. */
  readonly now: () => number;
  /** Bytes that all uses together may keep. */
  readonly maxBytes: number;
}

type Bound = string | number | null | Uint8Array;

export class ValueTables {
  readonly #now: () => number;
  readonly #maxBytes: number;
  readonly #all: Statement<{ bytes: number }, Bound[]>;
  readonly #get: Statement<{ value: string }, Bound[]>;
  readonly #size: Statement<{ bytes: number }, Bound[]>;
  readonly #total: Statement<{ bytes: number }, Bound[]>;
  readonly #set: Statement<unknown, Bound[]>;
  readonly #delete: Statement<unknown, Bound[]>;
  readonly #entries: Statement<{ key: Uint8Array; value: string }, Bound[]>;
  readonly #sweep: Statement<unknown, Bound[]>;

  private constructor(database: Database, { now, maxBytes }: ValueTablesOptions) {
    this.#now = now;
    this.#maxBytes = maxBytes;
    this.#all = database.query("SELECT bytes FROM plugin_store");
    const alive = "(expires IS NULL OR expires > ?)";
    this.#get = database.query(
      `SELECT value FROM plugin_values WHERE use = ? AND key = ? AND ${alive}`,
    );
    this.#size = database.query("SELECT bytes FROM plugin_values WHERE use = ? AND key = ?");
    this.#total = database.query("SELECT bytes FROM plugin_uses WHERE use = ?");
    this.#set = database.query(
      `INSERT INTO plugin_values (use, key, value, expires, bytes) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (use, key) DO UPDATE SET value = excluded.value, expires = excluded.expires, bytes = excluded.bytes`,
    );
    this.#delete = database.query("DELETE FROM plugin_values WHERE use = ? AND key = ?");
    this.#entries = database.query(
      `SELECT key, value FROM plugin_values WHERE use = ? AND key >= ? AND (? IS NULL OR key < ?) AND ${alive} ORDER BY key`,
    );
    this.#sweep = database.query("DELETE FROM plugin_values WHERE expires <= ?");
  }

  /**
   * Finds the tables.
   *
   * @returns null when the database has none yet.
   * @throws {KeyValuesError} With `newer`, when a later version made them.
   */
  static find(database: Database, file: string, options: ValueTablesOptions): ValueTables | null {
    const named = database
      .query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'plugin_store'")
      .get();
    if (!named) return null;
    const row = database.query<{ schema: number }, []>("SELECT schema FROM plugin_store").get();
    if (row && row.schema > SCHEMA) {
      throw new KeyValuesError(
        "newer",
        `the store ${file} was written by a newer Tidewire (its schema is ${row.schema}, this version knows ${SCHEMA}): run that version, or give this one another path with "store:" in the config`,
      );
    }
    return new ValueTables(database, options);
  }

  /** Within a transaction. */
  static create(database: Database, options: ValueTablesOptions): ValueTables {
    for (const statement of CREATE) database.run(statement);
    return new ValueTables(database, options);
  }

  get(use: string, key: string): string | undefined {
    return this.#get.get(use, Buffer.from(key), this.#now())?.value;
  }

  /** @throws {KeyValuesError} With `full`, when the use, or all together, would be too large. */
  set(use: string, key: string, text: string, expiresAt: number | null): void {
    const name = Buffer.from(key);
    const bytes = name.length + Buffer.byteLength(text);
    const check = () => {
      const before = this.#size.get(use, name)?.bytes ?? null;
      checkUseBytes((this.#total.get(use)?.bytes ?? 0) - (before ?? 0) + bytes);
      const all = this.#all.get()?.bytes ?? 0;
      const own = before === null ? use.length + ROW_BYTES : 0;
      checkTotalBytes(all, all - (before ?? 0) + bytes + own, this.#maxBytes);
    };
    try {
      check();
    } catch {
      // What is over takes room until it is swept.
      this.sweep();
      check();
    }
    this.#set.run(use, name, text, expiresAt, bytes);
  }

  delete(use: string, key: string): boolean {
    const isThere = this.get(use, key) !== undefined;
    this.#delete.run(use, Buffer.from(key));
    return isThere;
  }

  entries(use: string, prefix: string): [string, string][] {
    const from = Buffer.from(prefix);
    // The first key after those with the prefix: UTF-8 has no byte 0xff, so the last one can count up.
    const end = Buffer.from(from);
    if (end.length > 0) end[end.length - 1]!++;
    const to = end.length > 0 ? end : null;
    return this.#entries
      .all(use, from, to, to, this.#now())
      .map(({ key, value }): [string, string] => [Buffer.from(key).toString(), value]);
  }

  /** Deletes what is over. */
  sweep(): void {
    this.#sweep.run(this.#now());
  }
}
