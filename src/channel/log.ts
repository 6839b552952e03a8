/** What a channel needs of a broker: one ordered log. A broker implements it; see broker/broker.ts. */
import type { Message, SealedDraft } from "./message.ts";
import type { KeptReceipt, Terms } from "./terms.ts";

export type MaybePromise<T> = T | Promise<T>;

export interface ReadLimit {
  /** Offset to read up to, itself included. */
  readonly through: number;
  readonly count: number;
  /** Bytes of data after which no further message is added; the first is always given. */
  readonly bytes: number;
}

export interface Page {
  /** In order, with no hole, all after the offset that was asked for. */
  readonly messages: readonly Message[];
  /** Offset of the oldest message kept when the page was read; `top + 1` when none is. */
  readonly first: number;
}

/** Messages of the state: the newest of each key. */
export interface StatePage {
  /** In order of offset. There are holes: what was replaced, deleted, or has no key. */
  readonly messages: readonly Message[];
  /** MUST say whether these are the last ones up to `ReadLimit.through`. */
  readonly isEnd: boolean;
  /**
   * Offset of the newest message that is not in the state though no other of its key replaced it: one with no
   * key, or a deletion; 0 where there was none. MAY be larger, up to `top`. Who has the state as it was there, or
   * later, needs no history to get level: the state has all that counts.
   */
  readonly unkept: number;
}

export interface Log {
  readonly epoch: string;
  /** Offset of the newest committed message; 0 when there was none. */
  readonly top: number;
  /**
   * Commits drafts, all or none, in order, with one offset each; calls in the order they were made in.
   * MUST call the log's `onCommit` with the same messages before it returns or resolves.
   *
   * What `terms` say holds at the commit, with all that was to be appended before: a receipt is kept
   * together with the messages (in one transaction, where there are any) or neither is; drafts may be
   * none, then the receipt alone is kept and `onCommit` is not called.
   *
   * @throws {PositionError} When the log's top is not the one that `terms` expect.
   * @throws {StateFullError} When the state would have too many keys, or bytes, and more than before.
   */
  append(drafts: readonly SealedDraft[], terms?: Terms): MaybePromise<readonly Message[]>;
  /**
   * The receipt that was kept under this key, by this log or an earlier one of the same channel; null where
   * there is none or it is over. A broker may forget the oldest when it holds too many (see broker.ts).
   */
  receipt(key: string): MaybePromise<KeptReceipt | null>;
  /** Messages after `after`. MUST leave no hole: when some are gone, it starts at `first`. */
  read(after: number, limit: ReadLimit): MaybePromise<Page>;
  /**
   * Messages of the state with an offset after `after`: the newest message of each key, as it is now, which is
   * kept however old it is. A key whose newest message is a deletion (see state.ts) is not in it.
   *
   * @returns null where the log keeps no state (see `Retention.latestByKey`), or began to when it was beyond
   *   `limit.through`, with a part of its history gone: then a snapshot from before can't go on.
   */
  readState(after: number, limit: ReadLimit): MaybePromise<StatePage | null>;
  /** Whether it keeps the newest message of each key. */
  readonly keepsState: boolean;
  /**
   * Keeps another amount of history from here on. What is over it MUST be gone for the next read. A state that
   * is to be kept from here on begins as what the history holds of it; one that is not, is gone.
   */
  retain(retention: Retention): void;
  stat(): LogStat;
  close(): void;
}

export interface LogStat {
  /** Number of messages kept as history, and their bytes. */
  readonly count: number;
  readonly bytes: number;
  /** Keys of the state, and the bytes of their messages; left out where none is kept. */
  readonly state?: { readonly keys: number; readonly bytes: number };
}

/** How much history a log keeps. */
export interface Retention {
  /** Messages at most; 0 keeps none. */
  readonly size: number;
  /** Milliseconds a message is kept at most. */
  readonly ttlMs: number;
  /** Bytes of data at most; no limit where it is left out. A message that is larger is not kept at all. */
  readonly maxBytes?: number;
  /**
   * Keeps the newest message of each key beside the history, for as long as the log lives. Its bytes are within
   * `maxBytes` too, each for itself.
   */
  readonly latestByKey?: boolean;
  /** Keys of the state at most; no limit where it is left out. */
  readonly maxKeys?: number;
}
