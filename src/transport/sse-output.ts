/** What every event stream shares: the bytes that wait for its client, and when that is too slow. */

/** One client's event stream, as far as bytes are concerned. */
export abstract class SseOutput {
  /** null before the stream stands, and when it has ended. */
  protected controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  readonly #bufferBytes: number;

  constructor(bufferBytes: number) {
    this.#bufferBytes = bufferBytes;
  }

  /** Called once, when the stream has ended or its client is gone. */
  protected abstract leave(): void;

  write(text: string): void {
    this.enqueue(encoder.encode(text));
  }

  /**
   * Hands bytes to the client, or ends the stream of one that reads too slowly. A chunk may be larger
   * than the buffer, for a message may: it is taken when next to nothing waits.
   */
  enqueue(chunk: Uint8Array): void {
    const { controller, waiting } = this;
    if (controller === null) return;
    const isOver = waiting + chunk.length > this.#bufferBytes;
    if (isOver && waiting * 4 > this.#bufferBytes) return this.end();
    controller.enqueue(chunk);
  }

  /** Writes a heartbeat, where nothing else waits: a client that catches up slowly is alive. */
  beat(chunk: Uint8Array): void {
    if (this.waiting === 0) this.controller?.enqueue(chunk);
  }

  /**
   * Ends the stream after what already waits. The client comes back by itself, with its position; one
   * that reads no more is cut off by the listener's idle timeout.
   */
  end(): void {
    const { controller } = this;
    if (controller === null) return;
    this.controller = null;
    this.leave();
    controller.close();
  }

  /** The client is gone. */
  cancel(): void {
    this.controller = null;
    this.leave();
  }

  /** Bytes that the client has not taken yet. */
  protected get waiting(): number {
    return 1 - (this.controller?.desiredSize ?? 1);
  }
}

const encoder = new TextEncoder();
