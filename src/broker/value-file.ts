/** The database that plugins' values are in: opened when it is needed, made at the first write. */
import { Database } from "bun:sqlite";
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { ValueTables } from "./value-tables.ts";

/** A file of its own, or a database that its owner opens and closes; `name` is for messages. */
export type ValueSource =
  { readonly path: string } | { readonly database: Database; readonly name: string };

export class ValueFile {
  /** What messages call it. */
  readonly name: string;
  readonly #source: ValueSource;
  readonly #now: () => number;
  #database: Database | null = null;
  #tables: ValueTables | null = null;
  #isWal = false;

  constructor(source: ValueSource, now: () => number) {
    this.#source = source;
    this.#now = now;
    this.name = "path" in source ? source.path : source.name;
  }

  /** The tables, or null when nothing was ever written; makes nothing. */
  tables(): ValueTables | null {
    const database = this.#open(false);
    if (!database) return null;
    return (this.#tables ??= ValueTables.find(database, this.name, this.#now));
  }

  /**
   * Runs `work` in a transaction that nobody else writes in.
   *
   * @param mayMake Makes what is not there: folder, file and tables. Without it, `work` may get null.
   * @throws What SQLite throws; nothing of `work` is kept then.
   */
  transaction<T>(mayMake: boolean, work: (tables: ValueTables | null) => T): T {
    const database = this.#open(mayMake);
    if (!database) return work(null);
    if (!this.#isWal && "path" in this.#source) {
      database.run("PRAGMA journal_mode = WAL");
      this.#isWal = true;
    }
    database.run("BEGIN IMMEDIATE");
    try {
      const found = (this.#tables ??= ValueTables.find(database, this.name, this.#now));
      const tables = found ?? (mayMake ? ValueTables.create(database, this.#now) : null);
      const result = work(tables);
      database.run("COMMIT");
      this.#tables = tables;
      return result;
    } catch (error) {
      // Some errors have ended it already.
      if (database.inTransaction) database.run("ROLLBACK");
      throw error;
    }
  }

  /** Opens the file anew at the next call: it may be mended by then. */
  drop(): void {
    if (this.#database && "path" in this.#source) this.#database.close();
    this.#database = null;
    this.#tables = null;
    this.#isWal = false;
  }

  close(): void {
    this.drop();
  }

  #open(mayMake: boolean): Database | null {
    if (!("path" in this.#source)) return (this.#database ??= this.#source.database);
    const { path } = this.#source;
    const isThere = existsSync(path);
    // Who deletes the file while the server runs would find all that comes later gone with it.
    if (this.#database && !isThere) this.drop();
    if (this.#database) return this.#database;
    if (!isThere && !mayMake) return null;
    if (!isThere) mkdirSync(dirname(path), { recursive: true });
    const database = new Database(path, { create: mayMake, readwrite: true });
    try {
      // A lock is waited for with a timer, not in here, where it would hold up the server.
      database.run("PRAGMA busy_timeout = 0");
      database.run("PRAGMA synchronous = NORMAL");
    } catch (error) {
      database.close();
      throw error;
    }
    return (this.#database = database);
  }
}
