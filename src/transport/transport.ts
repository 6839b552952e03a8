/** The contract of a transport: how a client that asked for a channel receives it. */
import type { Channel } from "../channel/channel.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Start } from "../channel/position.ts";

/** A request for a channel, with all that a transport needs to answer it. */
export interface Exchange {
  readonly request: Request;
  readonly query: URLSearchParams;
  readonly channel: Channel;
  /** The channel's path as this request wrote it, percent-encoded: `/channels/chat/caf%C3%A9`. */
  readonly path: string;
  readonly start: Start;
  readonly client: Subscriber;
  readonly listener: Listener;
  /** What came in by this connection; absent on transports that only send. */
  readonly receive: ReceiveFrame;
}

/** The server's view of one client; the transport gives it its ways to answer. */
export interface Subscriber {
  readonly id: string;
  /** Set by the transport when the connection stands. */
  connect(ways: ClientWays): void;
  /** MUST be called once when the connection is gone, however it ended. */
  disconnect(): void;
}

/** What a transport lets the server do to one client. */
export interface ClientWays {
  /** Sends data to this client alone. */
  send(data: unknown, event?: string): void;
  close(code: number, reason: string): void;
}

/** A client's frame, on its way to the `receive` hooks and to be published. */
export type ReceiveFrame = (data: string | Uint8Array) => void;

/** What the listener that took a request can do for it. */
export interface Listener {
  /** Turns an HTTP/1.1 request into a WebSocket; false when it can't. */
  upgrade(request: Request, socket: SocketHandlers, protocol?: string): boolean;
  /** Sends one frame to all sockets that subscribe to `topic`, with one write each turn. */
  publish(topic: string, data: string | Uint8Array): void;
  /** Lets a request wait for its answer longer than the listener's idle timeout. */
  hold(request: Request, seconds: number): void;
  /** The client takes server pushes on this request's connection (RFC 9113 §8.4). */
  push(request: Request): PushPort | null;
}

/** Pushes responses on the stream of one request. */
export interface PushPort {
  /**
   * Promises `path` and answers it. Waits for a free stream and for flow control.
   *
   * @param done Called once when the response was handed over, or failed.
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
  send(data: string | Uint8Array, compress?: boolean): number;
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  close(code?: number, reason?: string): void;
  getBufferedAmount(): number;
  readonly readyState: number;
}

export interface TransportOptions {
  /** Bytes that may wait for one slow connection. */
  readonly bufferBytes: number;
  readonly retryMs: number;
  readonly heartbeatMs: number;
}

export interface Transport {
  /** The name that `transports:` in the config and `?transport=` know it by. */
  readonly name: string;
  /** Whether this request asks for this transport, `?transport=` aside. */
  matches(request: Request, query: URLSearchParams, listener: Listener): boolean;
  /**
   * Serves the request. A WebSocket gives no response.
   *
   * MUST deliver what `CatchUp` or `Cursor` gives, in that order; MUST tell of a gap before anything
   * later; MUST bound what waits for the client by `bufferBytes`.
   */
  serve(exchange: Exchange): MaybePromise<Response | undefined>;
  /**
   * The server stops: every client is told to come back, spread over `spreadMs` milliseconds so that
   * they do not all come at once.
   */
  shutdown(spreadMs: number): Promise<void>;
}
