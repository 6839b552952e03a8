/** One client of one channel: what transports, hooks and limits know of it. */
import type { MaybePromise } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import { CLOSE, RequestError } from "../transport/errors.ts";
import type { Access, ClientWays, Subscriber } from "../transport/transport.ts";
import type { LiveChannel } from "./live-channel.ts";

/** Who is at the other end of a request or socket. */
export interface Peer {
  readonly id: string;
  /** IP address, or an empty string on a unix socket. */
  readonly address: string;
  readonly request: Request;
  readonly query: URLSearchParams;
}

let lastId = 0;

export function createPeer(request: Request, query: URLSearchParams, address: string): Peer {
  return { id: (++lastId).toString(36), address, request, query };
}

/** Connections that hold a subscription, counted against `limits.connections`. */
export class ConnectionCount {
  #count = 0;
  readonly #limit: number;
  constructor(limit: number) {
    this.#limit = limit;
  }
  get count(): number {
    return this.#count;
  }
  add(change: 1 | -1): void {
    this.#count += change;
  }
  /** @throws {RequestError} 503 when no further connection is taken. */
  check(): void {
    if (this.#count < this.#limit) return;
    throw new RequestError(
      503,
      "too-many-connections",
      `this server holds ${this.#limit} connections, its limit; try again later`,
      { headers: { "retry-after": "5" }, closeCode: CLOSE.tryLater },
    );
  }
}

/** A client's access to a channel; it is the plugin's `Client` too. */
export class ChannelClient implements Access, Subscriber {
  readonly live: LiveChannel;
  readonly transport: string;
  readonly #peer: Peer;
  readonly #connections: ConnectionCount;
  #ways: ClientWays | null = null;

  constructor(live: LiveChannel, peer: Peer, transport: string, connections: ConnectionCount) {
    this.live = live;
    this.transport = transport;
    this.#peer = peer;
    this.#connections = connections;
  }

  get id(): string {
    return this.#peer.id;
  }
  get address(): string {
    return this.#peer.address;
  }
  get headers(): Headers {
    return this.#peer.request.headers;
  }
  get query(): URLSearchParams {
    return this.#peer.query;
  }
  get channel() {
    return this.live.channel;
  }
  get subscriber(): Subscriber {
    return this;
  }

  send(data: unknown, options?: { event?: string }): void {
    this.#ways?.send(data, options?.event);
  }

  close(code: number = 1000, reason: string = ""): void {
    this.#ways?.close(code, reason);
  }

  /** Lets `send` and `close` reach a client that holds no subscription, such as a POST. */
  answerBy(ways: ClientWays): void {
    this.#ways = ways;
  }

  connect(ways: ClientWays): void {
    this.#ways = ways;
    this.#connections.add(1);
    this.live.connected(this, 1);
  }

  disconnect(): void {
    this.#connections.add(-1);
    this.live.connected(this, -1);
    this.#ways = null;
  }

  submit(draft: IncomingDraft): MaybePromise<readonly Message[]> {
    return this.live.submit(draft, this);
  }
}
