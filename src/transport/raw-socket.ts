/** A WebSocket on a channel's URL with raw framing: each message's data is one frame. */
import { CatchUp, pageOf, type Receiver } from "../channel/catch-up.ts";
import type { Gap } from "../channel/cursor.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { Start } from "../channel/position.ts";
import { accessOf } from "./access.ts";
import { CLOSE, RequestError } from "./errors.ts";
import { FrameQueue, inTurn, type Taken } from "./frame-queue.ts";
import { hasRoomForHistory, isTooFull, sendFrames } from "./send-frames.ts";
import {
  groupKey,
  isWorthDeflating,
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

function encodeFrames(batch: readonly Message[]): readonly (string | Uint8Array)[] {
  return batch.map(encodeRaw);
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
    this.#frames ??= new FrameQueue((frame, before) => this.#take(frame, before));
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

  get hasRoom(): boolean {
    return hasRoomForHistory(this.socket, this.#context);
  }

  replay(batch: readonly Message[]): number {
    const frames = this.#context.pages.get(this.#access.channel, "raw", batch, encodeFrames);
    return sendFrames(this.socket, frames, this.#context);
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

  /** Whatever the channel's policy: no frame could tell of what was dropped (see `gap`). */
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
    if (socket.send(data, isWorthDeflating(this.#context, data)) > 0) return;
    if (isTooFull(socket, this.#context)) this.tooSlow();
  }

  #take(frame: string | Uint8Array, before: Promise<void> | null): MaybePromise<Taken> {
    // What the client sent after it, not knowing, would leave a hole where the refused one was.
    if (this.#isRefused) return;
    try {
      const isPlaced = this.#access.subscriber.takesAtOnce === true;
      const work = this.#access.submit(readFrame(frame));
      if (!(work instanceof Promise)) return;
      const turn = isPlaced ? null : before;
      const answered = work.then(
        () => {},
        (error) => inTurn(turn, () => this.#refuse(error)),
      );
      return isPlaced ? { answered } : answered;
    } catch (error) {
      this.#isRefused = true;
      // Those before it go out to the client first, as its own messages do.
      return inTurn(before, () => this.#refuse(error));
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
