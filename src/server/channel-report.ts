/** What the control listener tells of channels. */
import { RequestError } from "../transport/errors.ts";
import type { Channels } from "./channels.ts";
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

/** @throws {RequestError} 404 when there is no such channel, or it is not alive. */
export function describeChannel(channels: Channels, name: string) {
  const live = channels.peek(name);
  if (live) return describe(live);
  const isDeclared = channels.matchName(name) !== null;
  throw new RequestError(
    404,
    "unknown-channel",
    isDeclared
      ? `channel ${JSON.stringify(name)} is declared, but nobody uses it now`
      : `there is no channel ${JSON.stringify(name)}`,
  );
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
    history: { ...channel.log.stat(), size: config.history.size, ttlMs: config.history.ttlMs },
    plugins: plugins.stats(),
  };
}
