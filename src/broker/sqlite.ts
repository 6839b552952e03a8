/**
 * The broker that keeps history in a SQLite file, which survives the server's end.
 *
 * What is published in one turn, on all channels, is committed in one transaction when the turn ends, and
 * acknowledged after it. The messages of a turn that fails are refused, and nothing of them is kept.
 */
import type { Database } from "bun:sqlite";
import type { CommitListener } from "../channel/channel.ts";
import { storageFailed } from "../channel/errors.ts";
import type { Log, Retention } from "../channel/log.ts";
import type { Message, SealedDraft } from "../channel/message.ts";
import type { Terms } from "../channel/terms.ts";
import { withTrail } from "../channel/trail.ts";
import { commitAtTurnEnd, type TurnWork } from "../channel/turn.ts";
import type { Broker } from "./broker.ts";
import { MAX_RECEIPTS } from "./receipts.ts";
import { Commit, type Append } from "./sqlite-commit.ts";
import { SqliteFile, type SqliteFileOptions } from "./sqlite-file.ts";
import { SqliteLog, type LogHome } from "./sqlite-log.ts";
import { SqliteReceipts } from "./sqlite-receipts.ts";
import { SqliteStates } from "./sqlite-states.ts";
import { SqliteTables, type ChannelRow, type LogState } from "./sqlite-tables.ts";
import { SqliteUpkeep } from "./sqlite-upkeep.ts";
import { explainStorage, type StorageError } from "./storage-error.ts";
import { StorageReport } from "./storage-report.ts";
import { TailMemory } from "./tail.ts";
import type { Log as Logger } from "../log.ts";

export interface SqliteBrokerOptions extends SqliteFileOptions {
  /** The clock, in milliseconds since the epoch (1970). */
  readonly now?: () => number;
  readonly log?: Pick<Logger, "error" | "warn" | "info">;
  /** Receipts of publishes that are kept at most. */
  readonly maxReceipts?: number;
}

/** What all channels together keep in memory of their newest messages. */
const TAIL_BYTES = 32 * 1024 ** 2;

/**
 * Milliseconds for which a commit waits at most for what comes in the next turns: publishers who were answered
 * together come back within a few turns of one another, and a commit costs the disk as much for one as for all.
 * It never waits for a turn that brings nothing, so one publisher alone waits for one empty turn.
 */
const GATHER_MS = 2;

export class SqliteBroker implements Broker, TurnWork {
  readonly name = "sqlite";
  readonly isDurable = true;
  readonly #file: SqliteFile;
  readonly #tables: SqliteTables;
  readonly #receipts: SqliteReceipts;
  readonly #states: SqliteStates;
  readonly #upkeep: SqliteUpkeep;
  readonly #report: StorageReport;
  readonly #log: SqliteBrokerOptions["log"];
  readonly #home: LogHome;
  readonly #logs = new Map<string, SqliteLog>();
  readonly #now: () => number;
  #waiting: Append[] = [];
  /** Of those that wait, how many waited when the turn before ended. */
  #seen = 0;
  #sinceMs = 0;
  #isClosed = false;

