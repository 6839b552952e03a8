/** Server-Sent Events: one held response a subscriber, one write a batch. */
import { SseOutput } from "./sse-output.ts";
import { CatchUp, pageOf, type Receiver } from "../channel/catch-up.ts";
import type { Channel } from "../channel/channel.ts";
import type { Gap } from "../channel/cursor.ts";
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { SlowPolicy } from "../channel/lag.ts";
import type { Message } from "../channel/message.ts";
import type { Start } from "../channel/position.ts";
import {
  encodeEvent,
  encodeGap,
  encodeId,
  encodeRetry,
  encodeUnnumbered,
  GONE,
} from "./event-stream.ts";
import { Codings } from "./coding/codings.ts";
import type { StreamCoding } from "./coding/coding.ts";
import { PageCache } from "./page-cache.ts";
import { SseForm } from "./sse-form.ts";
import { spreadOut } from "./spread.ts";
import { textOf } from "./text.ts";
import {
  mayLag,
  ResumingSseManyStream,
  SseCrowds,
  SseManyStream,
  type HeldStream,
} from "./sse-many.ts";
import type {
  Exchange,
  MergedExchange,
  MergingTransport,
  Subscriber,
  SubscriberWays,
  TransportOptions,
} from "./transport.ts";

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  vary: "Accept, Accept-Encoding",
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
  readonly #codings: Codings;
  readonly #forms = new Map<StreamCoding, SseForm>();
  readonly #crowds = new Map<SseForm, SseCrowds>();
  readonly #pages = new PageCache<Uint8Array>((page) => page.byteLength);
  #heart: Timer | null = null;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#codings = options.codings ?? Codings.none;
  }

  /** Streams that stand get heartbeats at the new pace; `retry:` is for those that come. */
  update(times: Pick<TransportOptions, "retryMs" | "heartbeatMs">): void {
    this.#options = { ...this.#options, ...times };
    for (const form of this.#forms.values()) form.update(times.retryMs);
    if (!this.#heart) return;
    clearInterval(this.#heart);
    this.#heart = this.#startHeart();
  }

  matches(request: Request): boolean {
    return request.headers.get("accept")?.toLowerCase().includes("text/event-stream") ?? false;
  }

  serve(exchange: Exchange): Response {
    // Who starts live has no history to be paced through, unless it may lag: without `pull` a batch costs less.
    const neverWaits = exchange.start.from === "live" && exchange.channel.slow === "disconnect";
    const Stream = neverWaits ? SseStream : ResumingSseStream;
    const form = this.#formFor(exchange.request);
    const stream = new Stream(exchange, {
      form,
      streams: this.#streams,
      pages: this.#pages,
      bufferBytes: this.#options.bufferBytes,
    });
    this.#heart ??= this.#startHeart();
    return new Response(new ReadableStream(stream, STRATEGY), { headers: headersOf(form) });
  }

  serveMerged(exchange: MergedExchange): Response {
    const { accesses, startOf } = exchange;
    const isLive = accesses.every(({ channel }) => startOf(channel.name, channel).from === "live");
    const form = this.#formFor(exchange.request);
    const neverWaits = isLive && !mayLag(accesses);
    const stream = new (neverWaits ? SseManyStream : ResumingSseManyStream)(exchange, {
      form,
      streams: this.#streams,
      crowds: this.#crowdsOf(form),
      bufferBytes: this.#options.bufferBytes,
    });
    this.#heart ??= this.#startHeart();
    return new Response(new ReadableStream(stream, STRATEGY), { headers: headersOf(form) });
  }

  async shutdown(spreadMs: number): Promise<void> {
    if (this.#heart) clearInterval(this.#heart);
    this.#pages.clear();
    // Each client waits a time of its own, so all can be told at once.
    for (const stream of this.#streams) {
      stream.write(encodeRetry(this.#options.retryMs + spreadOut(spreadMs)));
      stream.end();
    }
  }

  #formFor(request: Request): SseForm {
    const coding = this.#codings.stream(request);
    let form = this.#forms.get(coding);
    if (!form) this.#forms.set(coding, (form = new SseForm(coding, this.#options.retryMs)));
    return form;
  }

  #crowdsOf(form: SseForm): SseCrowds {
    let crowds = this.#crowds.get(form);
    if (!crowds) {
      crowds = new SseCrowds(this.#options.bufferBytes, form.coding);
      this.#crowds.set(form, crowds);
    }
    return crowds;
  }

  /** One timer for all streams: a stream that is stalled is not written to. */
  #startHeart(): Timer {
    return setInterval(() => {
      for (const stream of this.#streams) stream.beat();
    }, this.#options.heartbeatMs).unref();
  }
}

/** The answer's headers, which say how its stream is coded. */
function headersOf({ coding }: SseForm): Record<string, string> {
  return coding.name === "identity" ? HEADERS : { ...HEADERS, "content-encoding": coding.name };
}

/** Subscribers of one channel whose streams have one coding: they share each batch's bytes. */
class SseGroup implements FanOutGroup {
  readonly members = new Set<SseStream>();
  readonly #coding: StreamCoding;

  constructor(coding: StreamCoding) {
    this.#coding = coding;
  }

  get size(): number {
    return this.members.size;
  }

  deliver(batch: readonly Message[]): void {
    const chunk = this.#coding.encode(textOfBatch(batch));
    for (const member of this.members) if (!member.offer(chunk)) member.tooSlow(batch);
  }
}

/** What all streams share. */
interface SseShared {
  readonly form: SseForm;
  readonly streams: Set<HeldStream>;
  readonly pages: PageCache<Uint8Array>;
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
  readonly #slow: SlowPolicy;
  readonly #shared: SseShared;
  #catchUp: CatchUp | null = null;
  #group: SseGroup | null = null;
  /** The id that the client has before it is live. */
  #lastId: string | null = null;

  constructor({ channel, subscriber, start }: Exchange, shared: SseShared) {
    super(shared.bufferBytes, shared.form);
    this.#channel = channel;
    this.#subscriber = subscriber;
    this.#start = start;
    this.#slow = channel.slow;
    this.#shared = shared;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.controller = controller;
    this.#shared.streams.add(this);
    this.put(this.form.preamble);
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
    this.#lastId = gap.id;
  }

  /** The other half of the buffer is for what is published when it has just caught up. */
  get hasRoom(): boolean {
    return this.waiting * 2 < this.#shared.bufferBytes;
  }

  /** Takes all: a page is a quarter of the buffer. */
  replay(batch: readonly Message[]): number {
    this.#lastId = batch[batch.length - 1]!.id;
    // One chunk for all who catch up: what waits for a thousand of them takes no more than for one.
    const { pages } = this.#shared;
    const { coding } = this.form;
    const encode = (page: readonly Message[]) => coding.encode(textOfBatch(page));
    this.put(pages.get(this.#channel, coding.name, batch, encode));
    return batch.length;
  }

  live(position: string): void {
    this.#catchUp = null;
    // A client that loses its connection before the first message comes back to this place, which may be far
    // beyond the last message of the state. A snapshot that a `joined` hook sent must not end it here, however
    // much that was.
    const { coding } = this.form;
    if (this.#lastId !== position) this.put(coding.encode(encodeId(position)));
    this.#group = this.#channel.fanOut.group(`sse/${coding.name}`, () => new SseGroup(coding));
    this.#group.members.add(this);
    this.#lastId = null;
  }

  fail(): void {
    this.end();
  }

  /** There is no room for a batch. Who may lag goes on where there is. */
  tooSlow(batch: readonly Message[]): void {
    if (this.#slow === "disconnect") return this.end();
    this.#group?.members.delete(this);
    this.#group = null;
    const lag = this.#channel.laggards.begin(this.#channel, this.#slow, batch, this);
    this.#catchUp = new CatchUp(this.#channel, this, lag, pageOf(this.#shared.bufferBytes));
    this.#catchUp.run();
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
    const rest = this.#catchUp?.giveUp();
    const gone = encodeUnnumbered(JSON.stringify({ channel: name, reason }), GONE);
    this.write(rest ? encodeGap(rest) + gone : gone);
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

function textOfBatch(batch: readonly Message[]): string {
  let text = "";
  for (const message of batch) text += encodeEvent(message);
  return text;
}
