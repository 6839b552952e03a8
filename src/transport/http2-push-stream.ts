/** One subscriber of HTTP/2 push: what is promised to it, and the lines of its held stream, in order. */
import { CatchUp, pageOf, type Receiver } from "../channel/catch-up.ts";
import type { Channel } from "../channel/channel.ts";
import type { Gap } from "../channel/cursor.ts";
import type { SlowPolicy } from "../channel/lag.ts";
import type { Message } from "../channel/message.ts";
import { formatPosition, parsePosition, type Start } from "../channel/position.ts";
import { CLOSE } from "./errors.ts";
import type { PageCache } from "./page-cache.ts";
import { OVERHEAD_BYTES, preparePushes, type PreparedPush } from "./prepared-push.ts";
import { PushError } from "./push-error.ts";
import { dataMembers } from "./text.ts";
import type { PushPort, Subscriber } from "./transport.ts";

/** What an open pushed stream takes in `node:http2` beside its data, about: measured by bench/slow.ts. */
const STREAM_BYTES = 12 * 1024;

/** Items that were sent and are still in the queue, over which it is made anew. */
const MANY_SENT = 256;

export interface Http2PushStreamOptions {
  readonly channel: Channel;
  readonly subscriber: Subscriber;
  readonly start: Start;
  /** The channel's path as the client wrote it. */
  readonly path: string;
  readonly port: PushPort;
  /** Bytes that may wait for this client; see `OVERHEAD_BYTES`. */
  readonly bufferBytes: number;
  readonly pages: PageCache<readonly PreparedPush[]>;
  /** Joins the live fan-out; returns how to leave it. */
  readonly join: (stream: Http2PushStream) => () => void;
  /** Called once, when the stream ended or the client went. */
  readonly onEnd: (stream: Http2PushStream) => void;
}

/** A line of the held stream that waits for its turn. */
interface Line {
  readonly line: Uint8Array;
  readonly cost: number;
  /** The stream ends with it. */
  readonly isLast?: boolean;
}

const encoder = new TextEncoder();

export class Http2PushStream implements Receiver {
  readonly #options: Http2PushStreamOptions;
  readonly #slow: SlowPolicy;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #catchUp: CatchUp | null = null;
  #leave: (() => void) | null = null;
  /** What may not be sent yet: a line waits for the pushes before it, a push for the line before it. */
  #queue: (PreparedPush | Line)[] = [];
  /** What comes before this index of the queue was sent. */
  #head = 0;
  /** Pushes handed to the port and not done, the oldest first, and the bytes that they take there. */
  readonly #pushing = new Set<PreparedPush>();
  #pushingBytes = 0;
  /** A line is on its way: DATA waits for flow control and PUSH_PROMISE does not, so it could be passed. */
  #writing = false;
  /** The body's reader waits for a line. */
  #wanted = false;
  #waitingBytes = 0;
  #isTold = false;
  #ended = false;

  constructor(options: Http2PushStreamOptions) {
    this.#options = options;
    this.#slow = options.channel.slow;
  }

