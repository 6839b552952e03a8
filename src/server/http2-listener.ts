/** The HTTP/2 listener: the one that can push. `Bun.serve` speaks HTTP/2 too, but has no server push. */
import {
  createSecureServer,
  createServer,
  constants,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { MaybePromise } from "../channel/log.ts";
import type { Log } from "../log.ts";
import type { Listener, PushPort } from "../transport/transport.ts";
import type { Certificate } from "./certificate.ts";
import { Http1Fallback } from "./http1-fallback.ts";
import { DEFAULT_LIMITS, Http2Connection, type ConnectionLimits } from "./http2-connection.ts";
import { endWhenSent, resetStream } from "./http2-reset.ts";
import { writeResponse } from "./http2-response.ts";
import { networkOf } from "./network.ts";
import { toRequest, type RequestParts } from "./node-request.ts";

export interface Http2ListenerOptions {
  readonly hostname: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** null serves cleartext HTTP/2 to clients that know it does (prior knowledge, RFC 9113 §3.3). */
  readonly tls: Certificate | null;
  /** Connections at once; one more is told to go away. */
  readonly maxConnections: number;
  /** Of those, what one client address may have; null is no limit. */
  readonly maxPerAddress?: number | null;
  /** Streams that one client may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS). */
  readonly maxStreams?: number;
  /** Bytes of one request's header fields (SETTINGS_MAX_HEADER_LIST_SIZE). */
  readonly maxHeaderBytes?: number;
  /** Answers a request. `address` is the client's IP address. */
  readonly handle: (
    request: Request,
    listener: Listener,
    address: string,
  ) => MaybePromise<Response | undefined>;
  /** Answers for what was thrown: by `handle`, or a `RequestError` for a request that is malformed. */
  readonly answerError: (error: unknown) => Response;
  readonly log: Log;
  readonly limits?: Partial<ConnectionLimits>;
  /** How often stalled streams and dead peers are looked for, in milliseconds. */
  readonly sweepMs?: number;
}

const MAX_STREAMS = 100;
const MAX_HEADER_BYTES = 32_768;
const HANDSHAKE_MS = 10_000;
const SWEEP_MS = 15_000;
/** Sockets beyond `maxConnections`: in their handshake, or being told to go away. */
const MAX_STRANGERS = 256;

/**
 * Starts an HTTP/2 listener.
 *
 * @throws {Error} When the address can't be listened on.
 */
export async function listenHttp2(options: Http2ListenerOptions): Promise<Http2Listener> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const settings = {
    maxConcurrentStreams: options.maxStreams ?? MAX_STREAMS,
    maxHeaderListSize: options.maxHeaderBytes ?? MAX_HEADER_BYTES,
    enableConnectProtocol: false,
  };
  const server = options.tls
    ? createSecureServer({
        ...options.tls,
        settings,
        handshakeTimeout: HANDSHAKE_MS,
        allowHTTP1: true,
      })
    : createServer({ settings });
  const listener = new Http2Listener(server, options);
  server.once("error", reject);
  server.listen(options.port, options.hostname, resolve);
  await promise;
  server.removeListener("error", reject);
  server.on("error", (error) => options.log.error("http2 listener failed", { error }));
  return listener;
}

interface Exchange {
  readonly stream: ServerHttp2Stream;
  readonly connection: Http2Connection;
  readonly authority: string;
}

export class Http2Listener implements Listener {
  readonly #server: Http2Server | Http2SecureServer;
  readonly #options: Http2ListenerOptions;
  readonly #limits: ConnectionLimits;
  readonly #scheme: "http" | "https";
  readonly #connections = new Map<ServerHttp2Session, Http2Connection>();
  readonly #byNetwork = new Map<string, number>();
  readonly #exchanges = new WeakMap<Request, Exchange>();
  readonly #sweeper: Timer;
  readonly #http1: Http1Fallback;
  #closing = false;
  readonly #empty = Promise.withResolvers<void>();
  #maxConnections = 0;

