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
   */
  append(drafts: readonly SealedDraft[], terms?: Terms): MaybePromise<readonly Message[]>;
  /**
   * The receipt that was kept under this key, by this log or an earlier one of the same channel; null where
   * there is none or it is over. A broker may forget the oldest when it holds too many (see broker.ts).
   */
  receipt(key: string): MaybePromise<KeptReceipt | null>;
  /** Messages after `after`. MUST leave no hole: when some are gone, it starts at `first`. */
  read(after: number, limit: ReadLimit): MaybePromise<Page>;
  /** Keeps another amount of history from here on. What is over it MUST be gone for the next read. */
  retain(retention: Retention): void;
  /** Number of messages kept and their bytes. */
  stat(): { readonly count: number; readonly bytes: number };
  close(): void;
}

/** How much history a log keeps. */
export interface Retention {
  /** Messages at most; 0 keeps none. */
  readonly size: number;
  /** Milliseconds a message is kept at most. */
  readonly ttlMs: number;
  /** Bytes of data at most; no limit where it is left out. A message that is larger is not kept at all. */
  readonly maxBytes?: number;
}
