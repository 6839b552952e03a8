/** HTTP/1.1 on the push listener's TLS port, for clients that speak no HTTP/2: no pushes, all else. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Log } from "../log.ts";
import { BodyPump } from "./body-pump.ts";
import { CONNECTION_FIELDS } from "./http2-response.ts";
import type { RequestParts } from "./node-request.ts";

export interface Http1FallbackOptions {
  readonly answer: (parts: RequestParts, address: string) => Promise<Response>;
  readonly log: Log;
  /** Milliseconds in which a client has to take one chunk of a body. */
  readonly stallMs: number;
  /** Milliseconds that a connection has until its first request is there, header fields and all. */
  readonly requestMs: number;
  /** Milliseconds that it has, after an answer, until the next one is. */
  readonly idleMs: number;
}

/** One connection: requests that are not answered yet, and how long it may go on without one. */
interface Held {
  requests: number;
  timer: Timer | null;
}

export class Http1Fallback {
  readonly #options: Http1FallbackOptions;
  /** Those that have made a request. */
  readonly #sockets = new Set<Socket>();
  readonly #held = new Map<Socket, Held>();
  readonly #bodies = new Set<BodyPump>();
  /** Called when the last connection is gone. */
  onEmpty: (() => void) | null = null;

  constructor(options: Http1FallbackOptions) {
    this.#options = options;
  }

  /** Connections that have made a request. */
  get connections(): number {
    return this.#sockets.size;
  }

  /**
   * A connection stands that speaks HTTP/1.1, or says nothing. `node:http` under Bun waits for ever for a
   * request that trickles in, so it is timed here, whatever bytes come meanwhile.
   */
  accept(socket: Socket): void {
    const held: Held = { requests: 0, timer: null };
    this.#held.set(socket, held);
    this.#await(socket, held, this.#options.requestMs);
    socket.once("close", () => {
      if (held.timer) clearTimeout(held.timer);
      this.#held.delete(socket);
    });
  }

  /** Answers one request. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#hold(request.socket);
    this.#asked(request.socket, response);
    const aborter = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) aborter.abort();
    });
    response.on("error", () => {});
    const answer = await this.#options.answer(
      {
        method: request.method,
        path: request.url,
        authority: request.headers.host,
        fields: request.headers,
        scheme: "https",
        body: request,
        isWhole: () => request.complete,
        signal: aborter.signal,
      },
      request.socket.remoteAddress ?? "",
    );
    this.#write(response, answer);
  }

  /** Cuts off clients that do not take what they asked for. */
  sweep(now: number): void {
    for (const body of this.#bodies) body.sweep(now, this.#options.stallMs);
  }

  destroy(): void {
    for (const socket of [...this.#sockets, ...this.#held.keys()]) socket.destroy();
  }

  #asked(socket: Socket, response: ServerResponse): void {
    const held = this.#held.get(socket);
    if (!held) return;
    held.requests++;
    if (held.timer) clearTimeout(held.timer);
    response.once("close", () => {
      if (--held.requests === 0) this.#await(socket, held, this.#options.idleMs);
    });
  }

  #await(socket: Socket, held: Held, ms: number): void {
    if (socket.destroyed) return;
    held.timer = setTimeout(() => socket.destroy(), ms).unref();
  }

  #hold(socket: Socket): void {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.onEmpty?.();
    });
  }

  #write(response: ServerResponse, { status, headers, body }: Response): void {
    const { log } = this.#options;
    if (response.destroyed) return void body?.cancel().catch(() => {});
    for (const [name, value] of headers) {
      if (!CONNECTION_FIELDS.has(name) && name !== "set-cookie") response.setHeader(name, value);
    }
    const cookies = headers.getSetCookie();
    if (cookies.length > 0) response.setHeader("set-cookie", cookies);
    // What is left of the request is not read: the connection can't be used again.
    if (headers.get("connection") === "close") response.setHeader("connection", "close");
    response.writeHead(status);
    if (body === null) return void response.end();
    // A client wants to know at once that its stream stands, however late its first byte comes.
    response.flushHeaders();
    const pump = new BodyPump(response, body, {
      onWrite: () => {},
      onError: (error) => log.error("a response's body failed", { error }),
      cut: () => response.destroy(),
    });
    this.#bodies.add(pump);
    response.once("close", () => this.#bodies.delete(pump));
  }
}
