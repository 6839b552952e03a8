/** Brings one subscriber from where it starts to the live stream: no loss, no repeat, no hole. */
import type { Channel } from "./channel.ts";
import { Cursor, type Gap, type Step } from "./cursor.ts";
import type { Message } from "./message.ts";
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
  /** The history could not be read. */
  fail(error: unknown): void;
}

/** Messages and bytes of one page. A page is written whole, so it bounds what a slow client buffers. */
const PAGE = { count: 256, bytes: 256 * 1024 };

export class CatchUp {
  readonly #receiver: Receiver;
  readonly #cursor: Cursor;
  #state: "ready" | "reading" | "full" | "done" = "ready";

  constructor(channel: Channel, receiver: Receiver, start: Start) {
    this.#receiver = receiver;
    this.#cursor = new Cursor(channel, start);
  }

  /** Goes on until the subscriber is level, its buffer is full, or a page has to be waited for. */
  run(): void {
    while (this.#state === "ready") {
      if (this.#cursor.isLevel) {
        this.#state = "done";
        return this.#receiver.live(this.#cursor.position);
      }
      const step = this.#cursor.read(PAGE);
      if (step instanceof Promise) {
        this.#state = "reading";
        step.then((read) => this.#resume(read), this.#fail);
        return;
      }
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
