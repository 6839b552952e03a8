/** Opens the broker's file: alone, in WAL mode, at the newest schema. */
import { Database } from "bun:sqlite";
import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { beginRun, endRun, type Durability } from "./sqlite-run.ts";
import { checkSchema, migrate, MIGRATIONS, type Migration } from "./sqlite-schema.ts";
import { explainStorage, fileRemoved, noFolder } from "./storage-error.ts";

export interface SqliteFileOptions {
  readonly path: string;
  readonly durability: Durability;
  readonly migrations?: readonly Migration[];
  /** Which start of the machine it is; for tests. */
  readonly boot?: string;
}

/** How long a start waits for the server before this one to let go of the file, in milliseconds. */
const BUSY_MS = 2000;
/** What the log that is written ahead is cut back to, in bytes. */
const WAL_BYTES = 4 * 1024 ** 2;
const CACHE_KIB = 16 * 1024;

export class SqliteFile {
  readonly database: Database;
  readonly path: string;
  /** Commits may be lost that clients have seen: all channels have begun a new epoch. */
  readonly mayHaveLost: boolean;
  readonly #durability: Durability;
  readonly #inode: bigint;
  #isClosed = false;

  /** @throws {StorageError} When the file can't be used. */
  constructor({ path, durability, migrations = MIGRATIONS, boot }: SqliteFileOptions) {
    this.path = path;
    this.#durability = durability;
    const folder = dirname(path);
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw noFolder(path, folder);
    let database: Database | null = null;
    try {
      this.database = database = new Database(path, { create: true, readwrite: true });
      takeAlone(database);
      const version = checkSchema(database, path, migrations);
      prepare(database);
      migrate(database, version, migrations);
      this.mayHaveLost = beginRun(database, durability, boot);
      // Only now: that a server has begun to use the file must be known after a power cut, too.
      database.run(`PRAGMA synchronous = ${durability === "full" ? "FULL" : "NORMAL"}`);
      this.#inode = statSync(path, { bigint: true }).ino;
    } catch (error) {
      database?.close();
      throw explainStorage(whyNotWritable(path) ?? error, path);
    }
  }

  /**
   * Runs `work` in a transaction.
   *
   * @throws {StorageError} When it is not committed; nothing of it is kept then.
   */
  transaction<T>(work: () => T): T {
    const { database } = this;
    try {
      this.#checkThere();
      database.run("BEGIN IMMEDIATE");
      const result = work();
      database.run("COMMIT");
      return result;
    } catch (error) {
      this.#rollBack();
      throw explainStorage(error, this.path);
    }
  }

  /** Never throws: what could not be written is said by `failed`. */
  close(failed: (error: Error) => void): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      endRun(this.database, this.#durability);
    } catch (error) {
      failed(explainStorage(error, this.path));
    }
    this.database.close();
  }

  /** SQLite goes on to write into a file that was deleted: all that is acknowledged would be gone with it. */
  #checkThere(): void {
    if (this.path === ":memory:") return;
    const inode = statSync(this.path, { bigint: true, throwIfNoEntry: false })?.ino;
    if (inode !== this.#inode) throw fileRemoved(this.path);
  }

  #rollBack(): void {
    // Some errors have ended it already.
    if (!this.database.inTransaction) return;
    try {
      this.database.run("ROLLBACK");
    } catch {
      // The error that led here says more.
    }
  }
}

/** SQLite opens a file that can't be written for reading alone, and then says that its lock failed. */
function whyNotWritable(path: string): unknown {
  if (!existsSync(path)) return null;
  try {
    closeSync(openSync(path, "r+"));
    return null;
  } catch (error) {
    return error;
  }
}

function takeAlone(database: Database): void {
  database.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
  // Two servers with one file would give the same offsets to different messages. It also spares the file that
  // SQLite shares between processes, which, on a full disk, ends them with SIGBUS.
  database.run("PRAGMA locking_mode = EXCLUSIVE");
}

function prepare(database: Database): void {
  const vacuum = database.query<{ auto_vacuum: number }, []>("PRAGMA auto_vacuum").get()!;
  if (vacuum.auto_vacuum !== 2) {
    database.run("PRAGMA auto_vacuum = INCREMENTAL");
    // It holds for a file with tables in it, such as one of plugins' values, when that is written anew.
    if (database.query("SELECT 1 FROM sqlite_schema").get()) database.run("VACUUM");
  }
  database.run("PRAGMA journal_mode = WAL");
  database.run(`PRAGMA journal_size_limit = ${WAL_BYTES}`);
  database.run(`PRAGMA cache_size = ${-CACHE_KIB}`);
  database.run("PRAGMA synchronous = FULL");
}
