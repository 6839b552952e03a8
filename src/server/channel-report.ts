/** What the control listener tells of channels. */
import { RequestError } from "../transport/errors.ts";
import type { Channels } from "./channels.ts";
import { unknownChannel } from "./problem.ts";
import type { LiveChannel } from "./live-channel.ts";

/** Every live channel, and the patterns that have none yet. */
export function describeChannels(channels: Channels) {
  const live = [...channels.live].map(describe);
  const alive = new Set(live.map(({ pattern }) => pattern));
  return {
    channels: live,
    idle: channels.declared.map(({ name }) => name).filter((name) => !alive.has(name)),
  };
}

/**
 * @param path The rest of a URL's path: a channel's name, or the whole of it encoded once more.
 * @throws {RequestError} 404 when there is no such channel, or it is not alive.
 */
export function describeChannel(channels: Channels, path: string) {
  const name = channels.matchName(path) ? path : decodeURIComponent(path);
  const live = channels.peek(name);
  if (live) return describe(live);
  if (channels.matchName(name) === null) throw unknownChannel(name);
  const detail = `channel ${JSON.stringify(name)} is declared, but nobody uses it now`;
  throw new RequestError(404, "unknown-channel", detail);
}

/** Nulls where the broker can't say: the rest is wanted then all the more. */
function statOf({ channel }: LiveChannel): Record<"count" | "bytes", number | null> {
  try {
    return channel.log.stat();
  } catch {
    // Logged by the broker.
    return { count: null, bytes: null };
  }
}

function describe(live: LiveChannel) {
  const { channel, config, params, plugins } = live;
  return {
    name: channel.name,
    pattern: config.name,
    params,
    transports: config.transports,
    /** Position of the newest message. */
    id: channel.position,
    /** Messages committed in this life of the channel. */
    published: channel.published,
    connections: Object.fromEntries(live.connections),
    /**
     * What becomes of slow subscribers, how many lag now, and messages that were dropped for such: each
     * counts for every one that was told that it is lost.
     */
    slow: {
      policy: channel.slow,
      lagging: channel.laggards.size,
      dropped: channel.laggards.dropped,
    },
    /** What is kept, and what may be: messages, their age, and bytes of data. */
    history: { ...statOf(live), ...config.history },
    plugins: plugins.stats(),
  };
}
