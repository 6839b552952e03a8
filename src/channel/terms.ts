/** What a publisher asks for beside its drafts: after which message they may come, and what is kept with them. */

export interface Terms {
  /**
   * Position that MUST be the log's newest at the commit, else nothing is committed: for writers that must
   * not overwrite one another. Compared as it is written.
   */
  readonly expect?: string | undefined;
  readonly receipt?: Receipt | undefined;
}

/** What is kept of a publish, so that the same one, sent again, is answered and not published again. */
export interface Receipt {
  /** Unique in its channel as long as it is kept; at most 512 characters. */
  readonly key: string;
  /** What the publish held: another one with the same key is told from it by this. */
  readonly fingerprint: string;
  /** Of the publisher's own, to answer again by. Read once, when the drafts are committed. */
  readonly note: string;
  /** Milliseconds, from the commit on, that it is kept. */
  readonly keepMs: number;
}

/** A receipt, with what was committed under it. */
export interface KeptReceipt {
  readonly fingerprint: string;
  readonly note: string;
  /** The log's epoch at the commit. A log that has another by now keeps the receipt all the same. */
  readonly epoch: string;
  /** Offsets of the first and the last message; `last` is `first - 1` where nothing was committed. */
  readonly first: number;
  readonly last: number;
}
