/** The HTTP surface of DESIGN §5: one function from a request to its answer, for every listener. */
import type { MaybePromise } from "../channel/log.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { Codings } from "../transport/coding/codings.ts";
import { RequestError } from "../transport/errors.ts";
import { checkStart, parseStart } from "../transport/start.ts";
import type { Listener, Transport } from "../transport/transport.ts";
import type { WebSocketTransport } from "../transport/websocket.ts";
import type { Admission } from "./admission.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import { keepsState } from "./declared.ts";
import { encodeResponse } from "./coded-response.ts";
import type { ConnectionCount } from "./connection-count.ts";
import { Cors } from "./cors.ts";
import { Gate } from "./gate.ts";
import { serveMessage, servePage } from "./history.ts";
import type { Idempotency } from "./idempotency.ts";
import { KnownUrls } from "./known-urls.ts";
import { serveMerged } from "./merged-route.ts";
import { RequestPeer, type AddressOf, type Peer } from "./peer.ts";
import { methodNotAllowed, problem, toRequestError } from "./problem.ts";
import type { PublishRate } from "./publish-rate.ts";
import { servePublish } from "./publish-route.ts";
import type { ServeStatic } from "./static.ts";
import {
  chooseTransport,
  findByName,
  notExposed,
  openerOf,
  serveSubscription,
  type SubscribeContext,
} from "./subscribe-route.ts";
import type { Target } from "./target.ts";

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
  readonly codings: Codings;
  readonly serveStatic: ServeStatic | null;
  readonly log: Log;
}

/** The listener that took a request, and who sent it. */
export interface Arrival {
  readonly listener: Listener;
  readonly addressOf: AddressOf;
}

const CHANNEL_METHODS = ["GET", "POST", "OPTIONS"];
const READ_METHODS = ["GET", "HEAD", "OPTIONS"];

export class PublicRoutes {
  #context: PublicRoutesOptions & SubscribeContext;
  readonly #urls: KnownUrls;
  #cors: Cors;

