/** Sends each batch of a channel to every group of subscribers: encoded once a group. */
import type { Message } from "./message.ts";
import { atTurnEnd, type TurnWork } from "./turn.ts";

/**
 * Subscribers of one channel that get the same bytes: one transport, one framing.
 * A transport implements it; its members join and leave without the channel knowing.
 */
export interface FanOutGroup {
  /** Members now. The group is let go of when it is empty at the end of a batch. */
  readonly size: number;
  /**
   * Writes one batch to every member. MUST encode it once and MUST NOT throw, wait, or let a member
   * join: all members of all groups are served in this very turn.
   */
  deliver(batch: readonly Message[]): void;
}

/** One that waits for a message to be sent out. */
interface Waiter {
  readonly offset: number;
  readonly then: () => void;
}

/** What a message counts for beside its data and names: without it, a batch could have any number. */
const OVERHEAD_BYTES = 96;

/**
 * How fast it goes on with what was too much for one turn. A turn alone is too short for a client to
 * read in: one that keeps up on a fast network would be taken for a slow one after a large batch.
 */
const PACE_BYTES_PER_MS = 64 * 1024;

export class FanOut implements TurnWork {
  readonly #groups = new Map<string, FanOutGroup>();
  readonly #onError: (error: unknown) => void;
  readonly #maxBatchBytes: number;
  #pending: Message[] = [];
  #pendingBytes = 0;
  #queued = false;
  #delivering = false;
  readonly #afterDelivery: (() => void)[] = [];
  #waiters: Waiter[] = [];
  #flushed: number;

  /**
   * @param top Offset of the newest message at the start: nothing up to it is sent again.
   * @param maxBatchBytes Bytes of one batch, or one message where that is larger. What is over it waits
   *   for a later turn, so that a client that keeps up is not taken for a slow one.
   * @param onError MUST NOT throw.
   */
  constructor(top: number, maxBatchBytes: number, onError: (error: unknown) => void) {
    this.#flushed = top;
    this.#maxBatchBytes = maxBatchBytes;
    this.#onError = onError;
  }

  /** Bytes that wait to be sent out. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Offset up to which every group has been served. */
  get flushed(): number {
    return this.#flushed;
  }

  /** A batch is going out: some groups have had it, others not yet, so nobody may join now. */
  get isDelivering(): boolean {
    return this.#delivering;
  }

  /** Calls `then` once the batch that is going out is out, before any other: one may join there. */
  afterDelivery(then: () => void): void {
    this.#afterDelivery.push(then);
  }

  /** Calls `then` once the message with this offset, which is committed, is out. One may join there. */
  whenFlushed(offset: number, then: () => void): void {
    this.#waiters.push({ offset, then });
  }

  /** Members of all groups. */
  get size(): number {
    let size = 0;
    for (const group of this.#groups.values()) size += group.size;
    return size;
  }

  /**
   * The group with this key, made when it is missing. To be asked for in the turn of the join: one
   * that is empty when a batch goes out is let go of, and a member that joins it later hears nothing.
   */
  group<G extends FanOutGroup>(key: string, create: () => G): G {
    let group = this.#groups.get(key);
    if (!group) this.#groups.set(key, (group = create()));
    return group as G;
  }

  /** Takes in what was committed; it goes out when the turn ends, or in several turns when it is much. */
  push(batch: readonly Message[]): void {
    for (const message of batch) {
      this.#pending.push(message);
      this.#pendingBytes += costOf(message);
    }
    this.#queue();
  }

  /**
   * Sends out one batch of what was taken in. Within a delivery it does nothing: that batch has to be
   * out first.
   */
  flush(): void {
    if (this.#delivering) return;
    // One that waits to join may ask for this flush: the others join first, or they would miss it.
    this.#letJoin();
    this.#queued = false;
    if (this.#pending.length === 0) return;
    const pendingBytes = this.#pendingBytes;
    const batch = this.#takeBatch();
    this.#queue(pendingBytes - this.#pendingBytes);
    this.#flushed = batch[batch.length - 1]!.offset;
    this.#delivering = true;
    try {
      // A copy, so that a group made meanwhile, whose members have the batch already, is left out.
      for (const [key, group] of [...this.#groups]) {
        if (group.size === 0) this.#groups.delete(key);
        else this.#try(() => group.deliver(batch));
      }
    } finally {
      this.#delivering = false;
    }
    this.#letJoin();
  }

  /** @param sentBytes Bytes of the batch before, which the subscribers get time to read. */
  #queue(sentBytes = 0): void {
    if (this.#queued || this.#pending.length === 0) return;
    this.#queued = true;
    const pauseMs = sentBytes / PACE_BYTES_PER_MS;
    if (pauseMs < 1) atTurnEnd(this);
    else setTimeout(() => this.flush(), pauseMs);
  }

  #takeBatch(): readonly Message[] {
    const pending = this.#pending;
    // Where nobody listens nothing has to be paced.
    if (this.#pendingBytes <= this.#maxBatchBytes || this.#groups.size === 0) {
      this.#pending = [];
      this.#pendingBytes = 0;
      return pending;
    }
    let bytes = costOf(pending[0]!);
    let count = 1;
    for (; count < pending.length; count++) {
      const cost = costOf(pending[count]!);
      if (bytes + cost > this.#maxBatchBytes) break;
      bytes += cost;
    }
    this.#pendingBytes -= bytes;
    return pending.splice(0, count);
  }

  #letJoin(): void {
    if (this.#waiters.length > 0) this.#letWaitersJoin();
    for (let then; (then = this.#afterDelivery.shift());) this.#try(then);
  }

  #letWaitersJoin(): void {
    const waiters = this.#waiters;
    this.#waiters = waiters.filter(({ offset }) => offset > this.#flushed);
    for (const { offset, then } of waiters) {
      if (offset <= this.#flushed) this.#afterDelivery.push(then);
    }
  }

  /** What throws, though its contract forbids it, must not keep the batch from the others. */
  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#onError(error);
    }
  }
}

/** About as many bytes as the message takes on the wire, whatever the framing. */
export function costOf({ size, channel, event, key }: Message): number {
  return size + channel.length + (event?.length ?? 0) + (key?.length ?? 0) + OVERHEAD_BYTES;
}
