/** A GET on a channel's URL: which transport it asks for, and its way to it. */
import type { MaybePromise } from "../channel/log.ts";
import type { Channel } from "../channel/channel.ts";
import type { Start } from "../channel/position.ts";
import { RequestError } from "../transport/errors.ts";
import { checkStart, parseStart } from "../transport/start.ts";
import type { Exchange, Listener, ManyExchange, Transport } from "../transport/transport.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import { keepsState } from "./declared.ts";
import { ChannelClient, type ClientContext } from "./client.ts";
import type { Gate } from "./gate.ts";
import type { LiveChannel } from "./live-channel.ts";
import type { Peer, RequestPeer } from "./peer.ts";
import { unknownChannel } from "./problem.ts";
import type { Target } from "./target.ts";

export interface SubscribeContext extends ClientContext {
  readonly channels: Channels;
  readonly gate: Gate;
  /** What a request is answered with that can't be served. */
  readonly refuse: (error: unknown) => Response;
}

/** A request for one channel. */
export interface Subscription {
  readonly match: ChannelMatch;
  readonly request: Request;
  readonly target: Target;
  readonly listener: Listener;
  readonly peer: RequestPeer;
  /** One that the channel exposes. */
  readonly transport: Transport;
}

/**
 * The transport that a request asks for.
 *
 * @param asked What `?transport=` says; null where there is none.
 * @param transports In the order in which they are asked whether the request is theirs.
 * @throws {RequestError} 400 when there is no such transport.
 */
export function chooseTransport(
  transports: readonly Transport[],
  asked: string | null,
  request: Request,
  listener: Listener,
): Transport {
  for (const transport of transports) {
    if (asked === null ? transport.matches(request, listener) : transport.name === asked) {
      return transport;
    }
  }
  throw new RequestError(
    400,
    "unknown-transport",
    `transport is ${JSON.stringify(asked?.slice(0, 80))}; it must be one of ${transports.map(({ name }) => name).join(", ")}`,
  );
}

/**
 * What a request is refused with whose transport the channel does not expose; null where it does.
 */
export function notExposed({ value }: ChannelMatch, transport: string): RequestError | null {
  const { transports, name } = value.config;
  if ((transports as readonly string[]).includes(transport)) return null;
  return new RequestError(
    406,
    "transport-not-exposed",
    `channel "${name}" does not expose ${transport}; it exposes ${transports.join(", ")}`,
    { extra: { transports } },
  );
}

/**
 * Subscribes a client. What it promises never fails.
 *
 * @throws {RequestError} When the request is malformed, or the client is not let in.
 */
export function serveSubscription(
  context: SubscribeContext,
  asked: Subscription,
): MaybePromise<Response | undefined> {
  const { match, request, target, peer, transport } = asked;
  const isPoll = transport.name === "long-poll";
  const start = parseStart(request, target.query, isPoll);
  // By the config: nobody is to bring a channel to life for a state that it does not keep.
  checkStart(start, match.value.config.name, keepsState(match.value));
  // Whom it would refuse opens no channel.
  context.gate.check(peer);
  // A poll that is answered lasts no longer than its request.
  if (!isPoll) peer.outlive();
  const visit = { peer, action: "subscribe", transport: transport.name, isNew: true } as const;
  const live = context.admission.open(match, visit);
  if (!(live instanceof Promise)) return serveOn(context, live, asked, start);
  peer.outlive();
  const served = context.gate.wait(live).then((late) => {
    // Nobody is to be told of one who has gone.
    if (request.signal.aborted) throw gone();
    return serveOn(context, late, asked, start);
  });
  return served.catch(context.refuse);
}

function serveOn(
  context: SubscribeContext,
  live: LiveChannel,
  asked: Subscription,
  start: Start,
): MaybePromise<Response | undefined> {
  const { peer, transport } = asked;
  // In the same turn as the transport takes it: what held when it came may not hold any more.
  context.gate.check(peer);
  const client = new ChannelClient(live, peer, transport.name, context);
  return transport.serve(new ChannelExchange(context, asked, start, client));
}

/** What a transport needs of a request for one channel. What few ask for is made when it is asked for. */
class ChannelExchange implements Exchange {
  readonly request: Request;
  readonly listener: Listener;
  readonly start: Start;
  readonly subscriber: ChannelClient;
  readonly #context: SubscribeContext;
  readonly #target: Target;
  readonly #peer: Peer;

  constructor(
    context: SubscribeContext,
    { request, target, listener, peer }: Subscription,
    start: Start,
    client: ChannelClient,
  ) {
    this.request = request;
    this.listener = listener;
    this.start = start;
    this.subscriber = client;
    this.#context = context;
    this.#target = target;
    this.#peer = peer;
  }

  get channel(): Channel {
    return this.subscriber.channel;
  }

  get query(): URLSearchParams {
    return this.#target.query;
  }

  get path(): string {
    return this.#target.pathname;
  }

  get refuse(): (error: unknown) => Response {
    return this.#context.refuse;
  }

  get submit(): Exchange["submit"] {
    return submitBy(this.subscriber);
  }

  get reopen(): Exchange["reopen"] {
    return reopenBy(openerOf(this.#context, this.#peer), this.channel.name);
  }
}

/** Opens channels for one WebSocket, by what is declared then. Keeps its peer alive, and no request. */
export function openerOf(context: SubscribeContext, peer: Peer): ManyExchange["open"] {
  return (name, action, ways) => {
    const match = findByName(context.channels, name);
    const { transports, name: declared } = match.value.config;
    if (!transports.includes("websocket")) {
      throw new RequestError(
        406,
        "transport-not-exposed",
        `channel "${declared}" does not expose websocket; it exposes ${transports.join(", ")}`,
      );
    }
    const visit = { peer, action, transport: "websocket", isNew: false };
    const clientOf = (live: LiveChannel) => {
      const client = new ChannelClient(live, peer, "websocket", context);
      client.answerBy(ways);
      return client;
    };
    const live = context.admission.open(match, visit);
    return live instanceof Promise ? live.then(clientOf) : clientOf(live);
  };
}

/** @throws {RequestError} 404 when no channel has this name. */
export function findByName(channels: Channels, name: string): ChannelMatch {
  const match = channels.matchName(name);
  if (match) return match;
  throw unknownChannel(name);
}

/** Made here, so that it keeps the client alone alive, and not the request that it came with. */
function submitBy(client: ChannelClient): ChannelClient["submit"] {
  return (draft, terms) => client.submit(draft, terms);
}

/** As `submitBy`. */
function reopenBy(open: ManyExchange["open"], name: string): Exchange["reopen"] {
  return (action, ways) => open(name, action, ways);
}

/** Nobody reads it. */
function gone(): RequestError {
  return new RequestError(400, "client-gone", "the client left before the request was answered");
}
