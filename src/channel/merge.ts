/** Reads several channels as one: in each its own order, and the oldest of all first. */
import type { Gap } from "./cursor.ts";
import type { Lane } from "./lane.ts";
import type { MaybePromise, ReadLimit } from "./log.ts";
import type { Message } from "./message.ts";

/** What one read gave: each gap comes before all messages of its channel. */
export interface MergeStep {
  readonly gaps: readonly { readonly lane: Lane; readonly gap: Gap }[];
  readonly messages: readonly Message[];
}

export type MergeLimit = Omit<ReadLimit, "through">;

export class Merge {
  /** Those that are not live yet; a channel that goes is taken out. */
  readonly lanes: Set<Lane>;
  readonly #ahead: number;

  /** @param ahead Messages that are read of one channel at once, at most. */
  constructor(lanes: Iterable<Lane>, ahead: number) {
    this.lanes = new Set(lanes);
    this.#ahead = ahead;
  }

  /** Whether there is nothing to read. */
  get isLevel(): boolean {
    for (const lane of this.lanes) if (!lane.isLevel) return false;
    return true;
  }

  /**
   * Reads what comes next, of the channels that are not live. What it keeps for later reads has no more
   * bytes than `limit`, and one message, which may be larger.
   */
  read(limit: MergeLimit): MaybePromise<MergeStep> {
    const filled = this.#fill(limit.bytes);
    return filled instanceof Promise ? filled.then(() => this.#take(limit)) : this.#take(limit);
  }

  /** Reads ahead, channel by channel, so that the oldest can be told. */
  #fill(maxBytes: number): MaybePromise<void> {
    const empty = [...this.lanes].filter((lane) => lane.isEmpty);
    // Where the bytes run out some channels are left out. Another one is first each time, or one that
    // is busy would keep the others' turn from coming.
    const first = Math.floor(Math.random() * empty.length);
    const queue = [...empty.slice(first), ...empty.slice(0, first)];
    const share = { count: this.#ahead, bytes: Math.ceil(maxBytes / Math.max(1, this.lanes.size)) };
    const next = (): MaybePromise<void> => {
      while (this.#bytes < maxBytes) {
        const lane = queue.shift();
        if (!lane) return;
        if (!this.lanes.has(lane)) continue;
        const read = lane.read(share);
        if (!(read instanceof Promise)) continue;
        return read.then(next, (error) => {
          // The log of a channel that went meanwhile: the others are read on.
          if (!this.lanes.has(lane)) return next();
          throw error;
        });
      }
    };
    return next();
  }

  /** Bytes that wait to be taken. */
  get #bytes(): number {
    let bytes = 0;
    for (const lane of this.lanes) bytes += lane.bytes;
    return bytes;
  }

  #take({ count, bytes: maxBytes }: MergeLimit): MergeStep {
    const gaps: { lane: Lane; gap: Gap }[] = [];
    for (const lane of this.lanes) {
      const gap = lane.takeGap();
      if (gap) gaps.push({ lane, gap });
    }
    const messages: Message[] = [];
    for (let bytes = 0; messages.length < count && bytes < maxBytes;) {
      const lane = this.#oldest();
      if (!lane) break;
      const message = lane.take();
      messages.push(message);
      bytes += message.size;
      // What it has next may be older than what the others have.
      if (lane.isEmpty) break;
    }
    return { gaps, messages };
  }

  #oldest(): Lane | null {
    let oldest: Lane | null = null;
    for (const lane of this.lanes) {
      if (lane.next && (oldest === null || lane.next.time < oldest.next!.time)) oldest = lane;
    }
    return oldest;
  }
}
