/** What every event stream shares: the bytes that wait for its client, and when that is too slow. */
import type { Trailer } from "./coding/coding.ts";
import type { SseForm } from "./sse-form.ts";

/** One client's event stream, as far as bytes are concerned. */
export abstract class SseOutput {
  /** null before the stream stands, and when it has ended. */
  protected controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  /** Bytes that it shares with other streams MUST be of the same form. */
  readonly form: SseForm;
  readonly #bufferBytes: number;
  readonly #trailer: Trailer | null;

  constructor(bufferBytes: number, form: SseForm) {
    this.#bufferBytes = bufferBytes;
    this.form = form;
    this.#trailer = form.coding.createTrailer();
  }

  /** Called once, when the stream has ended or its client is gone. */
  protected abstract leave(): void;

  /**
   * Hands text to this client alone, or ends the stream of one that reads too slowly. There is a quarter of the
   * buffer more for it: one that lags, whose buffer is full, must not end with the next word.
   */
  write(text: string): void {
    if (!this.offer(this.form.coding.encode(text), this.#bufferBytes * 1.25)) this.end();
  }

  /**
   * Hands bytes to the client. A chunk may be larger than the buffer, for a message may: it is taken when
   * next to nothing waits.
   *
   * @returns Whether there was room.
   */
  offer(chunk: Uint8Array, maxBytes = this.#bufferBytes): boolean {
    const { controller, waiting } = this;
    if (controller === null) return true;
    const isOver = waiting + chunk.length > maxBytes;
    if (isOver && waiting * 4 > this.#bufferBytes) return false;
    this.put(chunk);
    return true;
  }

  /** Hands over bytes that there is room for, or that must not end the stream, however many wait. */
  protected put(chunk: Uint8Array): void {
    if (this.controller === null) return;
    // Before: a stream that is waited for asks for more within `enqueue`, and what it gets stands behind this.
    this.#trailer?.add(chunk);
    this.controller.enqueue(chunk);
  }

  /** Writes a heartbeat, where nothing else waits: a client that catches up slowly is alive. */
  beat(): void {
    if (this.waiting === 0) this.put(this.form.heartbeat);
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
    if (this.#trailer) controller.enqueue(this.#trailer.bytes());
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
