/**
 * Takes a client's frames one after the other, also when a hook takes its time over one. Frames of
 * different lanes do not wait for one another.
 */
import type { MaybePromise } from "../channel/log.ts";
import type { Socket } from "./transport.ts";

/** Frames that may be under way or wait before the socket is no longer read from, and their length. */
const PAUSE_OVER = { frames: 32, length: 256 * 1024 };

interface Waiting<Frame> {
  readonly frame: Frame;
  readonly length: number;
}

export class FrameQueue<Frame> {
  readonly #take: (frame: Frame) => MaybePromise<void>;
  /** What waits in each lane that has a frame under way. */
  readonly #lanes = new Map<string, Waiting<Frame>[]>();
  #frames = 0;
  #length = 0;
  #isPaused = false;
  #whenIdle: (() => void) | null = null;

  /** @param take Handles one frame; MUST NOT throw or reject. */
  constructor(take: (frame: Frame) => MaybePromise<void>) {
    this.#take = take;
  }

  /**
   * @param length What it counts for, in bytes or characters.
   * @param lane Frames of one lane are taken in order.
   */
  push(socket: Socket, frame: Frame, length: number, lane: string = ""): void {
    const waiting = this.#lanes.get(lane);
    if (waiting) {
      waiting.push({ frame, length });
    } else {
      const work = this.#take(frame);
      if (!(work instanceof Promise)) return;
      void this.#drain(socket, lane, work, length);
    }
    this.#frames++;
    this.#length += length;
    // One alone never waits for another, however long it is.
    const isFull =
      this.#frames > PAUSE_OVER.frames || (this.#length > PAUSE_OVER.length && this.#frames > 1);
    if (!isFull || this.#isPaused) return;
    this.#isPaused = true;
    socket.pause();
  }

  /** Calls `then` once every frame that was pushed is taken; now, where none is under way. */
  whenIdle(then: () => void): void {
    if (this.#frames === 0) then();
    else this.#whenIdle = then;
  }

  async #drain(socket: Socket, lane: string, first: Promise<void>, length: number): Promise<void> {
    const waiting: Waiting<Frame>[] = [];
    this.#lanes.set(lane, waiting);
    await first;
    this.#taken(socket, length);
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const work = this.#take(next.frame);
      if (work instanceof Promise) await work;
      this.#taken(socket, next.length);
    }
    this.#lanes.delete(lane);
  }

  #taken(socket: Socket, length: number): void {
    this.#frames--;
    this.#length -= length;
    if (this.#frames === 0) this.#whenIdle?.();
    // Not only when all are done: one lane may wait for long, and the others have to go on.
    const hasRoom =
      this.#frames * 2 <= PAUSE_OVER.frames &&
      (this.#length * 2 <= PAUSE_OVER.length || this.#frames <= 1);
    if (!this.#isPaused || !hasRoom) return;
    this.#isPaused = false;
    if (socket.readyState === 1) socket.resume();
  }
}
