/** One channel's log in the broker's tables. */
import type { CommitListener } from "../channel/channel.ts";
import { storageFailed } from "../channel/errors.ts";
import type { Log, LogStat, Page, ReadLimit, Retention, StatePage } from "../channel/log.ts";
import type { Message, SealedDraft } from "../channel/message.ts";
import type { KeptReceipt, Terms } from "../channel/terms.ts";
import { KeptState, type StateHome } from "./sqlite-kept-state.ts";
import type { ChannelRow, LogState, Mark, SqliteTables } from "./sqlite-tables.ts";
import { Tail, type TailMemory } from "./tail.ts";

/** Messages that are read into memory at once for somebody who is a little behind. */
const FILL_COUNT = 512;
/** Where there is room for them: channels that drove out one another's would read them again and again. */
const MOST_FILL_COUNT = 4096;
const FILL_BYTES = 1024 ** 2;

/** What a log needs of its broker. */
export interface LogHome extends StateHome {
  readonly tables: SqliteTables;
  readonly memory: TailMemory;
  now(): number;
  append(
    log: SqliteLog,
    drafts: readonly SealedDraft[],
    terms?: Terms,
  ): Promise<readonly Message[]>;
  receipt(channel: string, key: string): KeptReceipt | null;
  closed(log: SqliteLog): void;
}

export class SqliteLog implements Log {
  readonly channel: string;
  readonly onCommit: CommitListener;
  retention: Retention;
  /** Where it stands. Replaced when a transaction is committed. */
  state: LogState;
  /** Messages before this one are deleted from the tables. */
  deletedBefore: number;
  /** It could not be found out what is over the retention: the next read does. */
  #isUntrimmed = false;
  /** The row holds another retention than this log. */
  isKeepStale: boolean;
  readonly kept: KeptState;
  readonly #home: LogHome;
  readonly #tail: Tail;
  /** Of the first message, once it was looked for. */
  #mark: (Mark & { readonly offset: number }) | null = null;

  constructor(
    home: LogHome,
    channel: string,
    state: LogState,
    retention: Retention,
    onCommit: CommitListener,
  ) {
    this.#home = home;
    this.#tail = new Tail(home.memory);
    this.channel = channel;
    this.state = state;
    this.deletedBefore = state.first;
    this.retention = retention;
    this.onCommit = onCommit;
    this.isKeepStale = state.id !== null && !isKept(state as ChannelRow, retention);
    this.#trim();
    this.kept = new KeptState(home, this);
    this.kept.open();
  }

  /** The row of its channel; null when nothing was published to it. */
  get id(): number | null {
    return this.state.id;
  }

  get epoch(): string {
    return this.state.epoch;
  }

  get top(): number {
    return this.state.top;
  }

  append(drafts: readonly SealedDraft[], terms?: Terms): Promise<readonly Message[]> {
    if (!this.kept.isReady()) return Promise.reject(storageFailed(this.channel, "keep"));
    return this.#home.append(this, drafts, terms);
  }

  /** The broker has committed these, which leave the log at `state`; `onCommit` is called by it. */
  committed(state: LogState, batches: readonly (readonly Message[])[]): void {
    this.state = state;
    for (const batch of batches) this.#tail.push(batch);
    this.#tryTrim();
  }

  receipt(key: string): KeptReceipt | null {
    return this.#reading(() => this.#home.receipt(this.channel, key));
  }

