/** A WebSocket that speaks `tidewire.v1`: JSON frames, for one channel or for many (DESIGN §5). */
import type { OpenSocket } from "./socket-group.ts";
import { FrameQueue } from "./frame-queue.ts";
import { FrameError, parseFrame, type ClientFrame, type Ref } from "./frame.ts";
import { FrameSubscription } from "./frame-subscription.ts";
import { CLOSE, RequestError } from "./errors.ts";
import { LIVE, type Start } from "../channel/position.ts";
import { parseAfter, parseLast } from "./start.ts";
import type {
  Access,
  ClientWays,
  Exchange,
  ManyExchange,
  Socket,
  SocketHandlers,
  TransportOptions,
} from "./transport.ts";

/** The subprotocol's name (RFC 6455 §1.9). */
export const PROTOCOL = "tidewire.v1";

/** Channels that one socket may be subscribed to. */
const MAX_SUBSCRIPTIONS = 1000;

export class FrameSocket implements SocketHandlers, OpenSocket {
  readonly options: TransportOptions;
  readonly listener: Exchange["listener"];
  readonly #sockets: Set<OpenSocket>;
  readonly #channels: Pick<ManyExchange, "nameOf" | "open">;
  /** The channel whose URL this is, subscribed to from the start; null on a socket for many. */
  readonly #own: Exchange | null;
  readonly #subscriptions = new Map<string, FrameSubscription>();
  #socket: Socket | null = null;
  #frames: FrameQueue | null = null;

  private constructor(
    exchange: Exchange | ManyExchange,
    own: Exchange | null,
    channels: Pick<ManyExchange, "nameOf" | "open">,
    options: TransportOptions,
    sockets: Set<OpenSocket>,
  ) {
    this.listener = exchange.listener;
    this.#own = own;
    this.#channels = channels;
    this.options = options;
    this.#sockets = sockets;
  }

  /** A socket on a channel's URL: subscribed to it from the request's start. */
  static forChannel(
    exchange: Exchange,
    options: TransportOptions,
    sockets: Set<OpenSocket>,
  ): FrameSocket {
    const { name } = exchange.channel;
    const open = (asked: string): Access => {
      if (asked === name) return exchange;
      throw new RequestError(
        404,
        "other-channel",
        `this socket is for channel "${name}"; open one at /channels for several`,
      );
    };
    const channels = { nameOf: (asked: string) => asked, open };
    return new FrameSocket(exchange, exchange, channels, options, sockets);
  }

  /** A socket at `/channels`. */
  static forMany(
    exchange: ManyExchange,
    options: TransportOptions,
    sockets: Set<OpenSocket>,
  ): FrameSocket {
    return new FrameSocket(exchange, null, exchange, options, sockets);
  }

  get socket(): Socket {
    return this.#socket!;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.#sockets.add(this);
    if (this.#own) this.#subscribe(this.#own, this.#own.start, undefined);
  }

  message(socket: Socket, data: string | Uint8Array): void {
    this.#frames ??= new FrameQueue((frame) => this.#take(frame));
    this.#frames.push(socket, data);
  }

  drain(): void {
    for (const subscription of this.#subscriptions.values()) subscription.drained();
  }

  close(): void {
    this.#leave();
    this.#socket = null;
  }

  /** How hooks of one channel answer this client. */
  ways(channel: string): ClientWays {
    return {
      send: (data, event) => this.write({ type: "message", channel, event, data }),
      close: (code, reason) => this.end(code, reason),
    };
  }

  /** Sends a frame to this client. */
  write(frame: Record<string, unknown>): void {
    this.#socket?.send(JSON.stringify(frame), false);
  }

  end(code: number, reason: string): void {
    this.#leave();
    this.#socket?.close(code, reason);
  }

  /** Ends the subscription to one channel, and tells why. */
  drop(name: string, code: string, message: string): void {
    this.#subscriptions.get(name)?.leave();
    this.#subscriptions.delete(name);
    this.write({ type: "error", channel: name, code, message });
  }

  async #take(data: string | Uint8Array): Promise<void> {
    let ref: Ref;
    try {
      const frame = parseFrame(data);
      ref = frame.ref;
      await this.#handle(frame);
    } catch (error) {
      if (error instanceof FrameError) ref = error.ref;
      const { code, message } =
        error instanceof RequestError
          ? error
          : { code: "internal", message: "the frame could not be handled" };
      this.write({ type: "error", ref, code, message });
    }
  }

  async #handle(frame: ClientFrame): Promise<void> {
    const name =
      frame.channel === null ? this.#own?.channel.name : this.#channels.nameOf(frame.channel);
    if (name === undefined) throw new FrameError(`a publish frame here needs "channel"`, frame.ref);
    if (frame.type === "unsubscribe") return this.#unsubscribe(name, frame.ref);
    if (frame.type === "subscribe" && this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      throw new RequestError(
        429,
        "too-many-subscriptions",
        `a socket has at most ${MAX_SUBSCRIPTIONS} subscriptions`,
      );
    }
    const access =
      this.#subscriptions.get(name)?.access ?? (await this.#channels.open(name, this.ways(name)));
    if (this.#socket === null) return;
    if (frame.type === "publish") {
      const { data, event, key } = frame;
      const messages = await access.submit({
        data,
        event: event as string | undefined,
        key: key as string | undefined,
      });
      const id = messages[messages.length - 1]?.id ?? null;
      if (frame.ref !== undefined) this.write({ type: "ack", ref: frame.ref, id });
      return;
    }
    this.#subscribe(access, readStart(frame), frame.ref);
  }

  #subscribe(access: Access, start: Start, ref: Ref): void {
    const { name } = access.channel;
    if (this.#subscriptions.has(name)) {
      throw new RequestError(
        409,
        "already-subscribed",
        `this socket is subscribed to channel "${name}" already`,
      );
    }
    const subscription = new FrameSubscription(this, access, start, ref);
    this.#subscriptions.set(name, subscription);
    subscription.run();
  }

  #unsubscribe(name: string, ref: Ref): void {
    const subscription = this.#subscriptions.get(name);
    if (!subscription) {
      throw new RequestError(
        404,
        "not-subscribed",
        `this socket is not subscribed to channel "${name}"`,
      );
    }
    subscription.leave();
    this.#subscriptions.delete(name);
    this.write({ type: "unsubscribed", channel: name, ref });
  }

  #leave(): void {
    for (const subscription of this.#subscriptions.values()) subscription.leave();
    this.#subscriptions.clear();
    this.#sockets.delete(this);
  }

  /** The client read too slowly: all its subscriptions end with the socket. */
  tooSlow(): void {
    this.end(CLOSE.slowConsumer, "slow consumer: come back with your last positions");
  }
}

function readStart(frame: ClientFrame & { type: "subscribe" }): Start {
  if (frame.after !== null) return parseAfter(frame.after, "after");
  return frame.last === null ? LIVE : parseLast(String(frame.last));
}
