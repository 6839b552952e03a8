/** A WebSocket on a channel's URL with raw framing: each message's data is one frame. */
import { CatchUp, pageOf, type Receiver } from "../channel/catch-up.ts";
import type { Gap } from "../channel/cursor.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { Start } from "../channel/position.ts";
import { accessOf } from "./access.ts";
import { CLOSE, RequestError } from "./errors.ts";
import { FrameQueue } from "./frame-queue.ts";
import {
  groupKey,
  SocketGroup,
  type GroupSocket,
  type OpenSocket,
  type SocketContext,
} from "./socket-group.ts";
import { textOf } from "./text.ts";
import type { Access, Exchange, Listener, Socket, SocketHandlers } from "./transport.ts";

/** Bytes of data go as a binary frame, all else as a text frame (DESIGN §5). */
function encodeRaw(message: Message): string | Uint8Array {
  return message.format === "bytes" ? message.bytes : message.text;
}

export class RawSocket implements SocketHandlers, Receiver, GroupSocket, OpenSocket {
  readonly hasMany = false;
  readonly #access: Access;
  readonly #listener: Listener;
  readonly #start: Start;
  readonly #context: SocketContext;
  #socket: Socket | null = null;
  #catchUp: CatchUp | null = null;
  #group: SocketGroup | null = null;
  #frames: FrameQueue<string | Uint8Array> | null = null;
  #isRefused = false;

  constructor(exchange: Exchange, context: SocketContext) {
    this.#access = accessOf(exchange);
    this.#listener = exchange.listener;
    this.#start = exchange.start;
    this.#context = context;
  }

  get socket(): Socket {
    return this.#socket!;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    const { sockets, options } = this.#context;
    sockets.add(this);
    const { subscriber, channel } = this.#access;
    subscriber.connect({
      send: (data) => this.#send(data instanceof Uint8Array ? data : textOf(data)),
      close: (code, reason) => this.end(code, reason),
      gone: (reason) => this.end(CLOSE.gone, reason),
    });
    // A `joined` hook may have closed it.
    if (!sockets.has(this)) return;
    this.#catchUp = new CatchUp(channel, this, this.#start, pageOf(options.bufferBytes));
    this.#catchUp.run();
  }

  message(socket: Socket, data: string | Uint8Array): void {
    const limit = this.#context.options.messageBytes;
    if (data.length > limit) {
      return this.end(CLOSE.tooBig, `a message has at most ${limit} bytes`);
    }
    this.#frames ??= new FrameQueue((frame) => this.#take(frame));
    this.#frames.push(socket, data, data.length);
  }

  drain(): void {
    this.#catchUp?.drained();
  }

  close(): void {
    this.#leave();
    this.#socket = null;
  }

  /** Raw framing has no frame for it, since any frame is data: the close code tells of a gap. */
  gap(gap: Gap): void {
    this.end(CLOSE.gap, `gap: what came after ${gap.after} up to ${gap.id} is no longer kept`);
  }

  /** The other half of the buffer is for what is published when it has just caught up. */
  get hasRoom(): boolean {
    return this.socket.getBufferedAmount() * 2 < this.#context.options.bufferBytes;
  }

  replay(batch: readonly Message[]): number {
    let taken = 0;
    do this.socket.send(encodeRaw(batch[taken++]!), false);
    while (taken < batch.length && this.hasRoom);
    return taken;
  }

  live(): void {
    this.#catchUp = null;
    const { channel } = this.#access;
    this.#group = channel.fanOut.group(
      groupKey("raw"),
      () => new SocketGroup(this.#listener, `raw/${channel.name}`, encodeRaw, this.#context),
    );
    this.#group.add(this);
  }

  fail(): void {
    this.end(CLOSE.internal, "the channel's history can't be read now");
  }

  tooSlow(): void {
    this.end(CLOSE.slowConsumer, "slow consumer: come back with your last position");
  }

  end(code: number, reason: string): void {
    this.#leave();
    this.#socket?.close(code, reason);
  }

  /** Sends what a hook answers, which nobody paces, or ends the socket of a client that reads none of it. */
  #send(data: string | Uint8Array): void {
    const { socket } = this;
    if (socket.send(data, false) > 0) return;
    if (socket.getBufferedAmount() > this.#context.options.bufferBytes) this.tooSlow();
  }

  #take(frame: string | Uint8Array): MaybePromise<void> {
    // What the client sent after it, not knowing, would leave a hole where the refused one was.
    if (this.#isRefused) return;
    try {
      const work = this.#access.submit(readFrame(frame));
      if (!(work instanceof Promise)) return;
      return work.then(
        () => {},
        (error) => this.#refuse(error),
      );
    } catch (error) {
      this.#refuse(error);
    }
  }

  #refuse(error: unknown): void {
    this.#isRefused = true;
    if (error instanceof RequestError) this.end(error.closeCode, error.message.slice(0, 120));
    else this.end(CLOSE.internal, "the message could not be taken");
  }

  #leave(): void {
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.#group?.delete(this);
    this.#group = null;
    if (this.#context.sockets.delete(this)) this.#access.subscriber.disconnect();
  }
}

/** A text frame that holds a JSON object or array is JSON; any other text is text. */
function readFrame(frame: string | Uint8Array): IncomingDraft {
  if (typeof frame !== "string") return { data: new Uint8Array(frame) };
  const first = frame.trimStart()[0];
  if (first === "{" || first === "[") {
    try {
      return { data: JSON.parse(frame), format: "json", raw: frame };
    } catch {
      // Text that only looks like JSON.
    }
  }
  return { data: frame };
}
