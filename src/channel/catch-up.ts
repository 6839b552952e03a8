/** Brings one subscriber from where it starts to the live stream: no loss, no repeat, no hole. */
import { CatchUpStates } from "./catch-up-states.ts";
import type { Channel } from "./channel.ts";
import { Cursor, type CursorLimit, type Gap, type Step } from "./cursor.ts";
import type { MaybePromise } from "./log.ts";
import type { Message } from "./message.ts";
import type { Start } from "./position.ts";

/** The receiving end of one subscriber while it catches up. */
export interface Receiver {
  /** Tells of a gap. MUST reach the client before anything that is delivered later. */
  gap(gap: Gap): void;
  /** Whether there is room to replay. Where there is none, `CatchUp.drained` MUST be called later. */
  readonly hasRoom: boolean;
  /**
   * Writes messages to this subscriber alone, as long as there is room; the first in any case.
   *
   * @returns How many it took.
   */
  replay(batch: readonly Message[]): number;
  /**
   * The subscriber is level with the fan-out: it MUST join its group in this very turn.
   *
   * @param position Id of the newest message that it has, or where the channel stands.
   */
  live(position: string): void;
  /** The history could not be read, or given to this receiver. Nothing follows. */
  fail(error: unknown): void;
}

/** What is read to catch up: the log by a `Cursor`, or what those that lag have still to get. */
export interface Reading {
  /** Position after which the next read starts. */
  readonly position: string;
  /** Whether everything that the fan-out has sent was read, and every gap told. */
  readonly isLevel: boolean;
  read(limit: CursorLimit): MaybePromise<Step>;
  /** Takes back what was read but could not be given: the next read starts with this message. */
  rewind(message: Message): void;
  /** What a reader that reads no further never gets; null where it is level. */
  rest(): Gap | null;
  /** Nothing more is read. */
  close?(): void;
}

/** Messages of one page; pages end at multiples of it. */
const PAGE_COUNT = 128;

/** @returns A page that fits into the half of a buffer that is for history, twice. */
export function pageOf(bufferBytes: number): CursorLimit {
  return { count: PAGE_COUNT, bytes: bufferBytes / 4, isAligned: true };
}

export class CatchUp extends CatchUpStates {
  readonly #channel: Channel;
  readonly #receiver: Receiver;
  readonly #page: CursorLimit;
  readonly #cursor: Reading;

  /** @param start Where in the log, or what to read in its place. */
  constructor(channel: Channel, receiver: Receiver, start: Start | Reading, page: CursorLimit) {
    super();
    this.#channel = channel;
    this.#receiver = receiver;
    this.#page = page;
    this.#cursor = "from" in start ? new Cursor(channel, start) : start;
  }

  /** Goes on until the subscriber is level, its buffer is full, or a page has to be waited for. */
  run(): void {
    while (this.state === "ready") {
      const { fanOut } = this.#channel;
      if (fanOut.isDelivering) return this.waitForDelivery(fanOut);
      if (this.#cursor.isLevel) {
        const { position } = this.#cursor;
        this.stop();
        return this.#receiver.live(position);
      }
      // Others may write to the same connection: it can be full before anything was replayed.
      if (!this.#receiver.hasRoom) return void (this.state = "full");
      if (!this.#channel.turns.has(this)) return void (this.state = "waiting");
      const step = this.#read();
      if (step === null) return;
      this.#take(step);
    }
  }

  /** The subscriber left: nothing more is read or written. */
  stop(): void {
    this.state = "done";
    this.#cursor.close?.();
  }

  /**
   * Stops for good: the channel is gone, and nobody can come back to it.
   *
   * @returns What the subscriber never gets, which it MUST be told; null where it lacks nothing.
   */
  giveUp(): Gap | null {
    const rest = this.state === "done" ? null : this.#cursor.rest();
    this.stop();
    return rest;
  }

  /** Null when the page has to be waited for, or can't be read. */
  #read(): Step | null {
    try {
      const step = this.#cursor.read(this.#page);
      if (!(step instanceof Promise)) return step;
      this.state = "reading";
      step.then((read) => this.#resume(read)).catch(this.fail);
    } catch (error) {
      this.fail(error);
    }
    return null;
  }

  #resume(step: Step): void {
    if (this.state !== "reading") return;
    this.state = "ready";
    this.#take(step);
    this.run();
  }

  #take({ gap, messages }: Step): void {
    if (gap) this.#receiver.gap(gap);
    // Telling of the gap may have found the client gone.
    if (messages.length === 0 || this.state !== "ready") return;
    this.#channel.turns.spend(messages);
    const taken = this.#receiver.replay(messages);
    if (this.state !== "ready") return;
    if (taken < messages.length) this.#cursor.rewind(messages[taken]!);
    if (!this.#receiver.hasRoom) this.state = "full";
  }

  protected readonly fail = (error: unknown): void => {
    if (this.state === "done") return;
    this.stop();
    this.#receiver.fail(error);
  };
}
