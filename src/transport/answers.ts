/** Answers to one socket's frames that are known together, such as those of one commit: they go out in one write. */
import type { Socket } from "./transport.ts";

export class Answers {
  readonly #send: (text: string) => void;
  #texts: string[] = [];

  /** @param send Sends a frame, unless the socket is gone. */
  constructor(send: (text: string) => void) {
    this.#send = send;
  }

  /** Sends a frame when all that was committed with it has been told, in this turn. */
  push(socket: Socket, text: string): void {
    // Whoever else waits for the same commit is called before this, and adds to it.
    if (this.#texts.push(text) === 1) queueMicrotask(() => this.flush(socket));
  }

  /** Sends what waits. To be called before anything else is sent, or the socket is closed. */
  flush(socket: Socket): void {
    const texts = this.#texts;
    if (texts.length === 0) return;
    this.#texts = [];
    // Outside of a socket's own events each frame would be a write of its own.
    socket.cork(() => {
      for (const text of texts) this.#send(text);
    });
  }
}
