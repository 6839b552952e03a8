/** Brings one subscriber from where it starts to the live stream: no loss, no repeat, no hole. */
import type { Channel } from "./channel.ts";
import { Cursor, type Gap, type Step } from "./cursor.ts";
import type { Message } from "./message.ts";
import type { ReadLimit } from "./log.ts";
import type { Start } from "./position.ts";

/** The receiving end of one subscriber while it catches up. */
export interface Receiver {
  /** Tells of a gap. MUST reach the client before anything that is delivered later. */
  gap(gap: Gap): void;
  /** Writes messages to this subscriber alone. Returns false when its buffer is full. */
  replay(batch: readonly Message[]): boolean;
  /**
   * The subscriber is level with the fan-out: it MUST join its group in this very turn.
   *
   * @param position Id of the newest message that it has, or where the channel stands.
   */
  live(position: string): void;
  /** The history could not be read, or given to this receiver. Nothing follows. */
  fail(error: unknown): void;
}

/** Messages and bytes of one page. A page is written whole, so it bounds what a slow client buffers. */
const PAGE = { count: 256, bytes: 256 * 1024 };

export class CatchUp {
  readonly #channel: Channel;
  readonly #receiver: Receiver;
  readonly #start: Start;
  readonly #page: Omit<ReadLimit, "through">;
  #cursor: Cursor | null;
  #state: "ready" | "reading" | "full" | "delivering" | "done" = "ready";

  constructor(channel: Channel, receiver: Receiver, start: Start, page = PAGE) {
    this.#channel = channel;
    this.#receiver = receiver;
    this.#start = start;
    this.#page = page;
    // Within a delivery a position may be of a message that is not sent out yet: it is looked at later.
    const isEarly = start.from === "after" && channel.fanOut.isDelivering;
    this.#cursor = isEarly ? null : new Cursor(channel, start);
  }

  /** Goes on until the subscriber is level, its buffer is full, or a page has to be waited for. */
  run(): void {
    while (this.#state === "ready") {
      if (this.#channel.fanOut.isDelivering) return this.#waitForDelivery();
      const cursor = (this.#cursor ??= new Cursor(this.#channel, this.#start));
      if (cursor.isLevel) {
        this.#state = "done";
        return this.#receiver.live(cursor.position);
      }
      const step = this.#read(cursor);
      if (step === null) return;
      this.#take(step);
    }
  }

  /** The subscriber's buffer has room again. */
  drained(): void {
    if (this.#state !== "full") return;
    this.#state = "ready";
    this.run();
  }

  /** The subscriber left: nothing more is read or written. */
  stop(): void {
    this.#state = "done";
  }

  /** Asked for within a delivery, by a client of another channel: joining now would repeat that batch. */
  #waitForDelivery(): void {
    this.#state = "delivering";
    this.#channel.fanOut.afterDelivery(() => {
      if (this.#state !== "delivering") return;
      this.#state = "ready";
      this.run();
    });
  }

  /** Null when the page has to be waited for, or can't be read. */
  #read(cursor: Cursor): Step | null {
    try {
      const step = cursor.read(this.#page);
      if (!(step instanceof Promise)) return step;
      this.#state = "reading";
      step.then((read) => this.#resume(read)).catch(this.#fail);
    } catch (error) {
      this.#fail(error);
    }
    return null;
  }

  #resume(step: Step): void {
    if (this.#state !== "reading") return;
    this.#state = "ready";
    this.#take(step);
    this.run();
  }

  #take({ gap, messages }: Step): void {
    if (gap) this.#receiver.gap(gap);
    // Telling of the gap may have found the client gone.
    if (messages.length === 0 || this.#state !== "ready") return;
    if (!this.#receiver.replay(messages) && this.#state === "ready") this.#state = "full";
  }

  readonly #fail = (error: unknown): void => {
    if (this.#state === "done") return;
    this.#state = "done";
    this.#receiver.fail(error);
  };
}
