/** The database that plugins' values are in: opened when it is needed, made at the first write. */
import { Database } from "bun:sqlite";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { ValueTables, type ValueTablesOptions } from "./value-tables.ts";

/** A file of its own, or a database that its owner opens and closes; `name` is for messages. */
export type ValueSource =
  { readonly path: string } | { readonly database: Database; readonly name: string };

export class ValueFile {
  /** What messages call it. */
  readonly name: string;
  readonly #source: ValueSource;
  readonly #options: ValueTablesOptions;
  #database: Database | null = null;
  #tables: ValueTables | null = null;
  #isWal = false;
  /** Which file is open, whatever it is called by now. */
  #opened = "";
  /** Its write-ahead log, since the first write. */
  #log: string | null = null;

  constructor(source: ValueSource, options: ValueTablesOptions) {
    this.#source = source;
    this.#options = options;
    this.name = "path" in source ? source.path : source.name;
  }

  /** The tables, or null when nothing was ever written; makes nothing. */
  tables(): ValueTables | null {
    const database = this.#open(false);
    if (!database) return null;
    return (this.#tables ??= ValueTables.find(database, this.name, this.#options));
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
      const found = (this.#tables ??= ValueTables.find(database, this.name, this.#options));
      const tables = found ?? (mayMake ? ValueTables.create(database, this.#options) : null);
      const result = work(tables);
      database.run("COMMIT");
      this.#tables = tables;
      if ("path" in this.#source) this.#log ??= identify(`${this.#source.path}-wal`);
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
    this.#log = null;
  }

  /** SQLite leaves the log of a file that was moved, and would play it into what came in its place. */
  #removeLog(path: string): void {
    if (this.#log === null || identify(`${path}-wal`) !== this.#log) return;
    for (const end of ["-wal", "-shm"]) rmSync(path + end, { force: true });
  }

  close(): void {
    this.drop();
  }

  #open(mayMake: boolean): Database | null {
    if (!("path" in this.#source)) return (this.#database ??= this.#source.database);
    const { path } = this.#source;
    const found = identify(path);
    // Who deletes the file while the server runs, or puts a copy in its place, would find all that comes
    // later gone with it.
    if (this.#database && found !== this.#opened) {
      this.#removeLog(path);
      this.drop();
    }
    if (this.#database) return this.#database;
    if (found === null && !mayMake) return null;
    if (found === null) mkdirSync(dirname(path), { recursive: true });
    const database = new Database(path, { create: mayMake, readwrite: true });
    try {
      // A lock is waited for with a timer, not in here, where it would hold up the server.
      database.run("PRAGMA busy_timeout = 0");
      database.run("PRAGMA synchronous = NORMAL");
    } catch (error) {
      database.close();
      throw error;
    }
    this.#opened = found ?? identify(path) ?? "";
    return (this.#database = database);
  }
}

/** The file behind a path, as the system tells it from others; null when there is none. */
function identify(path: string): string | null {
  try {
    const { dev, ino } = statSync(path);
    return `${dev} ${ino}`;
  } catch {
    // What else is wrong with the path is told when it is opened.
    return null;
  }
}
