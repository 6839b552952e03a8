/** What there is to get of a channel: one life of its log, and a state of it. Its clients are checked against it. */
import type { Channel } from "./channel.ts";
import type { Retention } from "./log.ts";
import type { Message } from "./message.ts";

/** One life of a log: all that it committed, and how much of that may be gone by now. */
export class Life {
  readonly channel: Channel;
  readonly all: Message[] = [];
  readonly failures: string[];
  readonly #retention: Retention;
  readonly #now: () => number;
  #gone = 0;

  constructor(channel: Channel, retention: Retention, now: () => number, failures: string[]) {
    this.channel = channel;
    this.failures = failures;
    this.#retention = retention;
    this.#now = now;
  }

  commit(batch: readonly Message[]): void {
    for (const message of batch) {
      this.all.push(message);
      this.check(message.offset === this.all.length, `committed offset ${message.offset}`);
    }
    this.gone();
  }

  /** Offset up to which the retention may have evicted. */
  gone(): number {
    const { size, ttlMs } = this.#retention;
    const oldest = this.#now() - ttlMs;
    this.#gone = Math.max(this.#gone, this.all.length - size);
    while (this.#gone < this.all.length && this.all[this.#gone]!.time <= oldest) this.#gone++;
    return this.#gone;
  }

  /** The newest message of each key among the first `count`, deletions aside. */
  state(count: number = this.all.length): Map<string, Message> {
    const state = new Map<string, Message>();
    for (const message of this.all.slice(0, count)) {
      if (message.key === undefined) continue;
      state.delete(message.key);
      if (message.data !== null) state.set(message.key, message);
    }
    return state;
  }

  /** Checks that what a client has not got between two offsets is no longer history, and replaced. */
  checkPassed(after: number, through: number, who: string): void {
    this.check(this.gone() >= through, `${who}: what is kept up to ${through} is left out`);
    for (const { id, key } of this.all.slice(after, through)) {
      const newest = this.all.findLast((each) => each.key === key)!;
      const isReplaced = key !== undefined && newest.id !== id;
      this.check(isReplaced, `${who}: ${id} is left out, and is not replaced`);
    }
  }

  /** Failures are gathered, as an error thrown in a delivery would be caught on its way. */
  check(condition: boolean, message: string): void {
    if (!condition) this.failures.push(message);
  }
}

/** A state that is given to a client: the newest of each key through an offset, but for what changed since. */
export class Snapshot {
  readonly through: number;
  /** Offset up to which it was given. */
  #at: number;
  readonly #life: Life;
  readonly #check: (condition: boolean, message: string) => void;

  /** @param after What comes up to this offset was given before. */
  constructor(
    life: Life,
    after: number,
    through: number,
    check: (condition: boolean, message: string) => void,
  ) {
    this.#life = life;
    this.#at = after;
    this.through = through;
    this.#check = check;
  }

  saw({ offset, id }: Pick<Message, "offset" | "id">): void {
    this.#check(offset > this.#at, `${id} of the state after offset ${this.#at}`);
    const isOfState = this.#life
      .state(this.through)
      .values()
      .some((each) => each.id === id);
    this.#check(isOfState, `${id} of the state, which is no longer part of it`);
    this.#checkLeftOut(offset);
    this.#at = offset;
  }

  end(): void {
    this.#checkLeftOut(Infinity);
  }

  /** A key that changes while the state is given drops out of it: the change comes later. */
  #checkLeftOut(before: number): void {
    const changed = new Set(this.#life.all.slice(this.through).map(({ key }) => key));
    for (const [key, { id, offset }] of this.#life.state(this.through)) {
      const isLeftOut = offset > this.#at && offset < before && !changed.has(key);
      this.#check(!isLeftOut, `the state without ${id}`);
    }
  }
}
