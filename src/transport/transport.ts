/** The contract of a transport: how a client that asked for a channel receives it. */
import type { Channel } from "../channel/channel.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { Start } from "../channel/position.ts";
import type { Codings } from "./coding/codings.ts";
import type { StartOf } from "./start-many.ts";

/** One client's access to one channel. */
export interface Access {
  readonly channel: Channel;
  /** The server's view of this client, which the transport tells of its connection. */
  readonly subscriber: Subscriber;
  /**
   * Takes what the client sent: through the `receive` hooks, then the channel's pipeline.
   *
   * @throws {RequestError} When this client may not publish, or not so fast, or the draft is refused.
   */
  submit(draft: IncomingDraft, terms?: SubmitTerms): MaybePromise<Submitted>;
}

/** What a client asks for beside its draft being published. */
export interface SubmitTerms {
  /** The newest position that there may be. */
  readonly expect?: string | undefined;
  /** Names this publish: the same one, sent again, is answered and not published again. */
  readonly idempotency?: string | undefined;
}

/** What came of a draft. */
export interface Submitted {
  /** Position of the last message that was committed; null when nothing was. */
  readonly id: string | null;
  /** It was published before, and not again. */
  readonly isReplay: boolean;
}

/** A request for a channel, with all that a transport needs to answer it. */
export interface Exchange extends Access {
  readonly request: Request;
  readonly query: URLSearchParams;
  /** The channel's path as this request wrote it, percent-encoded: `/channels/chat/caf%C3%A9`. */
  readonly path: string;
  readonly start: Start;
  readonly listener: Listener;
  /**
   * The answer to a request that can't be served after all. Where there is one, a promise that `serve` gave
   * MUST resolve with it rather than fail: whoever handed it on need not look at each.
   */
  readonly refuse?: (error: unknown) => Response;
  /**
   * Opens the channel for this client once more: who left it, or only publishes, may find it gone, or
   * that others may use it by now.
   *
   * @see ManyExchange.open
   */
  reopen(action: "subscribe" | "publish", ways: ClientWays): MaybePromise<Access>;
}

/** A request for a socket that carries many channels. */
export interface ManyExchange {
  readonly request: Request;
  readonly listener: Listener;
  /**
   * The name that messages of a channel carry, for one that is percent-encoded in another way.
   *
   * @throws {RequestError} When there is no such channel.
   */
  nameOf(name: string): string;
  /**
   * @param name A channel's name, parameters percent-encoded where they hold `/`, `%`, `?` or `#`.
   * @param action What it is asked for.
   * @param ways How hooks answer this client as long as it has not subscribed.
   * @throws {RequestError} When there is no such channel, it does not expose this transport, or this
   *   client may not do that.
   */
  open(name: string, action: "subscribe" | "publish", ways: ClientWays): MaybePromise<Access>;
}

/** A request for one stream, or one poll, of many channels. */
export interface MergedExchange {
  readonly request: Request;
  readonly query: URLSearchParams;
  readonly path: string;
  readonly listener: Listener;
  /** Each channel once, sorted by name. */
  readonly accesses: readonly Access[];
  /** Where to start in each. */
  readonly startOf: StartOf;
  /** The connection as a whole, which counts as one. MUST be told before and after the subscribers. */
  readonly connection: Pick<Subscriber, "disconnect"> & { connect(): void };
}

/** A transport that carries many channels on one connection. */
export interface MergingTransport extends Transport {
  /**
   * Serves a request for many channels: in each what `Transport.serve` promises. A gap says which channel.
   *
   * @throws {RequestError} When the request can't be served.
   */
  serveMerged(exchange: MergedExchange): MaybePromise<Response>;
}

/** The server's view of one client; the transport gives it its ways to answer. */
export interface Subscriber {
  readonly id: string;
  /**
   * What is submitted now, with no terms, has its place in the channel as soon as `submit` has returned:
   * the next draft need not wait for its answer. Later it is refused together with all that is submitted
   * meanwhile, or for its key, by the state of the channel. Left out: it has to wait.
   */
  readonly takesAtOnce?: boolean;
  /** The connection stands: counted, and told to `joined` hooks. */
  connect(ways: SubscriberWays): void;
  /** MUST be called once when the connection is gone, however it ended. */
  disconnect(): void;
}

