/** `GET /channels?channel=a&channel=b`: one stream, or one poll, of many channels (DESIGN §5). */
import type { MaybePromise } from "../channel/log.ts";
import type { Config } from "../config/config.ts";
import { RequestError } from "../transport/errors.ts";
import { noState } from "../transport/start.ts";
import { parseStarts } from "../transport/start-many.ts";
import type { Listener, MergingTransport, Transport } from "../transport/transport.ts";
import type { Admission } from "./admission.ts";
import type { ChannelMatch, Channels } from "./channels.ts";
import { keepsState } from "./declared.ts";
import { ChannelClient } from "./client.ts";
import type { ConnectionCount } from "./connection-count.ts";
import type { LiveChannel } from "./live-channel.ts";
import type { Peer, RequestPeer } from "./peer.ts";
import { unknownChannel } from "./problem.ts";
import type { SubscribeContext } from "./subscribe-route.ts";
import type { Target } from "./target.ts";

/** Channels of one stream: a cursor of all has to fit into a header and a URL. */
const MAX_MERGED = 100;
/** Channels that are let go of while others are waited for are opened again. */
const MAX_ROUNDS = 3;

export interface MergedOptions extends SubscribeContext {
  readonly config: Config;
  readonly connections: ConnectionCount;
}

export interface MergedRequest {
  readonly request: Request;
  readonly target: Target;
  readonly listener: Listener;
  readonly peer: RequestPeer;
  readonly transport: Transport;
}

/** A channel that was asked for, under the name that its messages carry. */
interface Wanted {
  readonly name: string;
  readonly match: ChannelMatch;
}

/**
 * Serves many channels on one connection. All or none: one that there is not, that does not expose this
 * transport or that this client may not subscribe to refuses the request, and the answer names it.
 *
 * @throws {RequestError} As for one channel; the member `channel` of the problem says which.
 */
export function serveMerged(
  options: MergedOptions,
  asked: MergedRequest,
): MaybePromise<Response | undefined> {
  const { request, target, listener, peer, transport } = asked;
  const { gate } = options;
  const { query, pathname } = target;
  const merging = checkTransport(transport);
  const limit = Math.min(MAX_MERGED, options.config.limits.subscriptions);
  const written = findAll(options.channels, query.getAll("channel"), limit);
  const wanted = uniqueByName(written);
  for (const one of wanted) checkExposed(one, transport.name);
  const names = written.map(({ name }) => name);
  const startOf = parseStarts(request, query, names, transport.name === "long-poll");
  const hasState = wanted.some(({ match }) => keepsState(match.value));
  if (query.get("after") === "state" && !hasState) throw noState(wanted[0]!.name);
  // It may wait for its channels, and it is counted by its address then.
  peer.outlive();
  const { address } = peer;
  const serve = (lives: readonly LiveChannel[]) => {
    // In the same turn as the transport takes it: what held when it came may not hold any more.
    gate.check(peer);
    // Counted once, whatever it subscribes to.
    const context = { ...options, connections: { hold: () => {}, release: () => {} } };
    return merging.serveMerged({
      request,
      query,
      path: pathname,
      listener,
      accesses: lives.map((live) => new ChannelClient(live, peer, transport.name, context)),
      startOf,
      connection: {
        connect: () => options.connections.hold(peer),
        disconnect: () => options.connections.release(peer),
      },
    });
  };
  // Whom it would refuse opens no channel.
  gate.check(peer);
  const lives = openAll(options, wanted, peer, transport.name, 1);
  if (!(lives instanceof Promise)) return serve(lives);
  // While it waits it counts as one, like anybody who waits for a verdict.
  options.connections.add(1, address);
  const waited = lives.finally(() => options.connections.add(-1, address));
  return gate.wait(waited).then((late) => {
    // Nobody is to be told of one who has gone.
    if (request.signal.aborted) {
      throw new RequestError(400, "client-gone", "the client left before it was answered");
    }
    return serve(late);
  });
}

