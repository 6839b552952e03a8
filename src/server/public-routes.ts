/** The HTTP surface of DESIGN §5: one function from a request to its answer, for every listener. */
import type { MaybePromise } from "../channel/log.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import { RequestError } from "../transport/errors.ts";
import { parseStart } from "../transport/start.ts";
import type { Exchange, Listener, ManyExchange, Transport } from "../transport/transport.ts";
import type { WebSocketTransport } from "../transport/websocket.ts";
import type { Admission } from "./admission.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import { ChannelClient, createPeer, type Peer } from "./client.ts";
import type { ConnectionCount } from "./connection-count.ts";
import { Cors } from "./cors.ts";
import type { Idempotency } from "./idempotency.ts";
import type { PublishRate } from "./publish-rate.ts";
import { serveMessage, servePage } from "./history.ts";
import type { LiveChannel } from "./live-channel.ts";
import { serveMerged } from "./merged-route.ts";
import { methodNotAllowed, problem, toRequestError, unknownChannel } from "./problem.ts";
import { servePublish } from "./publish-route.ts";
import type { ServeStatic } from "./static.ts";
import { readTarget, type Target } from "./target.ts";

export interface PublicRoutesOptions {
  readonly config: Config;
  readonly channels: Channels;
  /** In the order in which they are asked whether a request is theirs. */
  readonly transports: readonly Transport[];
  readonly websocket: WebSocketTransport;
  readonly connections: ConnectionCount;
  readonly admission: Admission;
  readonly publishRate: PublishRate;
  readonly idempotency: Idempotency;
  readonly serveStatic: ServeStatic | null;
  readonly log: Log;
}

/** The listener that took a request, and who sent it. */
export interface Arrival {
  readonly listener: Listener;
  readonly address: string;
}

const CHANNEL_METHODS = ["GET", "POST", "OPTIONS"];
const READ_METHODS = ["GET", "HEAD", "OPTIONS"];

export class PublicRoutes {
  #options: PublicRoutesOptions;
  #cors: Cors;
  /** Subscribers whose channel is opening. */
  readonly #waiting = new Set<(error: RequestError) => void>();
  #isStopping = false;

  constructor(options: PublicRoutesOptions) {
    this.#options = options;
    this.#cors = new Cors(options.config.server.cors);
  }

  /** Lets another config hold for the requests that come from here on. */
  update(changed: Pick<PublicRoutesOptions, "config" | "serveStatic">): void {
    this.#options = { ...this.#options, ...changed };
    this.#cors = new Cors(changed.config.server.cors);
  }

  /** From here on no further subscriber is taken; publishes and reads are still answered. */
  refuseSubscribers(): void {
    this.#isStopping = true;
    for (const refuse of this.#waiting) refuse(stopping());
  }

  /** Answers a request; a WebSocket gives nothing. Never throws. */
  handle(request: Request, arrival: Arrival): MaybePromise<Response | undefined> {
    const fail = (error: unknown) =>
      this.#withCors(request, problem(toRequestError(error, this.#options.log)));
    try {
      const response = this.#route(request, arrival);
      return response instanceof Promise
        ? response.then((late) => this.#withCors(request, late), fail)
        : this.#withCors(request, response);
    } catch (error) {
      return fail(error);
    }
  }

  #withCors(request: Request, response: Response | undefined): Response | undefined {
    const cors = response && this.#cors.headers(request);
    if (cors) for (const [name, value] of Object.entries(cors)) response!.headers.set(name, value);
    return response;
  }

  #route(request: Request, arrival: Arrival): MaybePromise<Response | undefined> {
    const target = readTarget(request);
    const { pathname } = target;
    if (request.method === "POST" || isUpgrade(request)) this.#cors.check(request, target.origin);
    if (pathname === "/channels") return this.#many(request, target, arrival);
    const match = this.#options.channels.match(pathname);
    if (match) {
      if (request.method === "OPTIONS") return this.#cors.preflight(request, CHANNEL_METHODS);
      const peer = createPeer(request, target.query, arrival.address);
      return this.#channel(match, request, target, arrival, peer);
    }
    return this.#messages(request, target, arrival) ?? this.#static(request, target, arrival);
  }

