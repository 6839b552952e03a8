/** The state of one log in the broker's tables: there when it is to be kept, and gone when it is not. */
import type { ReadLimit, Retention, StatePage } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import { EMPTY, type SqliteStates, type StoredState } from "./sqlite-states.ts";
import type { LogState } from "./sqlite-tables.ts";

/** What it needs of its log's broker. */
export interface StateHome {
  readonly states: SqliteStates;
  /** @throws {StorageError} When it is not committed. */
  transaction<T>(work: () => T): T;
  /** A read or a write failed, or found messages gone that should be there. */
  failed(error: unknown): void;
}

/** What it needs of its log. */
interface KeyedLog {
  readonly channel: string;
  readonly retention: Retention;
  readonly state: LogState;
  expire(): void;
}

export class KeptState {
  readonly #home: StateHome;
  readonly #log: KeyedLog;
  /** null where none is kept. Replaced when a transaction is committed. */
  size: StoredState | null = null;
  /** It is to be kept and could not be built: nothing may be published before it is. */
  #isOwed = false;

  constructor(home: StateHome, log: KeyedLog) {
    this.#home = home;
    this.#log = log;
  }

  /**
   * Looks for what was kept, builds it of the history, or lets go of it, as the log's retention says.
   *
   * @throws {Error} When it is to be kept and can't be.
   */
  open(): void {
    const { retention, state } = this.#log;
    const { id, top } = state;
    if (!retention.latestByKey) return this.#drop();
    if (this.size !== null) return;
    this.#isOwed = true;
    this.size = id === null ? EMPTY : (this.#home.states.load(id, top) ?? this.#build(id));
    this.#isOwed = false;
  }

  /** Never throws. @returns Whether it is as it is to be. */
  tryOpen(): boolean {
    try {
      this.open();
    } catch (error) {
      this.#home.failed(error);
    }
    return !this.#isOwed;
  }

  /** Whether something may be published: one that is owed is tried once more. */
  isReady(): boolean {
    return !this.#isOwed || this.tryOpen();
  }

  /** @see Log.readState */
  read(after: number, limit: ReadLimit): StatePage | null {
    if (this.#isOwed) this.open();
    const { channel, state } = this.#log;
    if (this.size === null || limit.through < this.size.since) return null;
    const { unkept } = this.size;
    if (state.id === null) return { messages: [], isEnd: true, unkept };
    const source = this.#home.states.messages(channel, state, after, limit.through);
    return { ...take(source, limit), unkept };
  }

  #build(id: number): StoredState {
    const { states } = this.#home;
    this.#log.expire();
    return this.#home.transaction(() => states.build(id, this.#log.state));
  }

  #drop(): void {
    this.size = null;
    this.#isOwed = false;
    const { id } = this.#log.state;
    try {
      const { states } = this.#home;
      if (id !== null && states.has(id)) this.#home.transaction(() => states.drop(id));
    } catch (error) {
      // What is left does not follow the log from here on, so nobody takes it for the state.
      this.#home.failed(error);
    }
  }
}

function take(source: Iterable<Message>, limit: ReadLimit): Omit<StatePage, "unkept"> {
  const messages: Message[] = [];
  let bytes = 0;
  for (const message of source) {
    const isFull = messages.length >= limit.count || bytes + message.size > limit.bytes;
    if (isFull && messages.length > 0) return { messages, isEnd: false };
    messages.push(message);
    bytes += message.size;
  }
  return { messages, isEnd: true };
}
