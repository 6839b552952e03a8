/** Deletes what is no longer kept and gives the room back, in slices so small that no turn is held up by one. */
import type { SqliteFile } from "./sqlite-file.ts";
import type { SqliteLog } from "./sqlite-log.ts";
import type { SqliteReceipts } from "./sqlite-receipts.ts";
import type { SqliteStates } from "./sqlite-states.ts";
import type { ChannelRow, SqliteTables } from "./sqlite-tables.ts";

export interface UpkeepOptions {
  readonly file: SqliteFile;
  readonly tables: SqliteTables;
  readonly receipts: SqliteReceipts;
  readonly states: SqliteStates;
  readonly logs: ReadonlyMap<string, SqliteLog>;
  readonly now: () => number;
  readonly failed: (error: unknown) => void;
}

/** Rounds begin this often, in milliseconds. */
const ROUND_MS = 1000;
/** Between two slices, in milliseconds: the server has the better part of the time. */
const PAUSE_MS = 10;
/** Rows that one slice deletes. */
const ROWS = 500;
/** Channels that one slice looks at. */
const CHANNELS = 200;
/** Pages that one slice gives back to the system. */
const PAGES = 64;
/** Free pages that are left for what comes next, at least, and as a part of all pages. */
const SPARE_PAGES = 256;
const SPARE_PART = 1 / 8;
/** A channel that is empty is remembered, with its position, for 30 days after its last message. */
const FORGET_MS = 30 * 86_400_000;

export class SqliteUpkeep {
  readonly #options: UpkeepOptions;
  readonly #timer: Timer;
  #next: Timer | null = null;
  /** Channels that nobody has open were looked at up to this id. */
  #closedId = 0;
  /** All of them were looked at in this round. */
  #isRoundOver = false;
  #hasWritten = false;
  #isTruncated = true;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#round(), ROUND_MS).unref();
  }

  /** Something was committed. */
  wrote(): void {
    this.#hasWritten = true;
    this.#isTruncated = false;
  }

  stop(): void {
    clearInterval(this.#timer);
    if (this.#next) clearTimeout(this.#next);
  }

  /** Does one slice. @returns Whether there is more to do. */
  slice(): boolean {
    try {
      return this.#pruneOpen() || this.#pruneClosed() || this.#pruneReceipts() || this.#vacuum();
    } catch (error) {
      this.#options.failed(error);
      return false;
    }
  }

  #round(): void {
    this.#isRoundOver = false;
    if (!this.#next) this.#go();
    if (!this.#hasWritten) this.#truncate();
    this.#hasWritten = false;
  }

  #go(): void {
    this.#next = null;
    if (this.slice()) this.#next = setTimeout(() => this.#go(), PAUSE_MS).unref();
  }

  #pruneOpen(): boolean {
    for (const log of this.#options.logs.values()) {
      if (log.state.id === null) continue;
      try {
        log.expire();
      } catch (error) {
        // What is wrong with one must not keep what is over in the others.
        this.#options.failed(error);
        continue;
      }
      const { id, first } = log.state;
      if (log.isKeepStale) {
        const { size, ttlMs } = log.retention;
        this.#transact((tables) => tables.setKeep(id!, { count: size, ms: ttlMs }));
        log.isKeepStale = false;
      }
      if (first <= log.deletedBefore) continue;
      const pruned = this.#transact((tables) => tables.prune(id!, first, ROWS));
      if (pruned < ROWS) log.deletedBefore = first;
      return true;
    }
    return false;
  }

  /** Channels that nobody has open grow older all the same, in the order of their ids, round and round. */
  #pruneClosed(): boolean {
    if (this.#isRoundOver) return false;
    const { tables, logs } = this.#options;
    const rows = tables.channelsAfter(this.#closedId, CHANNELS);
    for (const row of rows) {
      if (row.name === null || !logs.has(row.name)) {
        // One that has more to delete is looked at again.
        if (this.#pruneRow(row)) return true;
      }
      this.#closedId = row.id;
    }
    if (rows.length < CHANNELS) {
      this.#closedId = 0;
      this.#isRoundOver = true;
    }
    return !this.#isRoundOver;
  }

  #pruneRow(row: ChannelRow): boolean {
    const { id, name, top, time, keepMs } = row;
    const now = this.#options.now();
    const isRetired = name === null;
    const isOver = isRetired || time <= now - keepMs;
    if (!isOver) return false;
    if (this.#options.tables.newest(id) > 0) {
      this.#transact((tables) => tables.prune(id, top + 1, ROWS));
      return true;
    }
    const { states } = this.#options;
    if (isRetired && this.#transact(() => states.prune(id, ROWS)) === ROWS) return true;
    // What is kept by key is kept until it is deleted, whether somebody has the channel open or not.
    const isForgotten = time <= now - FORGET_MS && states.keysOf(id) === 0;
    if (isRetired || isForgotten) this.#transact((tables) => tables.forget(id));
    return false;
  }

  #pruneReceipts(): boolean {
    const { receipts } = this.#options;
    if (!receipts.hasExpired()) return false;
    return this.#transact(() => receipts.sweep(ROWS)) > 0;
  }

  #vacuum(): boolean {
    const { database } = this.#options.file;
    const count = (pragma: string) =>
      Object.values(database.query<Record<string, number>, []>(`PRAGMA ${pragma}`).get()!)[0]!;
    const free = count("freelist_count");
    const spare = Math.max(SPARE_PAGES, count("page_count") * SPARE_PART);
    if (free <= spare) return false;
    // A page is given back with each step of the statement.
    database.query(`PRAGMA incremental_vacuum(${PAGES})`).all();
    this.wrote();
    return true;
  }

  /** Where it is quiet, what was written ahead goes to its place, and the file shrinks. */
  #truncate(): void {
    if (this.#isTruncated) return;
    this.#isTruncated = true;
    try {
      this.#options.file.database.query("PRAGMA wal_checkpoint(TRUNCATE)").all();
    } catch (error) {
      this.#options.failed(error);
    }
  }

  #transact<T>(work: (tables: SqliteTables) => T): T {
    this.wrote();
    return this.#options.file.transaction(() => work(this.#options.tables));
  }
}
