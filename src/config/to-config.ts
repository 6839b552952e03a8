/** Makes the `Config` of a file that passed all checks. */
import { dirname, resolve } from "node:path";
import { Value } from "@sinclair/typebox/value";
import { parsePath, parsePattern } from "../channel/directory.ts";
import type { Retention } from "../channel/log.ts";
import type { ChannelConfig, Config, Isolation, Limits, PluginUse, Tls } from "./config.ts";
import type { ResolvedUse } from "./check-plugins.ts";
import { nodeAt, type Node } from "./node.ts";
import { readValue } from "./read-value.ts";
import { ConfigSpec, type DecodedConfig } from "./spec.ts";

/** The file that plugins' values are in, beside the config. */
const STORE = ".tidewire/store.db";
/** The file of a sqlite broker, beside the config. */
const BROKER = "tidewire.db";

const ISOLATION: Isolation = { timeoutMs: 1000, memory: 256 * 1024 ** 2 };

/**
 * @param file Absolute path of the YAML file.
 * @param uses What each entry of a `plugins:` list means.
 */
export function toConfig(file: string, root: Node, uses: ReadonlyMap<Node, ResolvedUse>): Config {
  const decoded = Value.Decode(ConfigSpec, readValue(root, ConfigSpec));
  const { server, control, limits, idempotency, sse, shutdown, log } = decoded;
  const directory = dirname(file);
  const http2 = server.http2_push;
  return {
    file,
    server: {
      listen: server.listen,
      tls: toTls(server.tls, directory),
      http2Push: http2 ? { listen: http2.listen, tls: toTls(http2.tls, directory) } : null,
      static: server.static
        ? { root: resolve(directory, server.static.root), push: server.static.push }
        : null,
      cors: server.cors,
      compression: {
        http: server.compression.http,
        websocket: server.compression.websocket,
        minBytes: server.compression.min,
      },
    },
    control: control ? { listen: control.listen, token: control.token ?? null } : null,
    ...toStorage(decoded, directory),
    limits: toLimits(limits),
    idempotency: { windowMs: idempotency.window, keys: idempotency.keys },
    sse: { retryMs: sse.retry, heartbeatMs: sse.heartbeat },
    shutdown: { drainMs: shutdown.drain },
    log,
    channels: toChannels(root, decoded, uses),
  };
}

function toLimits({
  connections_per_address: perAddress,
  publishes,
  body,
  http2,
  ...limits
}: DecodedConfig["limits"]): Limits {
  const { resets } = http2;
  return {
    ...limits,
    connectionsPerAddress: perAddress ?? null,
    publishes: {
      perSecond: publishes.per_second,
      burst: publishes.burst,
      loopback: publishes.loopback,
    },
    body: { timeMs: body.time, rate: body.rate },
    http2: {
      connections: http2.connections ?? limits.connections,
      streams: http2.streams,
      resets: { perSecond: resets.per_second, burst: resets.burst },
    },
  };
}

function toStorage(
  { broker, store }: Pick<DecodedConfig, "broker" | "store">,
  directory: string,
): Pick<Config, "broker" | "store"> {
  const { use, path: written } = store;
  if (broker.use === "memory") {
    const path = resolve(directory, written ?? STORE);
    return { broker: { use: "memory" }, store: use === "memory" ? { use } : { use, path } };
  }
  const path = resolve(directory, broker.path ?? BROKER);
  const durability = broker.durability ?? "full";
  const storePath = resolve(directory, written ?? path);
  return {
    broker: { use: "sqlite", path, durability },
    // The broker has its file to itself: who names the same one means the same.
    store:
      use === "memory"
        ? { use }
        : storePath === path
          ? { use: "broker" }
          : { use, path: storePath },
  };
}

function toTls(
  tls: "self-signed" | { cert: string; key: string } | undefined,
  directory: string,
): Tls | null {
  if (tls === undefined || tls === "self-signed") return tls ?? null;
  return { cert: resolve(directory, tls.cert), key: resolve(directory, tls.key) };
}

function toChannels(
  root: Node,
  { defaults, channels }: DecodedConfig,
  uses: ReadonlyMap<Node, ResolvedUse>,
): ChannelConfig[] {
  return Object.entries(channels).map(([name, channel]) => {
    const pattern = parsePattern(name);
    const plugins = nodeAt(root, "channels", name, "plugins");
    return {
      name,
      pattern,
      path: channel.path ?? parsePath(`/channels/${name}`),
      transports: channel.transports ?? defaults.transports,
      history: toRetention(defaults.history, channel.history),
      publish: channel.publish ?? defaults.publish,
      slow: channel.slow ?? defaults.slow,
      schema: channel.schema ?? null,
      plugins:
        plugins?.kind === "list"
          ? plugins.items.map((item, i) => toUse(uses.get(item)!, channel.plugins[i]!))
          : [],
    };
  });
}

/** @param own What the channel says for itself. */
function toRetention(
  { size, ttl, bytes, keys, latest_by_key: latestByKey }: DecodedConfig["defaults"]["history"],
  own: DecodedConfig["channels"][string]["history"],
): Retention {
  const history = {
    size: own?.size ?? size,
    ttlMs: own?.ttl ?? ttl,
    maxBytes: own?.bytes ?? bytes,
  };
  if (!(own?.latest_by_key ?? latestByKey)) return history;
  return { ...history, latestByKey: true, maxKeys: own?.keys ?? keys };
}

type DecodedUse = DecodedConfig["channels"][string]["plugins"][number];

function toUse(
  resolved: ResolvedUse,
  { isolate, timeout, memory, on_error }: DecodedUse,
): PluginUse {
  const limits = {
    timeoutMs: timeout ?? ISOLATION.timeoutMs,
    memory: memory ?? ISOLATION.memory,
  };
  return { ...resolved, isolate: isolate ? limits : null, onError: on_error };
}
