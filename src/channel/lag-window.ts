/** What the subscribers of a channel that lag have still to get: one for all of them, and bounded. */
import { costOf, type FanOutGroup } from "./fan-out.ts";
import type { LagBudget } from "./lag-budget.ts";
import type { Message } from "./message.ts";

export class LagWindow implements FanOutGroup {
  /** Subscribers that read from it. */
  size = 0;
  readonly #budget: LagBudget;
  /** In order of their offsets; of one that was dropped its offset is left, until the next `#compact`. */
  #messages: (Message | number)[] = [];
  /** Where in `#messages` the newest of each key is; null where keys do not count. */
  readonly #byKey: Map<string | undefined, number> | null;
  #kept = 0;
  #bytes = 0;
  #oldest = 0;
  /** Offset of the newest message that it was given for those that lag now. */
  #top = 0;

  /**
   * @param isLatest Of each key the newest message alone is kept; messages without a key are of one key
   *   together.
   * @param budget What it may keep, or one message where that is larger; the oldest goes first.
   */
  constructor(isLatest: boolean, budget: LagBudget) {
    this.#byKey = isLatest ? new Map() : null;
    this.#budget = budget;
  }

  /** Bytes that it keeps. */
  get bytes(): number {
    return this.#bytes;
  }

  deliver(batch: readonly Message[]): void {
    this.cover(batch);
  }

  /**
   * Takes in a batch, or what it has not got of it yet. A subscriber begins to lag in the middle of a
   * delivery; the window may have been served in this round before, be served later, or be so new that
   * it is not in the round at all. By offset each of these comes to the same.
   */
  cover(batch: readonly Message[]): void {
    for (const message of batch) {
      if (message.offset <= this.#top) continue;
      this.#top = message.offset;
      this.#add(message);
    }
  }

  /**
   * One subscriber less. With the last one all goes: who lags next begins with what comes then, which may be
   * the batch under way once more.
   */
  leave(): void {
    if (--this.size > 0) return;
    this.#messages = [];
    this.#byKey?.clear();
    this.#budget.bytes -= this.#bytes;
    this.#kept = this.#bytes = this.#oldest = this.#top = 0;
  }

  /**
   * The next messages after `after` whose offsets have no hole between them.
   *
   * @param bytes Bytes of data after which no further message is added; the first is always given.
   */
  read(after: number, count: number, bytes: number): readonly Message[] {
    const messages = this.#messages;
    const run: Message[] = [];
    let taken = 0;
    for (let at = indexAfter(messages, after); at < messages.length; at++) {
      const message = messages[at]!;
      if (typeof message === "number") {
        if (run.length > 0) break;
        continue;
      }
      const isHole = run.length > 0 && message.offset !== run[run.length - 1]!.offset + 1;
      if (isHole || run.length >= count || (run.length > 0 && taken >= bytes)) break;
      run.push(message);
      taken += message.size;
    }
    return run;
  }

  #add(message: Message): void {
    if (this.#byKey) {
      const replaced = this.#byKey.get(message.key);
      if (replaced !== undefined) this.#drop(replaced);
      this.#byKey.set(message.key, this.#messages.length);
    }
    this.#messages.push(message);
    this.#kept++;
    this.#count(costOf(message));
    while (this.#isOver && this.#kept > 1) this.#dropOldest();
    // Not by who reads: with many keys each message would cost as much as all of them.
    if (this.#messages.length > 2 * this.#kept + 64) this.#compact();
  }

  get #isOver(): boolean {
    return this.#bytes > this.#budget.bytesEach || this.#budget.isOver;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#budget.bytes += bytes;
  }

  #dropOldest(): void {
    while (typeof this.#messages[this.#oldest] === "number") this.#oldest++;
    this.#byKey?.delete((this.#messages[this.#oldest] as Message).key);
    this.#drop(this.#oldest);
  }

  #drop(index: number): void {
    const message = this.#messages[index] as Message;
    this.#count(-costOf(message));
    this.#kept--;
    this.#messages[index] = message.offset;
  }

  #compact(): void {
    const messages = this.#messages.filter((message) => typeof message !== "number");
    this.#messages = messages;
    this.#oldest = 0;
    if (!this.#byKey) return;
    for (const [index, { key }] of messages.entries()) this.#byKey.set(key, index);
  }
}

/** Index of the first that was sent after this offset. */
function indexAfter(messages: readonly (Message | number)[], offset: number): number {
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const message = messages[middle]!;
    if ((typeof message === "number" ? message : message.offset) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
