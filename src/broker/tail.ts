/** Keeps the newest messages of each log in memory, so that most who resume are served without the disk. */
import type { Message } from "../channel/message.ts";

/** What a message takes beside its data, about. */
const OVERHEAD_BYTES = 250;

/** A bound on the memory of all tails: those that were used least of late give way. */
export class TailMemory {
  readonly #maxBytes: number;
  /** In order of use. */
  readonly #tails = new Set<Tail>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether so many more messages, of so many bytes of data, would drive no other out. */
  hasRoomFor(count: number, bytes: number): boolean {
    return this.#bytes + bytes + count * OVERHEAD_BYTES <= this.#maxBytes;
  }

  /** @param change Bytes that the tail has more than before. */
  used(tail: Tail, change: number): void {
    this.#tails.delete(tail);
    this.#tails.add(tail);
    this.#bytes += change;
    while (this.#bytes > this.#maxBytes) {
      const [oldest] = this.#tails;
      if (oldest === tail) return tail.halve();
      oldest!.clear();
    }
  }

  freed(tail: Tail, bytes: number): void {
    this.#bytes -= bytes;
    if (tail.isEmpty) this.#tails.delete(tail);
  }
}

/** The newest messages of one log: without a hole, up to the log's top. */
export class Tail {
  readonly #memory: TailMemory;
  /** They are `#messages[#head]` and on. */
  #messages: (Message | undefined)[] = [];
  #head = 0;

  constructor(memory: TailMemory) {
    this.#memory = memory;
  }

  get isEmpty(): boolean {
    return this.#head === this.#messages.length;
  }

  /** Offset of the oldest message that it holds; Infinity when it holds none. */
  get first(): number {
    return this.#messages[this.#head]?.offset ?? Infinity;
  }

  /** The message with this offset, which MUST NOT be before `first`. */
  get(offset: number): Message | undefined {
    return this.#messages[this.#head + offset - this.first];
  }

  /** Adds what was committed. */
  push(batch: readonly Message[]): void {
    for (const message of batch) this.#messages.push(message);
    this.#memory.used(this, costOf(batch));
  }

  /** Adds what lies right before `first`, or ends with the log's top when it is empty. */
  prepend(messages: readonly Message[]): void {
    this.#messages = [...messages, ...this.#messages.slice(this.#head)];
    this.#head = 0;
    this.#memory.used(this, costOf(messages));
  }

  /** Lets go of what comes before `offset`. */
  trim(offset: number): void {
    let bytes = 0;
    while (this.first < offset) {
      bytes += cost(this.#messages[this.#head]!);
      this.#messages[this.#head++] = undefined;
    }
    // Moved down once in a while rather than at each trim: constant cost a message.
    if (this.isEmpty || (this.#head > 32 && this.#head * 2 > this.#messages.length)) {
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
    if (bytes > 0) this.#memory.freed(this, bytes);
  }

  /** Lets go of the older half. */
  halve(): void {
    this.trim(this.first + Math.ceil((this.#messages.length - this.#head) / 2));
  }

  clear(): void {
    this.trim(Infinity);
  }
}

function costOf(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + cost(message), 0);
}

function cost(message: Message): number {
  return message.size + OVERHEAD_BYTES;
}