  #channel(
    match: ChannelMatch,
    request: Request,
    target: Target,
    arrival: Arrival,
    peer: Peer,
  ): MaybePromise<Response | undefined> {
    if (request.method === "POST") {
      const hold = (seconds: number) => arrival.listener.hold(request, seconds);
      return servePublish(this.#options, match, { request, target, peer, hold });
    }
    if (request.method !== "GET") {
      const refusal = methodNotAllowed(request.method, CHANNEL_METHODS);
      return this.#fileOr(refusal, request, target, arrival);
    }
    const asked = target.query.get("transport");
    const transport = this.#choose(request, asked, arrival.listener);
    const { transports, name } = match.value.config;
    if (!transports.some((exposed) => exposed === transport.name)) {
      const refusal = new RequestError(
        406,
        "transport-not-exposed",
        `channel "${name}" does not expose ${transport.name}; it exposes ${transports.join(", ")}`,
        { extra: { transports } },
      );
      if (asked !== null) throw refusal;
      // A page may stand at the same URL as a channel that it opens a WebSocket to.
      return this.#fileOr(refusal, request, target, arrival);
    }
    const start = parseStart(request, target.query, transport.name === "long-poll");
    const { open } = this.#opener(peer);
    const serve = (live: LiveChannel) => {
      // In the same turn as the transport takes it: what held when it came may not hold any more.
      this.#admit(peer.address);
      const client = this.#client(live, peer, transport.name);
      return transport.serve({
        request,
        query: target.query,
        channel: live.channel,
        path: target.pathname,
        start,
        listener: arrival.listener,
        subscriber: client,
        submit: submitBy(client),
        reopen: reopenBy(open, live.name),
      });
    };
    // Whom it would refuse opens no channel.
    this.#admit(peer.address);
    const visit = { peer, action: "subscribe", transport: transport.name, isNew: true } as const;
    const live = this.#options.admission.open(match, visit);
    if (!(live instanceof Promise)) return serve(live);
    return this.#untilStop(live).then((late) => {
      // Nobody is to be told of one who has gone.
      if (request.signal.aborted) throw gone();
      return serve(late);
    });
  }

  /** One socket, stream or poll for many channels. */
  #many(request: Request, target: Target, arrival: Arrival): MaybePromise<Response | undefined> {
    if (request.method === "OPTIONS") return this.#cors.preflight(request, ["GET", "OPTIONS"]);
    if (request.method !== "GET") throw methodNotAllowed(request.method, ["GET", "OPTIONS"]);
    if (!isUpgrade(request)) return this.#merged(request, target, arrival);
    this.#admit(arrival.address);
    const peer = createPeer(request, target.query, arrival.address);
    return this.#options.websocket.serveMany({
      request,
      listener: arrival.listener,
      nameOf: (name) => this.#options.channels.nameOf(this.#find(name)),
      ...this.#opener(peer),
    });
  }

  /** Opens channels for one WebSocket, by what is declared then. Keeps its peer alive, and no request. */
  #opener(peer: Peer): Pick<ManyExchange, "open"> {
    return {
      open: async (name, action, ways) => {
        const match = this.#find(name);
        const { transports, name: declared } = match.value.config;
        if (!transports.includes("websocket")) {
          throw new RequestError(
            406,
            "transport-not-exposed",
            `channel "${declared}" does not expose websocket; it exposes ${transports.join(", ")}`,
          );
        }
        const visit = { peer, action, transport: "websocket", isNew: false };
        const live = await this.#options.admission.open(match, visit);
        const client = this.#client(live, peer, "websocket");
        client.answerBy(ways);
        return client;
      },
    };
  }

  /** One stream, or one poll, for many channels. */
  #merged(request: Request, target: Target, arrival: Arrival): MaybePromise<Response | undefined> {
    const { query } = target;
    const asked = query.get("transport");
    const transport = this.#choose(request, asked, arrival.listener);
    const isPlain = asked === null && transport.name === "long-poll" && !query.has("channel");
    if (isPlain || transport.name === "websocket") {
      throw new RequestError(
        426,
        "upgrade-required",
        `/channels takes WebSockets with the subprotocol "tidewire.v1", and with ?channel=a&channel=b streams and polls of those channels; a single channel is at its own path, such as /channels/prices`,
        { headers: { upgrade: "websocket" } },
      );
    }
    const peer = createPeer(request, query, arrival.address);
    return serveMerged(this.#options, {
      request,
      target,
      listener: arrival.listener,
      peer,
      transport,
      admit: () => this.#admit(arrival.address),
      wait: (opening) => this.#untilStop(opening),
    });
  }

  /** @throws {RequestError} 404 when no channel has this name. */
  #find(name: string): ChannelMatch {
    const match = this.#options.channels.matchName(name);
    if (match) return match;
    throw unknownChannel(name);
  }

  /** @throws {RequestError} 503 when no further subscriber is taken, 429 when none of this address is. */
  #admit(address: string): void {
    this.#options.connections.check(address);
    if (this.#isStopping) throw stopping();
  }

  /** Waits for a channel to open. A subscriber that waits is told when the server stops. */
  #untilStop<T>(opening: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.add(reject);
    const ended = () => this.#waiting.delete(reject);
    opening.then(resolve, reject).then(ended, ended);
    return promise;
  }

  /** `<channel>/messages` and `<channel>/messages/<id>`; null when the path is neither. */
  #messages(request: Request, target: Target, arrival: Arrival): Promise<Response> | null {
    const found = /^(.*)\/messages(?:\/([^/]*))?$/.exec(target.pathname);
    const match = found && this.#options.channels.match(found[1] === "" ? "/" : found[1]!);
    if (!match) return null;
    if (!READ_METHODS.includes(request.method))
      throw methodNotAllowed(request.method, READ_METHODS);
    if (request.method === "OPTIONS") {
      return Promise.resolve(this.#cors.preflight(request, READ_METHODS));
    }
    const peer = createPeer(request, target.query, arrival.address);
    return this.#history(match, found[2], request, peer);
  }

  async #history(
    match: ChannelMatch,
    id: string | undefined,
    request: Request,
    peer: Peer,
  ): Promise<Response> {
    const { channels, admission } = this.#options;
    const { query } = peer;
    const start = parseStart(request, query, false);
    const visit = { peer, action: "subscribe", transport: "history", isNew: false } as const;
    // Reading brings no channel to life, for one that is not alive keeps nothing: unless the broker does,
    // or it has plugins, of which one may have to be asked. Who is denied must not learn either whether it
    // is alive.
    const live = await (channels.isDurable || match.value.config.plugins.length > 0
      ? admission.open(match, visit)
      : channels.find(match));
    const channel = live?.channel ?? null;
    if (id !== undefined) return serveMessage(channel, channels.nameOf(match), id);
    return servePage(channel, start, query);
  }

  #static(request: Request, target: Target, arrival: Arrival): Promise<Response> {
    const refusal = new RequestError(
      404,
      "not-found",
      `nothing is served at ${target.pathname.slice(0, 200)}; a channel is at the path that the config gives it, or at /channels/<name>`,
    );
    return this.#fileOr(refusal, request, target, arrival);
  }

  /** A static file, where there is one at the request's path. */
  async #fileOr(
    refusal: RequestError,
    request: Request,
    { pathname }: Target,
    { listener }: Arrival,
  ): Promise<Response> {
    const { serveStatic } = this.#options;
    if (serveStatic === null || !["GET", "HEAD"].includes(request.method)) throw refusal;
    const file = await serveStatic(request, pathname, listener.push(request));
    if (file) return file;
    throw refusal;
  }

  #choose(request: Request, asked: string | null, listener: Listener): Transport {
    const { transports } = this.#options;
    if (asked === null) return transports.find((one) => one.matches(request, listener))!;
    const transport = transports.find(({ name }) => name === asked);
    if (transport) return transport;
    throw new RequestError(
      400,
      "unknown-transport",
      `transport is ${JSON.stringify(asked.slice(0, 80))}; it must be one of ${transports.map(({ name }) => name).join(", ")}`,
    );
  }

  #client(live: LiveChannel, peer: Peer, transport: string): ChannelClient {
    return new ChannelClient(live, peer, transport, this.#options);
  }
}

function stopping(): RequestError {
  return new RequestError(503, "stopping", "the server stops; come back to another, or later", {
    headers: { "retry-after": "1", connection: "close" },
  });
}

/** Nobody reads it. */
function gone(): RequestError {
  return new RequestError(400, "client-gone", "the client left before the request was answered");
}

/** Made here, so that it keeps the client alone alive, and not the request that it came with. */
function submitBy(client: ChannelClient): ChannelClient["submit"] {
  return (draft, terms) => client.submit(draft, terms);
}

/** As `submitBy`. */
function reopenBy(open: ManyExchange["open"], name: string): Exchange["reopen"] {
  return (action, ways) => open(name, action, ways);
}

function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}
