/** WebSocket: raw frames on a channel's URL, or `tidewire.v1` frames for one channel or many. */
import { RequestError, CLOSE } from "./errors.ts";
import { FrameSocket, PROTOCOL } from "./frame-socket.ts";
import { PageCache } from "./page-cache.ts";
import { RawSocket } from "./raw-socket.ts";
import type { SocketContext } from "./socket-group.ts";
import { spreadCalls } from "./spread.ts";
import type {
  Exchange,
  Listener,
  ManyExchange,
  SocketHandlers,
  Transport,
  TransportOptions,
} from "./transport.ts";

export class WebSocketTransport implements Transport {
  readonly name = "websocket";
  readonly #context: SocketContext;

  constructor(options: TransportOptions) {
    const pages = new PageCache(bytesOf);
    this.#context = { options, sockets: new Set(), sentToMany: { bytes: 0 }, pages };
  }

  /** Channels that the socket which is subscribed to most of them is subscribed to. */
  get mostSubscriptions(): number {
    let most = 0;
    for (const socket of this.#context.sockets) {
      if (socket instanceof FrameSocket) most = Math.max(most, socket.subscriptions);
    }
    return most;
  }

  /** RFC 6455 §4.2.1: `Upgrade` names websocket, in any case. */
  matches(request: Request): boolean {
    return request.headers.get("upgrade")?.toLowerCase() === "websocket";
  }

  serve(exchange: Exchange): Response | undefined {
    const protocol = choose(exchange.request);
    const socket =
      protocol === PROTOCOL
        ? FrameSocket.forChannel(exchange, this.#context)
        : new RawSocket(exchange, this.#context);
    return upgrade(exchange.request, exchange.listener, socket, protocol);
  }

  /** One socket for any channels that the client asks for. */
  serveMany(exchange: ManyExchange): Response | undefined {
    const protocol = choose(exchange.request);
    if (protocol !== PROTOCOL) {
      throw new RequestError(
        400,
        "subprotocol-required",
        `a socket for many channels speaks the subprotocol "${PROTOCOL}"; offer it: new WebSocket(url, "${PROTOCOL}")`,
      );
    }
    const socket = FrameSocket.forMany(exchange, this.#context);
    return upgrade(exchange.request, exchange.listener, socket, protocol);
  }

  async shutdown(spreadMs: number): Promise<void> {
    const reason = "the server stops; come back";
    this.#context.pages.clear();
    await spreadCalls(this.#context.sockets, spreadMs, (socket) => {
      if (socket instanceof FrameSocket) socket.goAway(CLOSE.goingAway, reason);
      else socket.end(CLOSE.goingAway, reason);
    });
  }
}

/** Characters of a string take two bytes where one of them is not Latin. */
function bytesOf(frames: readonly (string | Uint8Array)[]): number {
  return frames.reduce((sum, { length }) => sum + 2 * length, 0);
}

/** The subprotocol to answer with, or null for raw frames. */
function choose(request: Request): string | null {
  const offered = request.headers.get("sec-websocket-protocol");
  if (offered === null) return null;
  const names = offered.split(",").map((name) => name.trim());
  if (names.includes(PROTOCOL)) return PROTOCOL;
  // A client that offered subprotocols closes the connection when none is chosen (RFC 6455 §4.1).
  throw new RequestError(
    400,
    "unknown-subprotocol",
    `the subprotocol is ${JSON.stringify(offered.slice(0, 80))}; Tidewire speaks "${PROTOCOL}", or raw frames when none is offered`,
  );
}

function upgrade(
  request: Request,
  listener: Listener,
  socket: SocketHandlers,
  protocol: string | null,
): undefined {
  if (listener.upgrade(request, socket, protocol ?? undefined)) return undefined;
  throw new RequestError(
    426,
    "bad-handshake",
    "the WebSocket handshake can't be completed here: it takes HTTP/1.1, Sec-WebSocket-Key and Sec-WebSocket-Version: 13 (RFC 6455 §4.2.1)",
    { headers: { upgrade: "websocket", "sec-websocket-version": "13" } },
  );
}
