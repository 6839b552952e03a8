/** Takes a client's frames one after the other, also when a hook takes its time over one. */
import type { Socket } from "./transport.ts";

/** Frames that may wait before the socket is no longer read from, and their size. */
const PAUSE_AT = { frames: 32, length: 64 * 1024 };

export type Frame = string | Uint8Array;

export class FrameQueue {
  readonly #take: (frame: Frame) => void | Promise<void>;
  #waiting: Frame[] | null = null;
  #waitingLength = 0;
  #isPaused = false;

  /** @param take Handles one frame; MUST NOT throw or reject. */
  constructor(take: (frame: Frame) => void | Promise<void>) {
    this.#take = take;
  }

  push(socket: Socket, frame: Frame): void {
    if (this.#waiting === null) {
      const work = this.#take(frame);
      if (work instanceof Promise) void this.#drain(socket, work);
      return;
    }
    this.#waiting.push(frame);
    this.#waitingLength += frame.length;
    const isFull =
      this.#waiting.length >= PAUSE_AT.frames || this.#waitingLength >= PAUSE_AT.length;
    if (!isFull || this.#isPaused) return;
    this.#isPaused = true;
    socket.pause();
  }

  async #drain(socket: Socket, first: Promise<void>): Promise<void> {
    const waiting: Frame[] = (this.#waiting = []);
    await first;
    for (let frame = waiting.shift(); frame !== undefined; frame = waiting.shift()) {
      this.#waitingLength -= frame.length;
      await this.#take(frame);
    }
    this.#waiting = null;
    if (this.#isPaused && socket.readyState === 1) socket.resume();
    this.#isPaused = false;
  }
}
