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

export class FanOut implements TurnWork {
  readonly #groups = new Map<string, FanOutGroup>();
  readonly #onError: (error: unknown) => void;
  #pending: Message[] = [];
  #queued = false;
  #delivering = false;
  readonly #afterDelivery: (() => void)[] = [];
  #flushed: number;

  /**
   * @param top Offset of the newest message at the start: nothing up to it is sent again.
   * @param onError MUST NOT throw.
   */
  constructor(top: number, onError: (error: unknown) => void) {
    this.#flushed = top;
    this.#onError = onError;
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

  /** Takes in what was committed; it goes out when the turn ends. */
  push(batch: readonly Message[]): void {
    for (const message of batch) this.#pending.push(message);
    if (!this.#queued && batch.length > 0) {
      this.#queued = true;
      atTurnEnd(this);
    }
  }

  /** Sends out what was taken in. Within a delivery it does nothing: that batch has to be out first. */
  flush(): void {
    if (this.#delivering) return;
    // One that waits to join may ask for this flush: the others join first, or they would miss it.
    this.#letJoin();
    this.#queued = false;
    const batch = this.#pending;
    if (batch.length === 0) return;
    this.#pending = [];
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

  #letJoin(): void {
    for (let then; (then = this.#afterDelivery.shift());) this.#try(then);
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