function checkTransport(transport: Transport): MergingTransport {
  if ("serveMerged" in transport) return transport as MergingTransport;
  throw new RequestError(
    406,
    "transport-not-exposed",
    `/channels is not served over ${transport.name}; it is over websocket, sse, long-poll`,
    { extra: { transports: ["websocket", "sse", "long-poll"] } },
  );
}

/** In the order in which they are asked for. */
function findAll(channels: Channels, asked: readonly string[], limit: number): Wanted[] {
  if (asked.length === 0) {
    throw new RequestError(
      400,
      "no-channel",
      "no channel is asked for; name each, such as /channels?channel=prices&channel=chat/lobby",
    );
  }
  // Before each is looked up: a URL may have thousands.
  if (asked.length > limit) throw tooMany(asked.length, limit);
  return asked.map((name) => {
    const match = channels.matchName(name);
    if (!match) throw unknownChannel(name, { channel: name.slice(0, 200) });
    return { name: channels.nameOf(match), match };
  });
}

function tooMany(count: number, limit: number): RequestError {
  return new RequestError(
    400,
    "too-many-channels-asked",
    `${count} channels are asked for; one stream carries at most ${limit}`,
  );
}

/** Sorted, so that whoever asks for the same ones shares what is encoded. */
function uniqueByName(written: readonly Wanted[]): Wanted[] {
  const unique = new Map(written.map((one) => [one.name, one]));
  return [...unique.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function checkExposed({ name, match }: Wanted, transport: string): void {
  const { transports, name: declared } = match.value.config;
  if (transports.some((exposed) => exposed === transport)) return;
  throw new RequestError(
    406,
    "transport-not-exposed",
    `channel "${declared}" does not expose ${transport}; it exposes ${transports.join(", ")}`,
    { extra: { transports, channel: name } },
  );
}

/** Brings all to life side by side, each by its own `authorize` hooks. */
function openAll(
  options: MergedOptions,
  wanted: readonly Wanted[],
  peer: Peer,
  transport: string,
  round: number,
): MaybePromise<readonly LiveChannel[]> {
  const visit = { peer, action: "subscribe", transport, isNew: false } as const;
  const opening: MaybePromise<LiveChannel>[] = [];
  try {
    for (const { name, match } of wanted) opening.push(openOne(options, name, match, visit));
  } catch (error) {
    // The request is refused already: what else comes of it is nobody's.
    for (const live of opening) if (live instanceof Promise) live.catch(() => {});
    throw error;
  }
  if (!opening.some((live) => live instanceof Promise)) return opening as LiveChannel[];
  return Promise.all(opening).then((lives) => {
    const isCurrent = lives.every((live, i) => options.channels.find(wanted[i]!.match) === live);
    if (isCurrent) return lives;
    if (round < MAX_ROUNDS) return openAll(options, wanted, peer, transport, round + 1);
    throw new RequestError(
      503,
      "overloaded",
      "a channel was let go of while others were asked for; try again later",
      { headers: { "retry-after": "1" } },
    );
  });
}

function openOne(
  { admission }: MergedOptions,
  name: string,
  match: ChannelMatch,
  visit: Parameters<Admission["open"]>[1],
): MaybePromise<LiveChannel> {
  const rename = (error: unknown): never => {
    throw naming(error, name);
  };
  try {
    const live = admission.open(match, visit);
    return live instanceof Promise ? live.catch(rename) : live;
  } catch (error) {
    return rename(error);
  }
}

/** Says which of the channels it is that an error is about. */
function naming(error: unknown, name: string): unknown {
  if (!(error instanceof RequestError)) return error;
  const { status, code, message, closeCode, headers, extra } = error;
  const detail = message.includes(`"${name}"`) ? message : `channel "${name}": ${message}`;
  const channel = name.slice(0, 200);
  return new RequestError(status, code, detail, {
    closeCode,
    headers,
    extra: { ...extra, channel },
  });
}
