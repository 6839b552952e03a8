/** What the broker reads from its tables and writes to them. */
import type { Database, Statement } from "bun:sqlite";
import { Message } from "../channel/message.ts";
import { FORMATS, SqliteInsert } from "./sqlite-insert.ts";

/** Where a channel's log stands; a copy is changed in a transaction and taken over when it is committed. */
export interface LogState {
  /** null when it has no row yet. */
  id: number | null;
  readonly epoch: string;
  top: number;
  /** Offset of the oldest message that is kept; what lies before it is still to be deleted. */
  first: number;
  /** Of the newest message, in milliseconds since the epoch (1970). */
  time: number;
  /** Bytes of all messages that ever were. */
  bytes: number;
}

/** What of a channel's row is for when nobody has it open. */
export interface Keep {
  readonly count: number;
  readonly ms: number;
}

export interface ChannelRow extends LogState {
  readonly id: number;
  readonly name: string | null;
  readonly keepCount: number;
  readonly keepMs: number;
}

export interface MessageRow {
  readonly offset: number;
  readonly time: number;
  readonly event: string | null;
  readonly key: string | null;
  readonly format: number;
  readonly size: number;
  readonly data: string | Uint8Array;
}

/** When a message was committed, and where it lies among the bytes of its channel. */
export interface Mark {
  readonly time: number;
  readonly before: number;
}

export type Bound = string | number | null | Uint8Array;
type Run = Statement<unknown, Bound[]>;

export const MESSAGE = "offset, time, event, key, format, size, data";
const CHANNEL =
  "id, name, epoch, top, first, time, bytes, keep_count AS keepCount, keep_ms AS keepMs";
/** A number of milliseconds that stands for "for ever". */
const FOREVER_MS = Number.MAX_SAFE_INTEGER;

export class SqliteTables {
  readonly #meta: Statement<{ value: string | number }, Bound[]>;
  readonly #channel: Statement<ChannelRow, Bound[]>;
  readonly #channelsAfter: Statement<ChannelRow, Bound[]>;
  readonly #addChannel: Run;
  readonly #setChannel: Run;
  readonly #setKeep: Run;
  readonly #setFirst: Run;
  readonly #retire: Run;
  readonly #countLost: Run;
  readonly #forget: Run;
  readonly #insert: SqliteInsert;
  readonly #messages: Statement<MessageRow, Bound[]>;
  readonly #mark: Statement<Mark, Bound[]>;
  readonly #newest: Statement<{ offset: number | null }, Bound[]>;
  readonly #afterHole: Statement<{ offset: number }, Bound[]>;
  readonly #prune: Run;