  read(after: number, limit: ReadLimit): Page {
    return this.#reading(() => {
      this.expire();
      for (;;) {
        const from = Math.max(after + 1, this.state.first);
        const to = Math.min(limit.through, this.state.top);
        if (from > to) return { messages: [], first: this.state.first };
        if (from < this.#tail.first) this.#fill(from);
        const isRemembered = from >= this.#tail.first;
        const source = isRemembered ? this.#remembered(from, to) : this.#stored(from, to);
        const messages = take(source, limit);
        const { first } = this.state;
        // Where some were found to be missing, what came before them is no longer history.
        if (messages[0] && messages[0].offset >= first) return { messages, first };
      }
    });
  }

  retain(retention: Retention): void {
    this.retention = retention;
    this.isKeepStale = this.state.id !== null;
    this.#tryTrim();
    this.kept.tryOpen();
  }

  get keepsState(): boolean {
    return this.retention.latestByKey ?? false;
  }

  readState(after: number, limit: ReadLimit): StatePage | null {
    return this.#reading(() => this.kept.read(after, limit));
  }

  stat(): LogStat {
    return this.#reading(() => {
      this.expire();
      const { top, first } = this.state;
      const bytes = first > top ? 0 : this.state.bytes - this.#firstMark().before;
      const history = { count: top - first + 1, bytes };
      const { size } = this.kept;
      return size ? { ...history, state: { keys: size.keys, bytes: size.bytes } } : history;
    });
  }

  close(): void {
    this.#tail.clear();
    this.#home.closed(this);
  }

  /** Lets go of the messages that are older than the retention allows. */
  expire(): void {
    if (this.#isUntrimmed) this.#trim();
    const { top, first, time } = this.state;
    const oldest = this.#home.now() - this.retention.ttlMs;
    if (first > top || oldest < 0 || this.#firstMark().time > oldest) return;
    if (time <= oldest) return this.#keepFrom(top + 1);
    this.#keepFrom(this.#search((mark) => mark.time > oldest));
  }

  /** Lets go of what is over the retention's count and bytes. */
  #trim(): void {
    const { size, maxBytes = Infinity } = this.retention;
    this.#isUntrimmed = true;
    this.#keepFrom(this.state.top - size + 1);
    const { top, first, bytes } = this.state;
    const isBounded = first <= top && maxBytes !== Infinity;
    if (isBounded && bytes - this.#firstMark().before > maxBytes) {
      this.#keepFrom(this.#search(({ before }) => bytes - before <= maxBytes));
    }
    this.#isUntrimmed = false;
  }

  /** Never throws: for when what comes next must be done all the same. */
  #tryTrim(): void {
    try {
      this.#trim();
    } catch (error) {
      this.#home.failed(error);
    }
  }

  #keepFrom(offset: number): void {
    const { state } = this;
    if (offset <= state.first) return;
    state.first = Math.min(offset, state.top + 1);
    this.#tail.trim(state.first);
  }

  /** The first offset for whose mark `test` holds, as for all after it; `top + 1` when it holds for none. */
  #search(test: (mark: Mark) => boolean): number {
    let low = this.state.first;
    let high = this.state.top + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (test(this.#markOf(middle))) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #firstMark(): Mark {
    const { first } = this.state;
    if (this.#mark?.offset !== first) this.#mark = { ...this.#markOf(first), offset: first };
    return this.#mark;
  }

  #markOf(offset: number): Mark {
    const mark = this.#home.tables.mark(this.state.id!, offset);
    // Deleted by hand: it counts for nothing, and is found to be missing when it is read.
    return mark ?? { time: Infinity, before: this.state.bytes };
  }

  *#remembered(from: number, to: number): Generator<Message> {
    for (let offset = from; offset <= to; offset++) yield this.#tail.get(offset)!;
  }

  *#stored(from: number, to: number): Generator<Message> {
    const { state } = this;
    let next = from;
    for (const message of this.#home.tables.messages(this.channel, state, from, to)) {
      if (message.offset !== next) break;
      yield message;
      next++;
    }
    if (next <= to) this.#skipHole(next);
  }

  /** Reads into memory what lies between `from` and the tail, when it is not much. */
  #fill(from: number): void {
    const { state } = this;
    const to = Math.min(this.#tail.first - 1, state.top);
    const count = to - from + 1;
    if (count > MOST_FILL_COUNT) return;
    const bytes =
      (this.#tail.isEmpty ? state.bytes : this.#markOf(to + 1).before) - this.#markOf(from).before;
    if (!(bytes <= FILL_BYTES)) return;
    if (count > FILL_COUNT && !this.#home.memory.hasRoomFor(count, bytes)) return;
    const messages = [...this.#stored(from, to)];
    if (messages.length === count) this.#tail.prepend(messages);
  }

  /** Messages were deleted by hand: those before the hole can't be given any more, and who reads is told. */
  #skipHole(offset: number): void {
    const { id, top, first } = this.state;
    const after = this.#home.tables.afterHole(id!, first, top);
    this.#home.failed(
      new Error(
        `messages of channel "${this.channel}" are missing from offset ${offset} on: the history before offset ${after} is given up`,
      ),
    );
    this.#keepFrom(Math.max(after, offset + 1));
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      this.#home.failed(error);
      throw storageFailed(this.channel, "read");
    }
  }
}

function isKept(row: ChannelRow, { size, ttlMs }: Retention): boolean {
  return row.keepCount === size && row.keepMs === Math.min(ttlMs, Number.MAX_SAFE_INTEGER);
}

/** One message at least, then as many as the limit allows. */
function take(source: Iterable<Message>, limit: ReadLimit): Message[] {
  const messages: Message[] = [];
  let bytes = 0;
  for (const message of source) {
    if (messages.length >= limit.count) break;
    if (messages.length > 0 && bytes + message.size > limit.bytes) break;
    messages.push(message);
    bytes += message.size;
  }
  return messages;
}
