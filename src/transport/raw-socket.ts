/** A WebSocket on a channel's URL with raw framing: each message's data is one frame. */
import { CatchUp, type Receiver } from "../channel/catch-up.ts";
import type { Gap } from "../channel/cursor.ts";
import type { Message } from "../channel/message.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import { CLOSE, RequestError } from "./errors.ts";
import { FrameQueue } from "./frame-queue.ts";
import { groupKey, SocketGroup, type GroupSocket, type OpenSocket } from "./socket-group.ts";
import { textOf } from "./text.ts";
import type { Exchange, Socket, SocketHandlers, TransportOptions } from "./transport.ts";

/** Bytes of data go as a binary frame, all else as a text frame (DESIGN §5). */
function encodeRaw(message: Message): string | Uint8Array {
  return message.format === "bytes" ? message.bytes : message.text;
}

export class RawSocket implements SocketHandlers, Receiver, GroupSocket, OpenSocket {
  readonly #exchange: Exchange;
  readonly #options: TransportOptions;
  readonly #sockets: Set<OpenSocket>;
  #socket: Socket | null = null;
  #catchUp: CatchUp | null = null;
  #group: SocketGroup | null = null;
  #frames: FrameQueue | null = null;
  #isRefused = false;

  constructor(exchange: Exchange, options: TransportOptions, sockets: Set<OpenSocket>) {
    this.#exchange = exchange;
    this.#options = options;
    this.#sockets = sockets;
  }

  get socket(): Socket {
    return this.#socket!;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.#sockets.add(this);
    const { subscriber, channel, start } = this.#exchange;
    subscriber.connect({
      send: (data) => void socket.send(data instanceof Uint8Array ? data : textOf(data)),
      close: (code, reason) => this.end(code, reason),
    });
    // A `joined` hook may have closed it.
    if (!this.#sockets.has(this)) return;
    this.#catchUp = new CatchUp(channel, this, start);
    this.#catchUp.run();
  }

  message(socket: Socket, data: string | Uint8Array): void {
    if (data.length > this.#options.messageBytes) {
      const limit = this.#options.messageBytes;
      return this.end(CLOSE.tooBig, `a message has at most ${limit} bytes`);
    }
    this.#frames ??= new FrameQueue((frame) => this.#take(frame));
    this.#frames.push(socket, data);
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

  replay(batch: readonly Message[]): boolean {
    const socket = this.#socket;
    if (!socket) return false;
    for (const message of batch) socket.send(encodeRaw(message), false);
    return socket.getBufferedAmount() < this.#options.bufferBytes / 2;
  }

  live(): void {
    this.#catchUp = null;
    const { channel, listener } = this.#exchange;
    this.#group = channel.fanOut.group(
      groupKey("raw"),
      () => new SocketGroup(listener, `raw/${channel.name}`, encodeRaw, this.#options.bufferBytes),
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

  async #submit(draft: IncomingDraft): Promise<void> {
    await this.#exchange.submit(draft);
  }

  #take(frame: string | Uint8Array): void | Promise<void> {
    // What the client sent after it, not knowing, would leave a hole where the refused one was.
    if (this.#isRefused) return;
    try {
      const work = this.#submit(readFrame(frame));
      return work.catch((error) => this.#refuse(error));
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
    if (this.#sockets.delete(this)) this.#exchange.subscriber.disconnect();
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
