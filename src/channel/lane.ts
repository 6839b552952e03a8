/** One channel's part of a stream that carries many: what was read of it, and what was given. */
import type { Channel } from "./channel.ts";
import { Cursor, type Gap, type Step } from "./cursor.ts";
import type { MaybePromise, ReadLimit } from "./log.ts";
import type { Message } from "./message.ts";
import { formatStatePlace, parseResume, type Position, type Start } from "./position.ts";

/** Where a client is in one channel. */
export interface Place {
  readonly position: Position;
  /**
   * It asked for history without a position and was given nothing yet: what is gone by then is no gap,
   * for it was never told that there was any.
   */
  readonly isSilent: boolean;
  /** Where this is a place within a snapshot of the state: what that goes up to (see `StatePlace`). */
  readonly through?: number | undefined;
}

/** How a client starts that comes back to a place. */
export function startAt({ position, isSilent, through }: Place, { log, fanOut }: Channel): Start {
  if (through !== undefined) return { from: "state", place: { position, through } };
  // Of another life of the log: there was something, whatever it was.
  if (!isSilent || position.epoch !== log.epoch) return { from: "after", position };
  return { from: "last", count: Math.max(0, fanOut.flushed - position.offset) };
}

export class Lane {
  readonly channel: Channel;
  /** Where a client that comes back goes on. */
  place: Place;
  /** It hears what the fan-out sends from now on. */
  isLive = false;
  readonly #cursor: Cursor;
  /** Read and not given yet. */
  #ahead: readonly Message[] = [];
  #given = 0;
  #bytes = 0;
  #gap: Gap | null = null;

  constructor(channel: Channel, start: Start) {
    this.channel = channel;
    this.#cursor = new Cursor(channel, start.from === "live" ? fromNow(channel) : start);
    this.place =
      start.from === "after"
        ? { position: start.position, isSilent: false }
        : start.from === "state"
          ? // As it was shown: of another life of the log, too.
            at(start.place ? formatStatePlace(start.place) : this.#cursor.position)
          : { ...at(this.#cursor.position), isSilent: start.from !== "live" };
  }

  get name(): string {
    return this.channel.name;
  }

  /** Whether all that the fan-out has sent was given, and every gap told. */
  get isLevel(): boolean {
    return this.next === null && this.#gap === null && this.#cursor.isLevel;
  }

  /** It has to be read before it can be told what comes next. */
  get isEmpty(): boolean {
    return this.next === null && !this.#cursor.isLevel;
  }

  /** The next message to be given, of those that were read. */
  get next(): Message | null {
    return this.#ahead[this.#given] ?? null;
  }

  /** Bytes of data that were read and not taken yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Reads what comes next. MUST be called where it is empty alone. */
  read(limit: Omit<ReadLimit, "through">): MaybePromise<void> {
    const step = this.#cursor.read(limit);
    return step instanceof Promise ? step.then((late) => this.#keep(late)) : this.#keep(step);
  }

  #keep({ gap, messages }: Step): void {
    // Two gaps with nothing between are one: from where the first began to where the last ends.
    if (gap) this.#gap = { after: this.#gap?.after ?? gap.after, id: gap.id };
    this.#ahead = messages;
    this.#given = 0;
    for (const { size } of messages) this.#bytes += size;
  }

  /** The gap before what comes next, once. */
  takeGap(): Gap | null {
    const gap = this.#gap;
    this.#gap = null;
    return gap;
  }

  /** Takes the next message, to be given. */
  take(): Message {
    const message = this.#ahead[this.#given++]!;
    this.#bytes -= message.size;
    return message;
  }

  /** The client was given a message, or told of a gap: it goes on after its id. */
  gave(given: Message | Gap): void {
    const isRead = "offset" in given && !this.isLive;
    this.place = at(isRead ? this.#cursor.placeAfter(given) : given.id);
  }

  /** The client has all that there is: wherever it wanted to start, it is here now. */
  settle(): void {
    this.place = at(this.#cursor.position);
  }
}

/** Others may have to be read before it is live: what is lost meanwhile is a gap. */
function fromNow({ log, fanOut }: Channel): Start {
  return { from: "after", position: { epoch: log.epoch, offset: fanOut.flushed } };
}

function at(text: string): Place {
  const resume = parseResume(text)!;
  if (resume.from === "after") return { position: resume.position, isSilent: false };
  const { position, through } = resume.place!;
  return { position, isSilent: false, through };
}