  constructor(options: PublicRoutesOptions) {
    this.#context = {
      ...options,
      gate: new Gate(options.connections),
      refuse: (error) => problem(toRequestError(error, options.log)),
    };
    this.#urls = new KnownUrls(options.channels);
    this.#cors = new Cors(options.config.server.cors);
  }

  /** Lets another config hold for the requests that come from here on. */
  update(changed: Pick<PublicRoutesOptions, "config" | "serveStatic">): void {
    this.#context = { ...this.#context, ...changed };
    this.#urls.forget();
    this.#cors = new Cors(changed.config.server.cors);
  }

  /** From here on no further subscriber is taken; publishes and reads are still answered. */
  refuseSubscribers(): void {
    this.#context.gate.close();
  }

  /** Answers a request; a WebSocket gives nothing. Never throws. */
  handle(request: Request, arrival: Arrival): MaybePromise<Response | undefined> {
    try {
      return this.#route(request, arrival);
    } catch (error) {
      return this.#withCors(request, this.#context.refuse(error));
    }
  }

  /** Gives an answer its last headers, and what failed an answer. */
  #finish(
    request: Request,
    response: MaybePromise<Response | undefined>,
  ): MaybePromise<Response | undefined> {
    if (!(response instanceof Promise)) return this.#withCors(request, response);
    return response.then(
      (late) => this.#withCors(request, late),
      (error) => this.#withCors(request, this.#context.refuse(error)),
    );
  }

  #withCors(request: Request, response: Response | undefined): Response | undefined {
    const cors = response && this.#cors.headers(request);
    if (cors) for (const [name, value] of Object.entries(cors)) response!.headers.set(name, value);
    return response;
  }

  #route(request: Request, arrival: Arrival): MaybePromise<Response | undefined> {
    const { target, match } = this.#urls.read(request);
    if (request.method === "POST" || isUpgrade(request)) this.#cors.check(request, target.origin);
    if (target.pathname === "/channels") {
      return this.#finish(request, this.#many(request, target, arrival));
    }
    if (match && request.method === "GET") return this.#subscribe(match, request, target, arrival);
    return this.#finish(
      request,
      match
        ? this.#channel(match, request, target, arrival)
        : (this.#messages(request, target, arrival) ?? this.#static(request, target, arrival)),
    );
  }

  /** All but a GET. */
  #channel(
    match: ChannelMatch,
    request: Request,
    target: Target,
    arrival: Arrival,
  ): MaybePromise<Response | undefined> {
    const { listener } = arrival;
    const { method } = request;
    if (method === "OPTIONS") return this.#cors.preflight(request, CHANNEL_METHODS);
    if (method === "POST") {
      const hold = (seconds: number) => listener.hold(request, seconds);
      const peer = peerOf(request, target, arrival);
      return servePublish(this.#context, match, { request, target, peer, hold });
    }
    const refusal = methodNotAllowed(method, CHANNEL_METHODS);
    return this.#fileOr(refusal, request, target, arrival);
  }

  #subscribe(
    match: ChannelMatch,
    request: Request,
    target: Target,
    arrival: Arrival,
  ): MaybePromise<Response | undefined> {
    const { listener } = arrival;
    const asked = target.query.get("transport");
    const transport = chooseTransport(this.#context.transports, asked, request, listener);
    const refusal = notExposed(match, transport.name);
    if (refusal) {
      if (asked !== null) throw refusal;
      // A page may stand at the same URL as a channel that it opens a WebSocket to.
      return this.#finish(request, this.#fileOr(refusal, request, target, arrival));
    }
    const peer = new RequestPeer(request, target, arrival.addressOf);
    const subscription = { match, request, target, listener, peer, transport };
    const response = serveSubscription(this.#context, subscription);
    // A promise of its own for each poll that is held would cost as much as what it looks for.
    return this.#cors.isOff ? response : this.#finish(request, response);
  }

  /** One socket, stream or poll for many channels. */
  #many(request: Request, target: Target, arrival: Arrival): MaybePromise<Response | undefined> {
    if (request.method === "OPTIONS") return this.#cors.preflight(request, ["GET", "OPTIONS"]);
    if (request.method !== "GET") throw methodNotAllowed(request.method, ["GET", "OPTIONS"]);
    const { listener } = arrival;
    const peer = peerOf(request, target, arrival);
    if (!isUpgrade(request)) return this.#merged(request, target, listener, peer);
    this.#context.gate.check(peer);
    const { channels, websocket } = this.#context;
    return websocket.serveMany({
      request,
      listener,
      nameOf: (name) => channels.nameOf(findByName(channels, name)),
      open: openerOf(this.#context, peer),
    });
  }

  /** One stream, or one poll, for many channels. */
  #merged(
    request: Request,
    target: Target,
    listener: Listener,
    peer: RequestPeer,
  ): MaybePromise<Response | undefined> {
    const { query } = target;
    const asked = query.get("transport");
    const transport = chooseTransport(this.#context.transports, asked, request, listener);
    const isPlain = asked === null && transport.name === "long-poll" && !query.has("channel");
    if (isPlain || transport.name === "websocket") {
      throw new RequestError(
        426,
        "upgrade-required",
        `/channels takes WebSockets with the subprotocol "tidewire.v1", and with ?channel=a&channel=b streams and polls of those channels; a single channel is at its own path, such as /channels/prices`,
        { headers: { upgrade: "websocket" } },
      );
    }
    return serveMerged(this.#context, { request, target, listener, peer, transport });
  }

  /** `<channel>/messages` and `<channel>/messages/<id>`; null when the path is neither. */
  #messages(request: Request, target: Target, arrival: Arrival): Promise<Response> | null {
    const found = /^(.*)\/messages(?:\/([^/]*))?$/.exec(target.pathname);
    const match = found && this.#context.channels.match(found[1] === "" ? "/" : found[1]!);
    if (!match) return null;
    if (!READ_METHODS.includes(request.method))
      throw methodNotAllowed(request.method, READ_METHODS);
    if (request.method === "OPTIONS") {
      return Promise.resolve(this.#cors.preflight(request, READ_METHODS));
    }
    const peer = peerOf(request, target, arrival);
    return this.#history(match, found[2], request, peer);
  }

  async #history(
    match: ChannelMatch,
    id: string | undefined,
    request: Request,
    peer: Peer,
  ): Promise<Response> {
    const { channels, admission, codings } = this.#context;
    const { query } = peer;
    const start = parseStart(request, query, false);
    checkStart(start, match.value.config.name, keepsState(match.value));
    const visit = { peer, action: "subscribe", transport: "history", isNew: false } as const;
    // Reading brings no channel to life, for one that is not alive keeps nothing: unless the broker does,
    // or it has plugins, of which one may have to be asked. Who is denied must not learn either whether it
    // is alive.
    const live = await (channels.isDurable || match.value.config.plugins.length > 0
      ? admission.open(match, visit)
      : channels.find(match));
    const channel = live?.channel ?? null;
    const response =
      id === undefined
        ? await servePage(channel, start, query)
        : await serveMessage(channel, channels.nameOf(match), id);
    return encodeResponse(response, request, codings);
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
    const { serveStatic } = this.#context;
    if (serveStatic === null || !["GET", "HEAD"].includes(request.method)) throw refusal;
    const file = await serveStatic(request, pathname, listener.push(request));
    if (file) return file;
    throw refusal;
  }
}

/** What is asked for here may take longer than its request. */
function peerOf(request: Request, target: Target, { addressOf }: Arrival): RequestPeer {
  const peer = new RequestPeer(request, target, addressOf);
  peer.outlive();
  return peer;
}

function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}
