/** Takes a client's frames one after the other, also when a hook takes its time over one. */
import type { Socket } from "./transport.ts";

/** Frames that may wait before the socket is no longer read from. */
const PAUSE_AT = 32;

export class FrameQueue<T> {
  readonly #take: (frame: T) => void | Promise<void>;
  #waiting: T[] | null = null;
  #isPaused = false;

  /** @param take Handles one frame; MUST NOT throw or reject. */
  constructor(take: (frame: T) => void | Promise<void>) {
    this.#take = take;
  }

  push(socket: Socket, frame: T): void {
    if (this.#waiting === null) {
      const work = this.#take(frame);
      if (work instanceof Promise) void this.#drain(socket, work);
      return;
    }
    this.#waiting.push(frame);
    if (this.#waiting.length >= PAUSE_AT && !this.#isPaused) {
      this.#isPaused = true;
      socket.pause();
    }
  }

  async #drain(socket: Socket, first: Promise<void>): Promise<void> {
    const waiting: T[] = (this.#waiting = []);
    await first;
    for (let frame = waiting.shift(); frame !== undefined; frame = waiting.shift()) {
      await this.#take(frame);
    }
    this.#waiting = null;
    if (this.#isPaused && socket.readyState === 1) socket.resume();
    this.#isPaused = false;
  }
}