  constructor(server: Http2Server | Http2SecureServer, options: Http2ListenerOptions) {
    this.#server = server;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#scheme = options.tls ? "https" : "http";
    this.maxConnections = options.maxConnections;
    this.#http1 = new Http1Fallback({
      answer: (parts, address) => this.#answer(parts, address, null),
      log: options.log,
      stallMs: this.#limits.stallMs,
      requestMs: this.#limits.requestMs,
      idleMs: this.#limits.idleMs,
    });
    // A session hides its socket. The server announces the one just before the other.
    let accepted: Socket;
    server.prependListener(options.tls ? "secureConnection" : "connection", (socket: Socket) => {
      accepted = socket;
      // Nothing but HTTP/2 is served in cleartext, and a session that says nothing is idle.
      const isHttp2 = !options.tls || (socket as TLSSocket).alpnProtocol === "h2";
      if (!isHttp2) this.#http1.accept(socket);
    });
    server.on("session", (session) => this.#accept(session, accepted));
    // Else the first listener for "request" would turn on the compatibility layer for every stream.
    server.removeAllListeners("newListener");
    server.on("request", (request: unknown, response: unknown) => {
      const message = request as IncomingMessage;
      if (message.httpVersionMajor < 2) void this.#http1.serve(message, response as ServerResponse);
    });
    server.on("stream", (stream, headers) => void this.#serve(stream, headers));
    // Each connection logs its own; without a listener here it would count as not handled.
    server.on("sessionError", () => {});
    this.#sweeper = setInterval(() => {
      const now = performance.now();
      for (const connection of this.#connections.values()) connection.sweep(now);
      this.#http1.sweep(now);
    }, options.sweepMs ?? SWEEP_MS);
    this.#sweeper.unref();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#connections.size + this.#http1.connections;
  }

  /** An HTTP/2 stream can't become a WebSocket here (RFC 8441 is not served). */
  upgrade(): boolean {
    return false;
  }

  /** There are no sockets here that could have subscribed. */
  publish(): void {}

  /** A stream may wait for ever: only connections without one time out. */
  hold(): void {}

  push(request: Request): PushPort | null {
    const exchange = this.#exchanges.get(request);
    if (!exchange) return null;
    const { stream, connection, authority } = exchange;
    return connection.pushes.port(stream, { scheme: this.#scheme, authority });
  }

  /**
   * Takes no new connection and no new stream, finishes what is under way, and cuts off the rest.
   *
   * @param graceMs Milliseconds that streams under way have.
   */
  async close(graceMs: number): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#http1.onEmpty = () => this.#left();
      this.#server.close();
      for (const connection of this.#connections.values()) connection.close();
      this.#left();
    }
    const timer = Promise.withResolvers<void>();
    const grace = setTimeout(timer.resolve, graceMs);
    await Promise.race([this.#empty.promise, timer.promise]);
    clearTimeout(grace);
    clearInterval(this.#sweeper);
    for (const connection of this.#connections.values()) connection.destroy();
    this.#http1.destroy();
  }

  /** Another limit, for connections that come from here on. */
  set maxConnections(limit: number) {
    this.#maxConnections = limit;
    this.#server.maxConnections = limit + MAX_STRANGERS;
  }

  /** A connection is gone. */
  #left(): void {
    if (this.#closing && this.connections === 0) this.#empty.resolve();
  }

  #accept(session: ServerHttp2Session, socket: Socket): void {
    const { log } = this.#options;
    const maxConnections = this.#maxConnections;
    const connection = new Http2Connection(session, socket, this.#limits, log);
    if (this.connections >= maxConnections) {
      log.warn("http2 listener is full; a connection is refused", { maxConnections });
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return connection.destroy();
    }
    const network = networkOf(socket.remoteAddress ?? "");
    const held = this.#byNetwork.get(network) ?? 0;
    const { maxPerAddress = null } = this.#options;
    if (maxPerAddress !== null && held >= maxPerAddress) {
      log.debug("http2 connection refused: its address has as many as it may", { maxPerAddress });
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return connection.destroy();
    }
    this.#connections.set(session, connection);
    this.#byNetwork.set(network, held + 1);
    session.once("close", () => {
      this.#connections.delete(session);
      const left = this.#byNetwork.get(network)! - 1;
      if (left > 0) this.#byNetwork.set(network, left);
      else this.#byNetwork.delete(network);
      this.#left();
    });
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    // A stream that its client resets is no error of ours.
    stream.on("error", () => {});
    const session = stream.session as ServerHttp2Session | undefined;
    const connection = session && this.#connections.get(session);
    if (!session || !connection) return void stream.destroy();
    connection.opened(stream);
    const aborter = new AbortController();
    stream.once("close", () => {
      if (stream.aborted) aborter.abort();
    });
    const authority = headers[":authority"] ?? headers.host;
    const parts: RequestParts = {
      method: headers[":method"],
      path: headers[":path"],
      authority,
      fields: headers,
      scheme: this.#scheme,
      body: stream,
      isWhole: () => !stream.aborted,
      signal: aborter.signal,
    };
    if (headers.expect === "100-continue") stream.additionalHeaders({ ":status": 100 });
    const address = session.socket.remoteAddress ?? "";
    const from = { stream, connection, authority: authority ?? "" };
    this.#write(stream, await this.#answer(parts, address, from), connection);
  }

  async #answer(parts: RequestParts, address: string, from: Exchange | null): Promise<Response> {
    try {
      const request = toRequest(parts);
      if (from) this.#exchanges.set(request, from);
      const response = await this.#options.handle(request, this, address);
      if (!response) throw new Error("a request on the push listener was left without an answer");
      return parts.method === "HEAD" ? withoutBody(response) : response;
    } catch (error) {
      return this.#options.answerError(error);
    }
  }

  #write(stream: ServerHttp2Stream, response: Response, connection: Http2Connection): void {
    const { log } = this.#options;
    try {
      const body = writeResponse(stream, response, {
        onWrite: connection.wrote,
        onError: (error) => log.error("a response's body failed", { error }),
      });
      if (response.headers.get("connection") === "close") endWhenSent(stream);
      if (!body) return;
      connection.bodies.add(body);
      stream.once("close", () => connection.bodies.delete(body));
    } catch (error) {
      log.error("a response can't be sent", { error });
      resetStream(stream, constants.NGHTTP2_INTERNAL_ERROR);
    }
  }
}

/** The answer to HEAD: what GET would be answered with, but for the body (RFC 9110 §9.3.2). */
function withoutBody(response: Response): Response {
  void response.body?.cancel().catch(() => {});
  return new Response(null, response);
}
