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
}

export class Http1Fallback {
  readonly #options: Http1FallbackOptions;
  readonly #sockets = new Set<Socket>();
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

  /** Answers one request. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#hold(request.socket);
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
    for (const socket of this.#sockets) socket.destroy();
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