/** What a transport lets the server do to one client. */
export interface ClientWays {
  /** Sends data to this client alone. */
  send(data: unknown, event?: string): void;
  close(code: number, reason: string): void;
}

/** What a transport lets the server do to one subscriber. */
export interface SubscriberWays extends ClientWays {
  /**
   * The channel is no more. Ends this subscription, and tells the client so and why; a connection that
   * carries other channels goes on with those.
   */
  gone(reason: string): void;
}

/** What the listener that took a request can do for it. */
export interface Listener {
  /** Turns an HTTP/1.1 request into a WebSocket; false when it can't. */
  upgrade(request: Request, socket: SocketHandlers, protocol?: string): boolean;
  /**
   * Sends one frame to all sockets that subscribed to `group`, with one write each turn.
   *
   * @param compress For sockets that can take it so (RFC 7692): each has it compressed by itself.
   */
  publish(group: string, data: string | Uint8Array, compress: boolean): void;
  /** Lets a request wait for its answer longer than the listener's idle timeout. */
  hold(request: Request, seconds: number): void;
  /** A port when the client takes server pushes on this request's connection (RFC 9113 §8.4). */
  push(request: Request): PushPort | null;
}

/** Pushes responses on the stream of one request. */
export interface PushPort {
  /** The same object for all requests of one connection. */
  readonly connection: object;
  /** A push would be promised at once: the client's limit of concurrent streams leaves room. */
  readonly hasRoom: boolean;
  /**
   * Promises `path` and answers it, in the order of the calls. Waits for a free stream and for flow
   * control; the caller bounds what waits.
   *
   * @param done Called once, never within the call, when the response was handed over or failed
   *   (a `PushError`).
   */
  push(
    path: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
    done: (error: Error | null) => void,
  ): void;
}

/** Called by a listener as one WebSocket lives. */
export interface SocketHandlers {
  open(socket: Socket): void;
  message(socket: Socket, data: string | Uint8Array): void;
  drain(socket: Socket): void;
  close(socket: Socket, code: number, reason: string): void;
}

/** The part of Bun's `ServerWebSocket` that is used. */
export interface Socket {
  /** @returns Bytes sent; 0 when it was dropped, -1 when some of it waits. */
  send(data: string | Uint8Array, compress?: boolean): number;
  /** Joins what `Listener.publish` sends to. */
  subscribe(group: string): void;
  unsubscribe(group: string): void;
  close(code?: number, reason?: string): void;
  pause(): void;
  resume(): void;
  /** Calls `work` at once, and puts what it sends in one write where that fits. */
  cork(work: () => void): void;
  getBufferedAmount(): number;
  readonly readyState: number;
}

export interface TransportOptions {
  /** Bytes that may wait for one slow connection. */
  readonly bufferBytes: number;
  /** Bytes of one message's data. */
  readonly messageBytes: number;
  /** SSE's `retry:` field, milliseconds. */
  readonly retryMs: number;
  readonly heartbeatMs: number;
  readonly limits: TransportLimits;
  /** How what is sent is compressed. Left out: not at all. */
  readonly codings?: Codings;
}

/** Looked at when they are needed: a reload changes them in place. */
export interface TransportLimits {
  /** Channels that one connection for many may be subscribed to. */
  readonly subscriptions: number;
  /** Long-polls that may wait at once. */
  readonly polls: number;
}

export interface Transport {
  /** The name that `transports:` in the config and `?transport=` know it by. */
  readonly name: string;
  /** Whether this request asks for this transport, `?transport=` aside. */
  matches(request: Request, listener: Listener): boolean;
  /**
   * Serves the request. A WebSocket gives no response.
   *
   * MUST deliver what `CatchUp` or `Cursor` gives, in that order; MUST tell of a gap before anything
   * later; MUST bound what waits for the client by `bufferBytes`. One that is over it is dealt with as
   * `channel.slow` said when it came; where the framing can't tell of a gap it is disconnected in any case.
   *
   * @throws {RequestError} When the request can't be served.
   */
  serve(exchange: Exchange): MaybePromise<Response | undefined>;
  /**
   * The server stops: every client is told to come back, spread over `spreadMs` milliseconds so that
   * they do not all come at once.
   */
  shutdown(spreadMs: number): Promise<void>;
}
