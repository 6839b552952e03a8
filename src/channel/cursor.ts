/** One reader's place in a channel's log, and the gaps that it meets. */
import type { Channel } from "./channel.ts";
import type { MaybePromise, Page, ReadLimit } from "./log.ts";
import type { Message } from "./message.ts";
import { formatPosition, type Start } from "./position.ts";

/** Messages that a subscriber can no longer get. */
export interface Gap {
  /** The position that the client showed, or the last one it was given. */
  readonly after: string;
  /** Delivery goes on after this position: everything between the two is lost. */
  readonly id: string;
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
      }
    }
  }

  /** Position after which the next read starts. */
  get position(): string {
    return formatPosition(this.#channel.log.epoch, this.#offset);
  }

  /** Whether everything that the fan-out has sent was read, and every gap told. */
  get isLevel(): boolean {
    return this.#offset === this.#channel.fanOut.flushed && !this.#foreign;
  }

  /** Reads what comes next, up to what the fan-out has sent: the rest comes live. */
  read(limit: Omit<ReadLimit, "through">): MaybePromise<Step> {
    const through = this.#channel.fanOut.flushed;
    if (this.#offset > through) return this.#waitToBeSent();
    const page = this.#channel.log.read(this.#offset, { through, ...limit });
    return page instanceof Promise
      ? page.then((read) => this.#advance(read, through))
      : this.#advance(page, through);
  }

  /** Takes back what was read but could not be given: the next read starts with this message. */
  rewind({ offset }: Message): void {
    this.#offset = offset - 1;
    this.#shown = formatPosition(this.#channel.log.epoch, this.#offset);
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

  #advance(page: Page, through: number): Step {
    const { epoch } = this.#channel.log;
    const oldest = Math.min(page.first - 1, through);
    let gap: Gap | null = null;
    if (this.#offset < oldest || this.#foreign) {
      this.#offset = Math.max(this.#offset, oldest);
      this.#foreign = false;
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
    const last = page.messages[page.messages.length - 1];
    if (last) {
      this.#offset = last.offset;
      this.#shown = last.id;
    }
    return { gap, messages: page.messages };
  }
}