  /** @throws {StorageError} When the file can't be used. */
  constructor(options: SqliteBrokerOptions) {
    const { path, log, now = Date.now } = options;
    this.#log = log;
    this.#now = now;
    this.#report = new StorageReport(log ?? null);
    this.#file = new SqliteFile(options);
    const { database } = this.#file;
    try {
      this.#tables = new SqliteTables(database);
      this.#states = new SqliteStates(database);
      this.#receipts = new SqliteReceipts(database, now, options.maxReceipts ?? MAX_RECEIPTS);
    } catch (error) {
      database.close();
      throw explainStorage(error, path);
    }
    if (this.#file.mayHaveLost) {
      log?.warn(
        `the machine went down while ${path} was written with "durability: normal": the last messages may be lost, so all channels start a new epoch and clients are told of a gap`,
      );
    }
    this.#upkeep = new SqliteUpkeep({
      file: this.#file,
      tables: this.#tables,
      receipts: this.#receipts,
      states: this.#states,
      logs: this.#logs,
      now,
      failed: (error) => this.#failed(error),
    });
    this.#home = {
      tables: this.#tables,
      states: this.#states,
      transaction: (work) => this.#file.transaction(work),
      memory: new TailMemory(TAIL_BYTES),
      now,
      append: (log, drafts, terms) => this.#append(log, drafts, terms),
      receipt: (channel, key) => this.#receipts.find(channel, key),
      failed: (error) => this.#failed(error),
      closed: (log) => {
        if (this.#logs.get(log.channel) === log) this.#logs.delete(log.channel);
      },
    };
  }

  /** The open database, for others who keep theirs in the same file. It is closed with the broker. */
  get database(): Database {
    return this.#file.database;
  }

  get path(): string {
    return this.#file.path;
  }

  /** @throws {StorageError} When the file can't be read. */
  open(channel: string, retention: Retention, onCommit: CommitListener): Log {
    // A log of the same channel that was closed with commits under way.
    this.#commitWaiting();
    try {
      const state = this.#stateOf(channel);
      const log = new SqliteLog(this.#home, channel, state, retention, onCommit);
      this.#logs.set(channel, log);
      return log;
    } catch (error) {
      const explained = explainStorage(error, this.#file.path);
      this.#report.failed(explained);
      throw explained;
    }
  }

  /** Commits what was published in this turn, or waits for a turn more while others still publish. */
  flush(): void {
    const appends = this.#waiting;
    if (appends.length > this.#seen && performance.now() - this.#sinceMs < GATHER_MS) {
      this.#seen = appends.length;
      return commitAtTurnEnd(this);
    }
    this.#commitWaiting();
  }

  #commitWaiting(): void {
    const appends = this.#waiting;
    this.#waiting = [];
    this.#seen = 0;
    // It runs in the name of whoever published first in this turn: what it sets going is not about that one.
    if (appends.length > 0) withTrail(null, () => this.#commit(appends));
  }

  /** Deletes a slice of what is no longer kept; it is done by itself, too. @returns Whether there is more. */
  sweep(): boolean {
    return this.#upkeep.slice();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#commitWaiting();
    this.#isClosed = true;
    this.#upkeep.stop();
    for (const log of this.#logs.values()) log.close();
    this.#file.close((error) => this.#report.failed(error));
  }

  #append(
    log: SqliteLog,
    drafts: readonly SealedDraft[],
    terms: Terms | undefined,
  ): Promise<readonly Message[]> {
    if (this.#isClosed) return Promise.reject(storageFailed(log.channel, "keep"));
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ log, drafts, terms, resolve, reject }) > 1) return;
      this.#sinceMs = performance.now();
      commitAtTurnEnd(this);
    });
  }

  #commit(appends: readonly Append[]): void {
    const commit = new Commit(this.#tables, this.#receipts, this.#states, this.#now());
    try {
      this.#file.transaction(() => commit.write(appends));
    } catch (error) {
      return this.#refuse(appends, error as StorageError);
    }
    this.#report.worked();
    commit.settle((cause) => this.#log?.error("a listener of commits failed", { error: cause }));
    this.#upkeep.wrote();
  }

  /** What is wrong with one channel's part of the file must not keep the others from publishing. */
  #refuse(appends: readonly Append[], error: StorageError): void {
    const byLog = Map.groupBy(appends, ({ log }) => log);
    if (byLog.size > 1) {
      for (const some of byLog.values()) this.#commit(some);
      return;
    }
    this.#report.failed(error, appends.length);
    for (const { log, reject } of appends) reject(storageFailed(log.channel, "keep"));
  }

  #failed(error: unknown): void {
    this.#report.failed(explainStorage(error, this.#file.path));
  }

  /** Where the channel stands, by its row; anew where its messages are not what the row says. */
  #stateOf(channel: string): LogState {
    const row = this.#tables.channel(channel);
    if (row && this.#isSound(row)) return row;
    if (row) {
      this.#failed(new Error(`messages of channel "${channel}" are gone: it starts a new epoch`));
      this.#file.transaction(() => this.#tables.retire(row.id));
    }
    const epoch = this.#tables.freshEpoch();
    return { id: null, epoch, top: 0, first: 1, time: 0, bytes: 0 };
  }

  #isSound({ id, first, top }: ChannelRow): boolean {
    const newest = this.#tables.newest(id);
    if (first > top) return newest <= top;
    return newest === top && this.#tables.mark(id, first) !== null;
  }
}
