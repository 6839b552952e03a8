/** Writes a Fetch body to a stream of `node:http2` or `node:http`, no faster than the client takes it. */
import type { Writable } from "node:stream";

export interface BodyEvents {
  /** A chunk was written. */
  readonly onWrite: () => void;
  /** The body failed. */
  readonly onError: (error: unknown) => void;
  /** Ends the stream so that the client can tell a body that was cut off from a whole one. */
  readonly cut: () => void;
}

/**
 * Reads a body chunk by chunk: the next only when the last has gone out to the socket, past the client's
 * flow control. When the stream closes, the body is cancelled.
 */
export class BodyPump {
  /** Where `performance.now()` stood when the chunk under way was written; null when none is. */
  #since: number | null = null;
  readonly #stream: Writable;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #events: BodyEvents;
  #closed = false;

  constructor(stream: Writable, body: ReadableStream<Uint8Array>, events: BodyEvents) {
    this.#stream = stream;
    this.#reader = body.getReader();
    this.#events = events;
    stream.once("close", () => {
      this.#closed = true;
      this.#since = null;
      void this.#reader.cancel().catch(() => {});
    });
    this.#next();
  }

  /** A chunk is out that the client has not taken yet. */
  get isWriting(): boolean {
    return this.#since !== null;
  }

  /** Cuts the stream off when its client has not taken the chunk under way for `stallMs`. */
  sweep(now: number, stallMs: number): void {
    if (this.#since !== null && now - this.#since > stallMs) this.#events.cut();
  }

  readonly #next = (): void => {
    this.#since = null;
    if (!this.#closed) this.#reader.read().then(this.#write, this.#fail);
  };

  readonly #write = ({ value }: { readonly value?: Uint8Array | undefined }): void => {
    if (this.#closed) return;
    if (value === undefined) return void this.#stream.end();
    if (value.byteLength === 0) return this.#next();
    this.#since = performance.now();
    // The callback rather than 'drain': it comes when the bytes are past the client's flow control.
    this.#stream.write(value, this.#next);
    this.#events.onWrite();
  };

  readonly #fail = (error: unknown): void => {
    if (this.#closed) return;
    this.#events.onError(error);
    this.#events.cut();
  };
}
