/** The public listener: HTTP/1.1 with WebSocket, and HTTP/2 and HTTP/3 beside it where there is TLS. */
import type { Server, ServerWebSocket } from "bun";
import type { Listener, Socket, SocketHandlers } from "../transport/transport.ts";
import type { Arrival, PublicRoutes } from "./public-routes.ts";

/**
 * Seconds without a byte after which a connection is closed. Heartbeats keep a quiet stream alive, so
 * this ends clients that stopped reading or are gone.
 */
const IDLE_S = 90;
const WEBSOCKET_IDLE_S = 120;

export interface PublicListenerOptions {
  readonly hostname: string;
  readonly port: number;
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly routes: PublicRoutes;
  readonly bufferBytes: number;
  readonly messageBytes: number;
  /** WebSockets may be compressed, where the client can (RFC 7692). */
  readonly deflate: boolean;
  /** A WebSocket stands (1), or is gone (-1). */
  readonly onSocket: (change: 1 | -1, address: string) => void;
}

export interface PublicListener {
  readonly port: number;
  /** Stops listening; requests under way go on. Resolves when they are answered. */
  stopAccepting(): Promise<void>;
  /** Cuts off what is still open. */
  close(): Promise<void>;
}

/** @throws When the address is in use or can't be bound. */
export function listenPublic(options: PublicListenerOptions): PublicListener {
  const { hostname, port, tls, routes, bufferBytes, messageBytes, deflate, onSocket } = options;
  let arrival: Arrival | null = null;
  // Bun.serve itself: a router would find nothing here, since channels are found in the raw path, and
  // would cost every poll a third of what it takes.
  const server = Bun.serve({
    fetch: (request: Request, server: Server<SocketHandlers>) =>
      routes.handle(request, (arrival ??= arrivalAt(server))),
    hostname,
    port,
    // Two servers on one port would share its connections without a word.
    reusePort: false,
    development: false,
    idleTimeout: IDLE_S,
    // Bodies are measured while they are read (body.ts); this is the bound of a lost cause.
    maxRequestBodySize: messageBytes * 32,
    ...(tls ? { tls: { cert: tls.cert, key: tls.key }, http2: true, http3: true } : {}),
    websocket: {
      idleTimeout: WEBSOCKET_IDLE_S,
      // Frames of tidewire.v1 quote and escape the data that they carry.
      // Of what is compressed, when it is not any more.
      maxPayloadLength: messageBytes * 2 + 64 * 1024,
      // Over all that a transport lets wait before it closes a slow socket itself, with a code: JSON
      // writes a byte of data with six at most.
      backpressureLimit: bufferBytes * 2 + messageBytes * 6,
      // Bun drops frames over the limit without a word unless it may close the socket: a silent gap.
      closeOnBackpressureLimit: true,
      // A compressor and decompressor for all sockets: one for each is 0.3 MB a socket.
      perMessageDeflate: deflate && { compress: "shared", decompress: "shared" },
      open: (socket: ServerWebSocket<SocketHandlers>) => {
        onSocket(1, socket.remoteAddress);
        socket.data.open(socket as Socket);
      },
      message: (socket: ServerWebSocket<SocketHandlers>, data: string | Buffer) =>
        socket.data.message(socket as Socket, data),
      drain: (socket: ServerWebSocket<SocketHandlers>) => socket.data.drain(socket as Socket),
      close: (socket: ServerWebSocket<SocketHandlers>, code: number, reason: string) => {
        onSocket(-1, socket.remoteAddress);
        socket.data.close(socket as Socket, code, reason);
      },
    },
  });
  return {
    port: server.port!,
    stopAccepting: () => server.stop(false),
    close: async () => {
      await server.stop(true);
    },
  };
}

/** The same for all requests. */
function arrivalAt(server: Server<SocketHandlers>): Arrival {
  return {
    listener: new BunListener(server),
    addressOf: (request) => server.requestIP(request)?.address ?? "",
  };
}

class BunListener implements Listener {
  readonly #server: Server<SocketHandlers>;
  constructor(server: Server<SocketHandlers>) {
    this.#server = server;
  }
  upgrade(request: Request, socket: SocketHandlers, protocol?: string): boolean {
    return this.#server.upgrade(request, {
      data: socket,
      ...(protocol === undefined ? {} : { headers: { "sec-websocket-protocol": protocol } }),
    });
  }
  publish(group: string, data: string | Uint8Array, compress: boolean): void {
    this.#server.publish(group, data as string, compress);
  }
  hold(request: Request, seconds: number): void {
    this.#server.timeout(request, seconds);
  }
  push(): null {
    return null;
  }
}
