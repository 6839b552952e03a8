/** The newest message of each key of one channel, in memory. */
import type { ReadLimit, Retention, StatePage } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import {
  changeState,
  isDeletion,
  type Change,
  type StateChange,
  type StateSize,
} from "../channel/state.ts";

/** Places of messages that are gone are given back when they are more than half, and more than these. */
const MIN_HOLES = 64;

export class MemoryState {
  readonly #channel: string;
  /** What was newest when it was built of a part of a history; 0 where it holds all that there is. */
  readonly #since: number;
  /** In order of offset; null where one was replaced or deleted. */
  #messages: (Message | null)[] = [];
  #offsets: number[] = [];
  /** Where each key's message is among them. */
  readonly #places = new Map<string, number>();
  size: StateSize = { keys: 0, bytes: 0 };
  /** @see StatePage.unkept */
  #unkept: number;

  constructor(channel: string, since = 0) {
    this.#channel = channel;
    this.#since = this.#unkept = since;
  }

  /**
   * @returns What drafts would make of it.
   * @throws {StateFullError} When that would be too large.
   */
  check(drafts: readonly Change[], bounds: Pick<Retention, "maxKeys" | "maxBytes">): StateChange {
    const sizeOf = (key: string) => this.#find(key)?.size ?? null;
    return changeState(this.#channel, drafts, this.size, sizeOf, bounds);
  }

  /** @param batch What the drafts that were checked became. */
  apply(change: StateChange, batch: readonly Message[]): void {
    const { newest, size, unkept } = change;
    this.size = size;
    if (unkept >= 0) this.#unkept = batch[unkept]!.offset;
    for (const [index, message] of batch.entries()) {
      const { key } = message;
      if (key === undefined || newest.get(key) !== index) continue;
      const place = this.#places.get(key);
      if (place !== undefined) this.#messages[place] = null;
      if (isDeletion(message)) this.#places.delete(key);
      else {
        this.#places.set(key, this.#messages.push(message) - 1);
        this.#offsets.push(message.offset);
      }
    }
    const holes = this.#messages.length - this.#places.size;
    if (holes > MIN_HOLES && holes > this.#places.size) this.#closeHoles();
  }

  /** @returns null for a snapshot that was begun before this was built of a part of a history. */
  read(after: number, limit: ReadLimit): StatePage | null {
    if (limit.through < this.#since) return null;
    const messages: Message[] = [];
    let bytes = 0;
    for (let place = this.#placeAfter(after); place < this.#messages.length; place++) {
      const message = this.#messages[place];
      if (!message) continue;
      if (message.offset > limit.through) break;
      const isFull = messages.length >= limit.count || bytes + message.size > limit.bytes;
      if (isFull && messages.length > 0) return { messages, isEnd: false, unkept: this.#unkept };
      messages.push(message);
      bytes += message.size;
    }
    return { messages, isEnd: true, unkept: this.#unkept };
  }

  #find(key: string): Message | null {
    const place = this.#places.get(key);
    return place === undefined ? null : this.#messages[place]!;
  }

  /** The first place with an offset after this one. */
  #placeAfter(offset: number): number {
    let low = 0;
    let high = this.#offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#offsets[middle]! > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #closeHoles(): void {
    const messages = this.#messages.filter((message) => message !== null);
    this.#messages = messages;
    this.#offsets = messages.map(({ offset }) => offset);
    for (const [place, { key }] of messages.entries()) this.#places.set(key!, place);
  }
}