  /** Starts to deliver; the body is what the held stream is answered with. */
  open(): ReadableStream<Uint8Array> {
    const { channel, start, subscriber, bufferBytes } = this.#options;
    // With a high-water mark of 0, `pull` means: the last line has gone out, and the next is awaited.
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => this.#lineWanted(),
        cancel: () => this.#finish(),
      },
      { highWaterMark: 0 },
    );
    subscriber.connect({
      send: (data, event) =>
        this.#write({ type: "message", channel: channel.name, event, ...dataMembers(data) }),
      close: (code, reason) => this.end(code, reason),
      gone: (reason) => this.#goneAfterAll(reason),
    });
    this.#catchUp = new CatchUp(channel, this, start, pageOf(bufferBytes));
    this.#catchUp.run();
    return body;
  }

  gap({ after, id }: Gap): void {
    this.#write({ type: "gap", channel: this.#options.channel.name, after, id });
  }

  replay(batch: readonly Message[]): number {
    const { pages, channel } = this.#options;
    const pushes = pages.get(channel, "push", batch, preparePushes);
    let taken = 0;
    do this.#add(pushes[taken++]!);
    while (taken < batch.length && this.hasRoom);
    this.#advance();
    return taken;
  }

  live(position: string): void {
    this.#catchUp = null;
    const channel = this.#options.channel.name;
    // Once: who is level again after it lagged was told of each gap, and needs no more.
    if (!this.#isTold) this.#write({ type: "subscribed", channel, id: position });
    this.#isTold = true;
    if (!this.#ended) this.#leave = this.#options.join(this);
  }

  fail(): void {
    this.end(CLOSE.internal, "the history can't be read now");
  }

  /**
   * Pushes one live batch.
   *
   * @returns Whether there was room.
   */
  offer(pushes: readonly PreparedPush[]): boolean {
    if (this.#isFull) return false;
    for (const push of pushes) this.#add(push);
    this.#advance();
    return true;
  }

  /** There is no room for a batch. Who may lag goes on where there is. */
  tooSlow(batch: readonly Message[]): void {
    if (this.#slow === "disconnect") return this.#endSlow();
    const { channel, bufferBytes } = this.#options;
    this.#leave?.();
    this.#leave = null;
    const lag = channel.laggards.begin(channel, this.#slow, batch, this);
    this.#catchUp = new CatchUp(channel, this, lag, pageOf(bufferBytes));
    this.#catchUp.run();
  }

  /**
   * Ends the held stream with a `closing` line. What waits is let go of: the client comes back for it.
   *
   * @param after Where to come back after, when that is not the last message that the client has.
   */
  end(code: number, reason: string, after?: string): void {
    const controller = this.#controller;
    if (this.#ended || controller === null) return;
    this.#finish();
    controller.enqueue(encodeLine({ type: "closing", code, reason, after }));
    controller.close();
  }

  /** Ends the held stream after what waits: there is nothing that the client could come back to. */
  #goneAfterAll(reason: string): void {
    const rest = this.#catchUp?.giveUp() ?? null;
    this.#catchUp = null;
    if (rest !== null) {
      const gap = encodeLine({ type: "gap", channel: this.#options.channel.name, ...rest });
      this.#add({ line: gap, cost: gap.byteLength + OVERHEAD_BYTES });
    }
    const line = encodeLine({ type: "closing", code: CLOSE.gone, reason });
    this.#add({ line, cost: line.byteLength + OVERHEAD_BYTES, isLast: true });
    this.#advance();
  }

  /** What waits behind the push that is on its way: that one may be as large as the buffer. */
  get #isFull(): boolean {
    const underWay = this.#pushing.values().next().value?.cost ?? 0;
    return this.#waitingBytes - underWay >= this.#options.bufferBytes;
  }

  /** The other half of the buffer is for what is published when it has just caught up. */
  get hasRoom(): boolean {
    return this.#waitingBytes * 2 <= this.#options.bufferBytes;
  }

  #endSlow(): void {
    this.end(CLOSE.slowConsumer, "slow consumer: come back with the last id you have");
  }

  #write(value: Record<string, unknown>): void {
    if (this.#ended) return;
    if (this.#isFull) return this.#endSlow();
    const line = encodeLine(value);
    this.#add({ line, cost: line.byteLength + OVERHEAD_BYTES });
    this.#advance();
  }

  #add(item: PreparedPush | Line): void {
    if (this.#ended) return;
    this.#waitingBytes += item.cost;
    this.#queue.push(item);
  }

  /** Sends what is due, in order. */
  #advance(): void {
    while (this.#head < this.#queue.length && !this.#writing) {
      const item = this.#queue[this.#head]!;
      if ("line" in item) {
        if (this.#pushing.size > 0 || !this.#wanted) break;
        this.#head++;
        this.#wanted = false;
        this.#writing = true;
        // The body's reader holds it from here on, and no more than this one.
        this.#waitingBytes -= item.cost;
        this.#controller!.enqueue(item.line);
        if (item.isLast) {
          this.#finish();
          this.#controller!.close();
          return;
        }
      } else {
        if (!this.#hasRoomFor(item)) break;
        this.#head++;
        this.#push(item);
      }
    }
    if (this.#head === this.#queue.length || this.#head > MANY_SENT) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }

  /**
   * What waits in the queue is shared with all other subscribers; what is handed over takes memory of its
   * own. A single one may be as large as it likes.
   */
  #hasRoomFor({ cost }: PreparedPush): boolean {
    if (this.#pushing.size === 0) return true;
    return this.#pushingBytes + cost + STREAM_BYTES <= this.#options.bufferBytes;
  }

  #push(push: PreparedPush): void {
    const { port, path } = this.#options;
    const { id, headers, body, cost } = push;
    this.#pushing.add(push);
    this.#pushingBytes += cost + STREAM_BYTES;
    port.push(`${path}/messages/${id}`, headers, body, (error) => {
      // What was pushed before that one has gone out whole.
      const oldest = error && this.#pushing.values().next().value!;
      this.#pushing.delete(push);
      this.#pushingBytes -= cost + STREAM_BYTES;
      this.#waitingBytes -= cost;
      if (this.#ended) return;
      if (!error) return this.#settled();
      if (error instanceof PushError && error.promised) return this.#endMissed(oldest!, error);
      this.end(CLOSE.tryLater, `${error.message}; come back with the last id you have`);
    });
  }

  /**
   * A promised message did not arrive whole. Its client's program need not know: a library resets by itself
   * what it finds too much, and with the codes of a program that refuses a push (RFC 9113 §8.4.2).
   */
  #endMissed({ id }: PreparedPush, { message }: PushError): void {
    const { epoch, offset } = parsePosition(id)!;
    // Later messages may have come already: the last id that the client has would leave this one out.
    const after = formatPosition(epoch, offset - 1);
    const advice = `come back with ?after=${after}; take pushes sooner or raise the client's limits`;
    this.end(CLOSE.slowConsumer, `${message}: ${advice}, such as maxReservedRemoteStreams`, after);
  }

  #lineWanted(): void {
    this.#wanted = true;
    this.#writing = false;
    this.#settled();
  }

  /** Something went out: go on with what waited for it. */
  #settled(): void {
    if (this.#queue.length > 0) this.#advance();
    if (this.hasRoom) this.#catchUp?.drained();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#queue = [];
    this.#head = 0;
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.#leave?.();
    this.#leave = null;
    this.#options.onEnd(this);
    this.#options.subscriber.disconnect();
  }
}

function encodeLine(value: Record<string, unknown>): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${JSON.stringify(value)}\n`);
}
