/** Server-Sent Events: one held response a subscriber, one write a batch. */
import { CatchUp, type Receiver } from "../channel/catch-up.ts";
import type { Gap } from "../channel/cursor.ts";
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { Message } from "../channel/message.ts";
import {
  encodeEvent,
  encodeGap,
  encodeId,
  encodeRetry,
  encodeUnnumbered,
  HEARTBEAT,
} from "./event-stream.ts";
import { spreadOut } from "./spread.ts";
import { textOf } from "./text.ts";
import type { Exchange, Transport, TransportOptions } from "./transport.ts";

const encoder = new TextEncoder();
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // nginx holds a response back unless it is told not to.
  "x-accel-buffering": "no",
};

export class SseTransport implements Transport {
  readonly name = "sse";
  readonly #options: TransportOptions;
  readonly #streams = new Set<SseStream>();
  readonly #strategy: ByteLengthQueuingStrategy;
  readonly #preamble: Uint8Array<ArrayBuffer>;
  #heart: Timer | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
    // With the limit as high-water mark, `desiredSize` is the room that is left for a slow client.
    this.#strategy = new ByteLengthQueuingStrategy({ highWaterMark: options.bufferBytes });
    this.#preamble = encoder.encode(HEARTBEAT + encodeRetry(options.retryMs));
  }

  matches(request: Request): boolean {
    return request.headers.get("accept")?.includes("text/event-stream") ?? false;
  }

  serve(exchange: Exchange): Response {
    const stream = new SseStream(exchange, this.#preamble, this.#streams);
    this.#heart ??= this.#startHeart();
    return new Response(new ReadableStream(stream, this.#strategy), { headers: HEADERS });
  }

  async shutdown(spreadMs: number): Promise<void> {
    if (this.#heart) clearInterval(this.#heart);
    // Each client waits a time of its own, so all can be told at once.
    for (const stream of this.#streams) {
      stream.write(encodeRetry(this.#options.retryMs + spreadOut(spreadMs)));
      stream.end();
    }
  }

  /** One timer for all streams: a stream that is stalled is not written to. */
  #startHeart(): Timer {
    const beat = encoder.encode(HEARTBEAT);
    return setInterval(() => {
      for (const stream of this.#streams) stream.beat(beat);
    }, this.#options.heartbeatMs).unref();
  }
}

/** Subscribers of one channel: they share each batch's bytes. */
class SseGroup implements FanOutGroup {
  readonly members = new Set<SseStream>();

  get size(): number {
    return this.members.size;
  }

  deliver(batch: readonly Message[]): void {
    const chunk = encodeBatch(batch);
    for (const member of this.members) member.enqueue(chunk);
  }
}

class SseStream implements Receiver, UnderlyingDefaultSource<Uint8Array> {
  readonly #exchange: Exchange;
  readonly #preamble: Uint8Array;
  readonly #streams: Set<SseStream>;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #catchUp: CatchUp | null = null;
  #group: SseGroup | null = null;
  #replayed = false;

  constructor(exchange: Exchange, preamble: Uint8Array, streams: Set<SseStream>) {
    this.#exchange = exchange;
    this.#preamble = preamble;
    this.#streams = streams;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    const { channel, start, subscriber } = this.#exchange;
    this.#controller = controller;
    this.#streams.add(this);
    controller.enqueue(this.#preamble);
    subscriber.connect({
      send: (data, event) => this.write(encodeUnnumbered(textOf(data), event)),
      close: () => this.end(),
    });
    this.#catchUp = new CatchUp(channel, this, start);
    this.#catchUp.run();
  }

  /** The client took all that waited: there is room for more history. */
  pull(): void {
    this.#catchUp?.drained();
  }

  /** The client is gone. */
  cancel(): void {
    this.#controller = null;
    this.#leave();
  }

  gap(gap: Gap): void {
    this.write(encodeGap(gap));
    this.#replayed = true;
  }

  replay(batch: readonly Message[]): boolean {
    this.#replayed = true;
    this.enqueue(encodeBatch(batch));
    return (this.#controller?.desiredSize ?? 0) > 0;
  }

  live(position: string): void {
    this.#catchUp = null;
    // A client that loses its connection before the first message comes back to this place.
    if (!this.#replayed) this.write(encodeId(position));
    this.#group = this.#exchange.channel.fanOut.group("sse", () => new SseGroup());
    this.#group.members.add(this);
  }

  fail(): void {
    this.end();
  }

  write(text: string): void {
    this.enqueue(encoder.encode(text));
  }

  /** Hands bytes to the client, or ends the stream of one that reads too slowly. */
  enqueue(chunk: Uint8Array): void {
    const controller = this.#controller;
    if (controller === null) return;
    if (controller.desiredSize! <= 0) return this.end();
    controller.enqueue(chunk);
  }

  /** Writes a heartbeat, where nothing else waits: a client that catches up slowly is alive. */
  beat(chunk: Uint8Array): void {
    if (this.#controller && this.#controller.desiredSize! > 0) this.#controller.enqueue(chunk);
  }

  /**
   * Ends the stream after what already waits. The client comes back by itself, with its position; one
   * that reads no more is cut off by the listener's idle timeout.
   */
  end(): void {
    const controller = this.#controller;
    if (controller === null) return;
    this.#controller = null;
    this.#leave();
    controller.close();
  }

  #leave(): void {
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.#group?.members.delete(this);
    this.#group = null;
    if (this.#streams.delete(this)) this.#exchange.subscriber.disconnect();
  }
}

function encodeBatch(batch: readonly Message[]): Uint8Array<ArrayBuffer> {
  let text = "";
  for (const message of batch) text += encodeEvent(message);
  return encoder.encode(text);
}
