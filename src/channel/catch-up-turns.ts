/**
 * Those that catch up take turns: when thousands come back at once, what is live goes out between their
 * pages, and no more of the pages are under way than one turn of the event loop has room for.
 */
import { atTurnEnd, type TurnWork } from "./turn.ts";

/** One that catches up. */
export interface CatchingUp {
  /** It is its turn. One that has left meanwhile does nothing. */
  goOn(): void;
}

/** Bytes of history that are written in one turn of the event loop, or one page where that is larger. */
const BYTES_A_TURN = 512 * 1024;

/** About the time that it takes to write these, in milliseconds. */
const MS_A_TURN = 2;

/** In a long turn they get as much time as all else had, but no more than so many times their bytes. */
const MOST = 16;

/** What a page counts for beside its data, and a message in it. */
const PAGE_BYTES = 4096;
const MESSAGE_BYTES = 64;

export class CatchUpTurns implements TurnWork {
  readonly #bytesATurn: number;
  readonly #now: () => number;
  #left: number;
  /** In the order in which they came; those before `#head` had their turn. */
  #waiting: (CatchingUp | undefined)[] = [];
  #head = 0;
  #isServing = false;
  #isQueued = false;
  /** When it was queued: the rest of the turn is what came after that. */
  #queuedMs = 0;

  /** @param now Milliseconds that only go up. */
  constructor(bytesATurn = BYTES_A_TURN, now: () => number = () => performance.now()) {
    this.#bytesATurn = this.#left = bytesATurn;
    this.#now = now;
  }

  /** Whether it may read and write a page now. Where it may not, `goOn` is called in a later turn. */
  has(reader: CatchingUp): boolean {
    // The next turn has its own bytes.
    this.#queue();
    const isNext = this.#isServing || this.#head === this.#waiting.length;
    if (isNext && this.#left > 0) {
      // Before it is read, which may take until a later turn.
      this.#left -= PAGE_BYTES;
      return true;
    }
    this.#waiting.push(reader);
    return false;
  }

  /** Counts what was read for a page. */
  spend(messages: readonly { readonly size: number }[]): void {
    for (const { size } of messages) this.#left -= size + MESSAGE_BYTES;
  }

  flush(): void {
    this.#isQueued = false;
    // A server that is busy with what is live has few turns: history would all but stand still.
    const share = (this.#now() - this.#queuedMs) / MS_A_TURN;
    this.#left = this.#bytesATurn * Math.min(MOST, Math.max(1, share));
    this.#isServing = true;
    try {
      // Who has to wait again is behind these.
      for (const end = this.#waiting.length; this.#head < end && this.#left > 0;) {
        const reader = this.#waiting[this.#head]!;
        this.#waiting[this.#head++] = undefined;
        reader.goOn();
      }
    } finally {
      this.#isServing = false;
      // Moved down once in a while: constant cost a reader, though some may wait at any time.
      if (this.#head * 2 >= this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#head);
        this.#head = 0;
      }
      if (this.#waiting.length > 0) this.#queue();
    }
  }

  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#queuedMs = this.#now();
    atTurnEnd(this);
  }
}
