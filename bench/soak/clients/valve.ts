/** A TCP connection that can be held: nothing more of it is read. Under `node:http2`, which owns its socket's own. */
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";

export class Valve extends Duplex {
  readonly #socket: Socket;
  #isHeld = false;

  constructor(url: string) {
    super();
    const { hostname, port } = new URL(url);
    this.#socket = connect(Number(port), hostname);
    this.#socket.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) this.#socket.pause();
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.destroy());
  }

  hold(): void {
    this.#isHeld = true;
    this.#socket.pause();
  }

  release(): void {
    this.#isHeld = false;
    this.#socket.resume();
  }

  override _read(): void {
    if (!this.#isHeld) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
