/** Server-Sent Events: one held response a subscriber, one write a batch. */
import { SseOutput } from "./sse-output.ts";
import { CatchUp, pageOf, type Receiver } from "../channel/catch-up.ts";
import type { Channel } from "../channel/channel.ts";
import type { Gap } from "../channel/cursor.ts";
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { Message } from "../channel/message.ts";
import type { Start } from "../channel/position.ts";
import {
  encodeEvent,
  encodeGap,
  encodeId,
  encodeRetry,
  encodeUnnumbered,
  GONE,
  HEARTBEAT,
} from "./event-stream.ts";
import { spreadOut } from "./spread.ts";
import { textOf } from "./text.ts";
import { ResumingSseManyStream, SseCrowds, SseManyStream, type HeldStream } from "./sse-many.ts";
import type {
  Exchange,
  MergedExchange,
  MergingTransport,
  Subscriber,
  SubscriberWays,
  TransportOptions,
} from "./transport.ts";

const encoder = new TextEncoder();
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // nginx holds a response back unless it is told not to.
  "x-accel-buffering": "no",
};

/**
 * Counts what waits in bytes. The limit is not the high-water mark: Bun sets aside some kilobytes for a
 * stream with a large one, and there may be many thousand streams.
 */
const STRATEGY = new ByteLengthQueuingStrategy({ highWaterMark: 1 });

export class SseTransport implements MergingTransport {
  readonly name = "sse";
  #options: TransportOptions;
  readonly #streams = new Set<HeldStream>();
  readonly #crowds: SseCrowds;
  #preamble: Uint8Array<ArrayBuffer>;
  #heart: Timer | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#crowds = new SseCrowds(options.bufferBytes);
    this.#preamble = encoder.encode(HEARTBEAT + encodeRetry(options.retryMs));
  }

  /** Streams that stand get heartbeats at the new pace; `retry:` is for those that come. */
  update(times: Pick<TransportOptions, "retryMs" | "heartbeatMs">): void {
    this.#options = { ...this.#options, ...times };
    this.#preamble = encoder.encode(HEARTBEAT + encodeRetry(times.retryMs));
    if (!this.#heart) return;
    clearInterval(this.#heart);
    this.#heart = this.#startHeart();
  }

  matches(request: Request): boolean {
    return request.headers.get("accept")?.toLowerCase().includes("text/event-stream") ?? false;
  }

  serve(exchange: Exchange): Response {
    // Who starts live has no history to be paced through: without `pull` a batch costs less.
    const Stream = exchange.start.from === "live" ? SseStream : ResumingSseStream;
    const stream = new Stream(exchange, {
      preamble: this.#preamble,
      streams: this.#streams,
      bufferBytes: this.#options.bufferBytes,
    });
    this.#heart ??= this.#startHeart();
    return new Response(new ReadableStream(stream, STRATEGY), { headers: HEADERS });
  }

  serveMerged(exchange: MergedExchange): Response {
    const { accesses, startOf } = exchange;
    const isLive = accesses.every(({ channel }) => startOf(channel.name, channel).from === "live");
    const stream = new (isLive ? SseManyStream : ResumingSseManyStream)(exchange, {
      preamble: this.#preamble,
      streams: this.#streams,
      crowds: this.#crowds,
      bufferBytes: this.#options.bufferBytes,
    });
    this.#heart ??= this.#startHeart();
    return new Response(new ReadableStream(stream, STRATEGY), { headers: HEADERS });
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

/** What all streams share. */
interface SseShared {
  readonly preamble: Uint8Array;
  readonly streams: Set<HeldStream>;
  readonly bufferBytes: number;
}

class SseStream
  extends SseOutput
  implements Receiver, HeldStream, SubscriberWays, UnderlyingDefaultSource<Uint8Array>
{
  // Not the exchange: its request would be kept for as long as the stream.
  readonly #channel: Channel;
  readonly #subscriber: Subscriber;
  readonly #start: Start;
  readonly #shared: SseShared;
  #catchUp: CatchUp | null = null;
  #group: SseGroup | null = null;
  #replayed = false;

  constructor({ channel, subscriber, start }: Exchange, shared: SseShared) {
    super(shared.bufferBytes);
    this.#channel = channel;
    this.#subscriber = subscriber;
    this.#start = start;
    this.#shared = shared;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.controller = controller;
    this.#shared.streams.add(this);
    controller.enqueue(this.#shared.preamble);
    this.#subscriber.connect(this);
    // A `joined` hook may have closed it.
    if (this.controller === null) return;
    this.#catchUp = new CatchUp(this.#channel, this, this.#start, pageOf(this.#shared.bufferBytes));
    this.#catchUp.run();
  }

  /** The client took all that waited: there is room for more history. */
  drained(): void {
    this.#catchUp?.drained();
  }

  gap(gap: Gap): void {
    this.write(encodeGap(gap));
    this.#replayed = true;
  }

  /** The other half of the buffer is for what is published when it has just caught up. */
  get hasRoom(): boolean {
    return this.waiting * 2 < this.#shared.bufferBytes;
  }

  /** Takes all: a page is a quarter of the buffer. */
  replay(batch: readonly Message[]): number {
    this.#replayed = true;
    this.controller?.enqueue(encodeBatch(batch));
    return batch.length;
  }

  live(position: string): void {
    this.#catchUp = null;
    // A client that loses its connection before the first message comes back to this place.
    // A snapshot that a `joined` hook sent must not end it here, however much that was.
    if (!this.#replayed) this.controller?.enqueue(encoder.encode(encodeId(position)));
    this.#group = this.#channel.fanOut.group("sse", () => new SseGroup());
    this.#group.members.add(this);
  }

  fail(): void {
    this.end();
  }

  send(data: unknown, event?: string): void {
    this.write(encodeUnnumbered(textOf(data), event));
  }

  close(): void {
    this.end();
  }

  /** An event says so: the stream's end alone would be taken for a lost connection. */
  gone(reason: string): void {
    const { name } = this.#channel;
    this.write(encodeUnnumbered(JSON.stringify({ channel: name, reason }), GONE));
    this.end();
  }

  protected override leave(): void {
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.#group?.members.delete(this);
    this.#group = null;
    if (this.#shared.streams.delete(this)) this.#subscriber.disconnect();
  }
}

class ResumingSseStream extends SseStream {
  pull(): void {
    this.drained();
  }
}

function encodeBatch(batch: readonly Message[]): Uint8Array<ArrayBuffer> {
  let text = "";
  for (const message of batch) text += encodeEvent(message);
  return encoder.encode(text);
}
