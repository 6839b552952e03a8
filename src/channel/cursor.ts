/** One reader's place in a channel's log, and the gaps that it meets. */
import type { Channel } from "./channel.ts";
import type { MaybePromise, Page, ReadLimit, StatePage } from "./log.ts";
import type { Message } from "./message.ts";
import { formatPosition, formatStatePlace, type Start, type StatePlace } from "./position.ts";

/** Messages that a subscriber can no longer get. */
export interface Gap {
  /** The position that the client showed, or the last one it was given. */
  readonly after: string;
  /** Delivery goes on after this position: everything between the two is lost. */
  readonly id: string;
}

/** How much is read at once. */
export interface CursorLimit extends Omit<ReadLimit, "through"> {
  /**
   * Pages end at multiples of `count`: readers that started at different places soon read the same pages,
   * and what is made of one can be shared.
   */
  readonly isAligned?: boolean;
}

/** What one read gave: the gap, if there is one, comes before the messages. */
export interface Step {
  readonly gap: Gap | null;
  readonly messages: readonly Message[];
}

export class Cursor {
  readonly #channel: Channel;
  #offset: number;
  /** The position a gap is told from; null while the client has none, so nothing was asked for. */
  #shown: string | null = null;
  /** The position is of another log: a gap, even where there is nothing to read. */
  #foreign = false;
  /** The state comes first, and this is a place within it. */
  #isInState = false;
  #stateThrough = 0;
  /** The client has the state as it was at `#offset`: it was given one, and all that came since. */
  #hasState = false;

  constructor(channel: Channel, start: Start) {
    this.#channel = channel;
    const { log, fanOut } = channel;
    switch (start.from) {
      case "live":
        this.#offset = fanOut.flushed;
        break;
      case "earliest":
        this.#offset = 0;
        break;
      case "last":
        this.#offset = Math.max(0, fanOut.flushed - start.count);
        break;
      case "after": {
        const { epoch, offset } = start.position;
        this.#shown = formatPosition(epoch, offset);
        const isAhead = offset > log.top;
        this.#foreign = epoch !== log.epoch || isAhead;
        this.#offset = epoch !== log.epoch ? 0 : isAhead ? fanOut.flushed : offset;
        break;
      }
      case "state": {
        const { place } = start;
        const begin = { position: { epoch: log.epoch, offset: 0 }, through: fanOut.flushed };
        if (place) this.#shown = formatStatePlace(place);
        this.#offset = this.#startState(place ?? begin);
      }
    }
  }

