/** The states of channels in the broker's tables: the newest message of each key, written with the history. */
import type { Database, Statement } from "bun:sqlite";
import type { Message } from "../channel/message.ts";
import type { StateSize } from "../channel/state.ts";
import { FORMATS } from "./sqlite-insert.ts";
import { MESSAGE, toMessage, type Bound, type LogState, type MessageRow } from "./sqlite-tables.ts";

/** What is known of a channel's state beside its messages. */
export interface StoredState extends StateSize {
  /** What was newest when it was built of a part of a history; 0 where it holds all that there is. */
  readonly since: number;
  /** @see StatePage.unkept */
  readonly unkept: number;
}

/** The state of a channel that nothing was published to. */
export const EMPTY: StoredState = { since: 0, unkept: 0, keys: 0, bytes: 0 };

type Run = Statement<unknown, Bound[]>;

export class SqliteStates {
  readonly #load: Statement<StoredState & { through: number }, Bound[]>;
  readonly #save: Run;
  readonly #sizeOf: Statement<{ size: number }, Bound[]>;
  readonly #put: Run;
  readonly #delete: Run;
  readonly #messages: Statement<MessageRow, Bound[]>;
  readonly #build: Run;
  readonly #count: Statement<{ keys: number; bytes: number }, Bound[]>;
  readonly #prune: Run;
  readonly #drop: Run;
  readonly #dropMessages: Run;

  constructor(database: Database) {
    this.#load = database.query(
      "SELECT since, unkept, keys, bytes, through FROM states WHERE channel = ?",
    );
    this.#save = database.query("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?, ?)");
    this.#sizeOf = database.query("SELECT size FROM state_messages WHERE channel = ? AND key = ?");
    // The one before of the same key gives way.
    this.#put = database.query(
      `INSERT OR REPLACE INTO state_messages (channel, ${MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#delete = database.query("DELETE FROM state_messages WHERE channel = ? AND key = ?");
    this.#messages = database.query(
      `SELECT ${MESSAGE} FROM state_messages WHERE channel = ? AND offset > ? AND offset <= ? ORDER BY offset`,
    );
    // What `isDeletion` says: white space of JSON alone may be around it.
    this.#build = database.query(
      `INSERT INTO state_messages (channel, ${MESSAGE}) SELECT channel, ${MESSAGE} FROM messages
       WHERE channel = ?1 AND offset IN (SELECT max(offset) FROM messages
         WHERE channel = ?1 AND offset BETWEEN ?2 AND ?3 AND key IS NOT NULL GROUP BY key)
       AND NOT (format = ${FORMATS.indexOf("json")} AND trim(data, char(32, 9, 10, 13)) = 'null')`,
    );
    this.#count = database.query(
      "SELECT count(*) AS keys, ifnull(sum(size), 0) AS bytes FROM state_messages WHERE channel = ?",
    );
    this.#prune = database.query(
      `DELETE FROM state_messages WHERE channel = ?1 AND offset IN
         (SELECT offset FROM state_messages WHERE channel = ?1 ORDER BY offset LIMIT ?2)`,
    );
    this.#drop = database.query("DELETE FROM states WHERE channel = ?");
    this.#dropMessages = database.query("DELETE FROM state_messages WHERE channel = ?");
  }

  /** Keys of a channel's state; 0 where it has none, or keeps none. */
  keysOf(id: number): number {
    return this.#load.get(id)?.keys ?? 0;
  }

  /** The state of a channel as it is kept; null where there is none, or one that has not gone on up to `top`. */
  load(id: number, top: number): StoredState | null {
    const row = this.#load.get(id);
    if (row?.through !== top) return null;
    const { since, unkept, keys, bytes } = row;
    return { since, unkept, keys, bytes };
  }

  has(id: number): boolean {
    return this.#load.get(id) !== null;
  }

  /** @param through The newest message that it takes account of. */
  save(id: number, { since, unkept, keys, bytes }: StoredState, through: number): void {
    this.#save.run(id, since, unkept, keys, bytes, through);
  }

  /** Bytes of the message that is kept under a key; null where there is none. */
  sizeOf(id: number, key: string): number | null {
    return this.#sizeOf.get(id, key)?.size ?? null;
  }

  put(id: number, message: Message): void {
    const { offset, time, event = null, key, format, size } = message;
    const data = format === "bytes" ? message.bytes : message.text;
    this.#put.run(id, offset, time, event, key!, FORMATS.indexOf(format), size, data);
  }

  delete(id: number, key: string): void {
    this.#delete.run(id, key);
  }

  /** Messages after one offset through another, one by one: who has enough leaves the loop. */
  *messages(
    name: string,
    { id, epoch }: LogState,
    after: number,
    through: number,
  ): Generator<Message> {
    for (const row of this.#messages.iterate(id, after, through)) yield toMessage(name, epoch, row);
  }

  /** Makes the state anew of what the history holds of it; within a transaction. */
  build(id: number, { first, top }: LogState): StoredState {
    this.#dropMessages.run(id);
    this.#build.run(id, first, top);
    const since = first > 1 ? top : 0;
    // What of the history is a deletion is not looked for: readers of a state before this one are few.
    const state = { since, unkept: top, ...this.#count.get(id)! };
    this.save(id, state, top);
    return state;
  }

  /** Within a transaction. */
  drop(id: number): void {
    this.#drop.run(id);
    this.#dropMessages.run(id);
  }

  /** Deletes some messages of a state. @returns How many. */
  prune(id: number, count: number): number {
    return this.#prune.run(id, count).changes;
  }
}
