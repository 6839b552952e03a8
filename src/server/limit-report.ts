/** Every limit of the config, by the config's own name for it, with what is used of it now. */
import type { Config } from "../config/config.ts";
import type { LongPollTransport } from "../transport/long-poll.ts";
import type { WebSocketTransport } from "../transport/websocket.ts";
import type { Channels } from "./channels.ts";
import type { ConnectionCount } from "./connection-count.ts";
import type { Http2Listener } from "./http2-listener.ts";
import type { PublishRate } from "./publish-rate.ts";

/** A limit that is shared: `now` is what all use of it together, or whoever uses most of it. */
export interface Used {
  /** null is no limit. */
  readonly limit: number | null;
  readonly now: number;
}

export interface LimitSources {
  readonly config: Config;
  readonly channels: Channels;
  readonly connections: ConnectionCount;
  readonly websocket: WebSocketTransport;
  readonly longPoll: LongPollTransport;
  readonly publishRate: PublishRate;
  readonly http2: Http2Listener | null;
}

export type LimitReport = ReturnType<typeof reportLimits>;

/** Sizes in bytes, times in milliseconds. */
export function reportLimits(sources: LimitSources) {
  const { config, channels, connections, websocket, longPoll, publishRate, http2 } = sources;
  const { limits, idempotency } = config;
  const used = (limit: number | null, now: number): Used => ({ limit, now });
  return {
    connections: used(limits.connections, connections.count),
    connections_per_address: used(limits.connectionsPerAddress, connections.most),
    subscriptions: used(limits.subscriptions, websocket.mostSubscriptions),
    channels: used(limits.channels, channels.ofPatterns),
    polls: used(limits.polls, longPoll.held),
    publishes: {
      per_second: limits.publishes.perSecond,
      burst: limits.publishes.burst,
      loopback: limits.publishes.loopback,
      /** Addresses that are not back at the whole of their burst. */
      addresses: publishRate.addresses,
    },
    http2: {
      connections: used(limits.http2.connections, http2?.connections ?? 0),
      streams: limits.http2.streams,
      resets: { per_second: limits.http2.resets.perSecond, burst: limits.http2.resets.burst },
    },
    buffer: limits.buffer,
    message: limits.message,
    headers: limits.headers,
    body: { time: limits.body.timeMs, rate: limits.body.rate },
    waiting: limits.waiting,
    idempotency: { window: idempotency.windowMs, keys: idempotency.keys },
  };
}