  constructor(database: Database) {
    this.#meta = database.query("SELECT value FROM meta WHERE key = ?");
    this.#channel = database.query(`SELECT ${CHANNEL} FROM channels WHERE name = ?`);
    this.#channelsAfter = database.query(
      `SELECT ${CHANNEL} FROM channels WHERE id > ? ORDER BY id LIMIT ?`,
    );
    this.#addChannel = database.query(
      `INSERT INTO channels (name, epoch, top, first, time, bytes, keep_count, keep_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#setChannel = database.query(
      "UPDATE channels SET top = ?, first = ?, time = ?, bytes = ? WHERE id = ?",
    );
    this.#setKeep = database.query("UPDATE channels SET keep_count = ?, keep_ms = ? WHERE id = ?");
    this.#setFirst = database.query("UPDATE channels SET first = max(first, ?) WHERE id = ?");
    this.#retire = database.query("UPDATE channels SET name = NULL, first = top + 1 WHERE id = ?");
    this.#countLost = database.query("UPDATE meta SET value = value + 1 WHERE key = 'lost'");
    this.#forget = database.query("DELETE FROM channels WHERE id = ?");
    this.#insert = new SqliteInsert(database);
    this.#messages = database.query(
      `SELECT ${MESSAGE} FROM messages WHERE channel = ? AND offset BETWEEN ? AND ? ORDER BY offset`,
    );
    this.#mark = database.query(
      "SELECT time, before FROM messages WHERE channel = ? AND offset = ?",
    );
    this.#newest = database.query("SELECT max(offset) AS offset FROM messages WHERE channel = ?");
    this.#afterHole = database.query(
      `SELECT offset FROM messages AS m WHERE channel = ?1 AND offset BETWEEN ?2 AND ?3 AND NOT EXISTS
         (SELECT 1 FROM messages WHERE channel = m.channel AND offset = m.offset - 1)
       ORDER BY offset DESC LIMIT 1`,
    );
    this.#prune = database.query(
      `DELETE FROM messages WHERE channel = ?1 AND offset < min(?2, ifnull(
         (SELECT offset FROM messages WHERE channel = ?1 ORDER BY offset LIMIT 1 OFFSET ?3), ?2))`,
    );
  }

  /** The epoch of a channel that nothing was published to. */
  freshEpoch(): string {
    const epoch = this.#meta.get("epoch")!.value as string;
    const lost = this.#meta.get("lost")!.value as number;
    return lost === 0 ? epoch : `${epoch}z${lost.toString(36)}`;
  }

  channel(name: string): ChannelRow | null {
    return this.#channel.get(name);
  }

  /** The channels with an id above `id`, in its order. */
  channelsAfter(id: number, count: number): ChannelRow[] {
    return this.#channelsAfter.all(id, count);
  }

  /** Writes where a log stands; gives it an id when it has none. */
  save(name: string, state: LogState, keep: Keep): void {
    const { id, epoch, top, first, time, bytes } = state;
    if (id !== null) return void this.#setChannel.run(top, first, time, bytes, id);
    const row = [name, epoch, top, first, time, bytes, keep.count, finite(keep.ms)];
    state.id = Number(this.#addChannel.run(...row).lastInsertRowid);
  }

  setKeep(id: number, keep: Keep): void {
    this.#setKeep.run(keep.count, finite(keep.ms), id);
  }

  /**
   * Takes the name from a channel: the next of that name begins anew, in another epoch, and its messages are
   * deleted by and by.
   */
  retire(id: number): void {
    this.#retire.run(id);
    this.#countLost.run();
  }

  /** Deletes a channel's row, and what it has left of messages. */
  forget(id: number): void {
    this.#forget.run(id);
  }

  /** @see SqliteInsert.run */
  insert(id: number, messages: readonly Message[], first: number, before: number): void {
    this.#insert.run(id, messages, first, before);
  }

  /** Messages from `first` through `last`, as they lie there, one by one: who has enough leaves the loop. */
  *messages(
    name: string,
    { id, epoch }: LogState,
    first: number,
    last: number,
  ): Generator<Message> {
    for (const row of this.#messages.iterate(id, first, last)) {
      yield toMessage(name, epoch, row);
    }
  }

  mark(id: number, offset: number): Mark | null {
    return this.#mark.get(id, offset);
  }

  /** The largest offset of a channel's messages; 0 when it has none. */
  newest(id: number): number {
    return this.#newest.get(id)!.offset ?? 0;
  }

  /** The offset from which on no message is missing up to `top`; `top + 1` when that one is. Slow. */
  afterHole(id: number, first: number, top: number): number {
    if (!this.mark(id, top)) return top + 1;
    return this.#afterHole.get(id, first, top)?.offset ?? first;
  }

  /**
   * Deletes messages before `offset`, the oldest first.
   *
   * @param count At most.
   * @returns How many.
   */
  prune(id: number, offset: number, count: number): number {
    this.#setFirst.run(offset, id);
    return this.#prune.run(id, offset, count).changes;
  }
}

export function toMessage(name: string, epoch: string, row: MessageRow): Message {
  const { offset, time, size, data } = row;
  const isText = typeof data === "string";
  return new Message(name, epoch, offset, time, {
    format: FORMATS[row.format]!,
    text: isText ? data : null,
    bytes: isText ? null : data,
    event: row.event ?? undefined,
    key: row.key ?? undefined,
    size,
  });
}

function finite(ms: number): number {
  return Math.min(ms, FOREVER_MS);
}