  /** @returns The offset to read after. */
  #startState({ position: { epoch, offset }, through }: StatePlace): number {
    const { log, fanOut } = this.#channel;
    const isAhead = through > log.top;
    this.#foreign = epoch !== log.epoch || isAhead;
    if (this.#foreign) return isAhead && epoch === log.epoch ? fanOut.flushed : 0;
    this.#stateThrough = through;
    this.#isInState = offset < through;
    this.#hasState = !this.#isInState;
    if (this.#hasState) this.#shown = formatPosition(epoch, through);
    return offset;
  }

  /** Position, or place within the state, after which the next read starts. */
  get position(): string {
    const position = { epoch: this.#channel.log.epoch, offset: this.#offset };
    if (!this.#isOfState) return formatPosition(position.epoch, position.offset);
    return formatStatePlace({ position, through: this.#throughAt(this.#offset)! });
  }

  /** Whether the place is one of the state: as long as it is not level, so that it may be read on. */
  get #isOfState(): boolean {
    return (this.#isInState || this.#hasState) && !this.isLevel;
  }

  /** What the state goes up to of a client that was given all up to an offset; null where it has none. */
  #throughAt(offset: number): number | null {
    return this.#isInState || this.#hasState ? Math.max(this.#stateThrough, offset) : null;
  }

  /** Whether the next read starts after this message, which is of its channel. */
  isAfter(message: Message): boolean {
    return this.#offset === message.offset && !this.#isOfState;
  }

  /** The place of a client that was given this message, of those that were read, as long as it is not level. */
  placeAfter({ epoch, offset, id }: Message): string {
    const through = this.#throughAt(offset);
    return through === null ? id : formatStatePlace({ position: { epoch, offset }, through });
  }

  /** Whether everything that the fan-out has sent was read, and every gap told. */
  get isLevel(): boolean {
    const isAtEnd = this.#offset === this.#channel.fanOut.flushed && !this.#isInState;
    return isAtEnd && !this.#foreign;
  }

  /** Reads what comes next, up to what the fan-out has sent: the rest comes live. */
  read(limit: CursorLimit): MaybePromise<Step> {
    const { count, bytes, isAligned = false } = limit;
    if (this.#isInState) return this.#readState({ count, bytes });
    const through = this.#channel.fanOut.flushed;
    if (this.#offset > through) return this.#waitToBeSent();
    const most = isAligned ? count - (this.#offset % count) : count;
    const page = this.#channel.log.read(this.#offset, { through, count: most, bytes });
    return page instanceof Promise
      ? page.then((read) => this.#take(read, through, limit))
      : this.#take(page, through, limit);
  }

  /** Takes back what was read but could not be given: the next read starts with this message. */
  rewind({ offset }: Message): void {
    this.#isInState = offset <= this.#stateThrough;
    this.#offset = offset - 1;
    this.#shown = formatPosition(this.#channel.log.epoch, this.#offset);
  }

  /** What a reader that reads no further never gets; null where it is level. */
  rest(): Gap | null {
    if (this.isLevel) return null;
    const { log, fanOut } = this.#channel;
    return { after: this.#shown ?? this.position, id: formatPosition(log.epoch, fanOut.flushed) };
  }

  /**
   * Reads of the state what was sent out when it was begun: a key that has changed since drops out of it, for
   * the change comes after it, as history.
   */
  #readState(limit: Omit<ReadLimit, "through">): MaybePromise<Step> {
    const through = this.#stateThrough;
    const page = this.#channel.log.readState(this.#offset, { ...limit, through });
    return page instanceof Promise
      ? page.then((read) => this.#advanceInState(read))
      : this.#advanceInState(page);
  }

  /**
   * History is gone that the client has not got, for the state took it long to read. Where all that was
   * published since has a key, and deletes none, the state has all that counts: it is read on, up to where the
   * history begins. Else there is a gap.
   */
  #readOn(history: Page, through: number, { count, bytes, isAligned }: CursorLimit) {
    const oldest = Math.min(history.first - 1, through);
    const page = this.#channel.log.readState(this.#offset, { through: oldest, count, bytes });
    const take = (read: StatePage | null) => {
      if (read === null || read.unkept > this.#offset) {
        return this.#advance(history, through, isAligned);
      }
      this.#isInState = true;
      this.#stateThrough = oldest;
      return this.#advanceInState(read);
    };
    return page instanceof Promise ? page.then(take) : take(page);
  }

  /** No gap is told of what lies between: nothing of it is part of the state. */
  #advanceInState(page: StatePage | null): Step {
    const { log, name } = this.#channel;
    if (page === null) {
      // It is no longer kept: history after this place is as good, or there is a gap.
      this.#isInState = this.#hasState = false;
      this.#stateThrough = 0;
      this.#shown ??= this.position;
      return { gap: null, messages: [] };
    }
    const { messages, isEnd } = page;
    const last = messages[messages.length - 1];
    if (isEnd) {
      this.#isInState = false;
      this.#hasState = true;
      this.#offset = this.#stateThrough;
      this.#shown = formatPosition(log.epoch, this.#offset);
    } else if (last) {
      this.#offset = last.offset;
      this.#shown = last.id;
    } else throw new Error(`the log of channel "${name}" left the rest of its state out`);
    return { gap: null, messages };
  }

  /**
   * A publisher that subscribes after its own acknowledged message is ahead of the fan-out: that has to
   * go out first, or this reader would get it again.
   */
  #waitToBeSent(): Promise<Step> {
    const { fanOut } = this.#channel;
    return new Promise((resolve) =>
      fanOut.whenFlushed(this.#offset, () => resolve({ gap: null, messages: [] })),
    );
  }

  #take(page: Page, through: number, limit: CursorLimit): MaybePromise<Step> {
    const isLost = this.#offset < Math.min(page.first - 1, through);
    return isLost && this.#hasState
      ? this.#readOn(page, through, limit)
      : this.#advance(page, through, limit.isAligned);
  }

  #advance(page: Page, through: number, isAligned = false): Step {
    const { epoch } = this.#channel.log;
    const oldest = Math.min(page.first - 1, through);
    let gap: Gap | null = null;
    if (this.#offset < oldest || this.#foreign) {
      this.#offset = Math.max(this.#offset, oldest);
      this.#foreign = this.#hasState = false;
      const id = formatPosition(epoch, this.#offset);
      if (this.#shown !== null) {
        gap = { after: this.#shown, id };
        this.#shown = id;
      }
    }
    const next = page.messages[0];
    if (next ? next.offset !== this.#offset + 1 : this.#offset < through) {
      // A log that breaks its contract: neither skip over the hole in silence nor read for ever.
      const { name } = this.#channel;
      throw new Error(
        `the log of channel "${name}" left a hole after offset ${this.#offset} of ${through}`,
      );
    }
    const messages = isAligned ? align(page.messages, through) : page.messages;
    const last = messages[messages.length - 1];
    if (last) {
      this.#offset = last.offset;
      this.#shown = last.id;
    }
    return { gap, messages };
  }
}

/**
 * Ends a page that its bytes, or a gap before it, have put out of line at the offset that is divisible by
 * the largest power of two: readers that started at different places would never meet otherwise.
 */
function align(messages: readonly Message[], through: number): readonly Message[] {
  const last = messages[messages.length - 1]?.offset ?? through;
  // Where the history ends now, all meet.
  if (last === through) return messages;
  const first = messages[0]!.offset;
  let end = last;
  for (let power = 2; last - (last % power) >= first; power *= 2) end = last - (last % power);
  return end === last ? messages : messages.slice(0, end - first + 1);
}
