/** Servers for tests: a real one on a free port of 127.0.0.1, from a few words of config. */
import { parsePath, parsePattern } from "../channel/directory.ts";
import {
  CODING_NAMES,
  TRANSPORT_NAMES,
  type ChannelConfig,
  type Config,
  type PluginUse,
} from "../config/config.ts";
import { createLog } from "../log.ts";
import { Sources } from "../plugin/source-text.ts";
import { loadPlugin, type LoadedPlugin } from "../plugin/load.ts";
import type { Plugin } from "../plugin/sdk.ts";
import { startServer, type ReloadResult, type RunningServer } from "./server.ts";

type DeepPartial<T> = T extends readonly unknown[] | string | null
  ? T
  : { [K in keyof T]?: DeepPartial<T[K]> | T[K] };

export type TestChannel = Partial<Omit<ChannelConfig, "name" | "pattern" | "path" | "plugins">> & {
  path?: string;
  plugins?: readonly (string | Plugin | TestUse)[];
};

interface TestUse extends Partial<Pick<PluginUse, "isolate" | "onError">> {
  readonly use: string | Plugin;
  readonly with?: unknown;
}

export type TestConfig = DeepPartial<Omit<Config, "channels">> & {
  channels: Record<string, TestChannel>;
};

/** A config as the loader would give it, with `overrides` on top of its defaults. */
export function testConfig({ channels, ...overrides }: TestConfig): Config {
  const listen = { hostname: "127.0.0.1", port: 0 };
  const compression = { http: CODING_NAMES, websocket: false, minBytes: 1024 };
  const base: Omit<Config, "channels"> = {
    file: `${import.meta.dir}/tidewire.yaml`,
    server: { listen, tls: null, http2Push: null, static: null, cors: [], compression },
    control: null,
    broker: { use: "memory" },
    store: { use: "memory" },
    limits: {
      buffer: 1 << 20,
      message: 1 << 20,
      connections: 100_000,
      channels: 10_000,
      workers: 100,
      waiting: 1024,
      connectionsPerAddress: null,
      subscriptions: 1000,
      polls: 50_000,
      publishes: { perSecond: 1_000_000, burst: 10_000_000, loopback: false },
      headers: 16_384,
      body: { timeMs: 30_000, rate: 4096 },
      http2: { connections: 100_000, streams: 100, resets: { perSecond: 33, burst: 1000 } },
    },
    idempotency: { windowMs: 600_000, keys: 100_000 },
    sse: { retryMs: 2000, heartbeatMs: 15_000 },
    shutdown: { drainMs: 1000 },
    log: { level: "info", format: "json" },
  };
  return {
    ...merge(base, overrides),
    channels: Object.entries(channels).map(([name, channel]) => ({
      transports: TRANSPORT_NAMES,
      history: { size: 100, ttlMs: 600_000 },
      publish: "clients",
      slow: "disconnect",
      schema: null,
      ...channel,
      name,
      pattern: parsePattern(name),
      path: parsePath(channel.path ?? `/channels/${name}`),
      plugins: (channel.plugins ?? []).map((entry, index) => {
        const { use, ...given } =
          typeof entry === "object" && "use" in entry ? entry : ({ use: entry } as TestUse);
        const name = useName(use, index);
        return {
          use: name,
          written: name,
          options: given.with ?? {},
          isolate: given.isolate ?? null,
          onError: given.onError ?? "drop",
        };
      }),
    })),
  };
}

/** Lines that the server logged, as JSON. */
export interface TestServer extends RunningServer {
  readonly logged: readonly Record<string, unknown>[];
  /** Lets another config hold, as it would be started with. */
  become(config: TestConfig): Promise<ReloadResult>;
}

/** Starts a server from a config; plugins are given as they are or by the name that they ship under. */
export async function startTestServer(config: TestConfig): Promise<TestServer> {
  const logged: Record<string, unknown>[] = [];
  const log = createLog({
    level: "debug",
    format: "json",
    write: (line) => void logged.push(JSON.parse(line) as Record<string, unknown>),
  });
  const read = async (given: TestConfig) => ({
    config: testConfig(given),
    plugins: await testPlugins(given),
  });
  const server = await startServer({ ...(await read(config)), log });
  const become = async (given: TestConfig) => server.reload(await read(given));
  return Object.assign(Object.create(server) as RunningServer, { logged, become });
}

async function testPlugins(config: TestConfig): Promise<ReadonlyMap<string, LoadedPlugin>> {
  const plugins = new Map<string, LoadedPlugin>();
  for (const { plugins: uses = [] } of Object.values(config.channels)) {
    for (const [index, entry] of uses.entries()) {
      const use = typeof entry === "object" && "use" in entry ? entry.use : entry;
      const name = useName(use, index);
      plugins.set(
        name,
        typeof use === "string"
          ? await loadPlugin(use, import.meta.dir)
          : { use: name, file: null, plugin: use, sources: Sources.none },
      );
    }
  }
  return plugins;
}

function useName(use: string | Plugin, index: number): string {
  return typeof use === "string" ? use : `${use.name}#${index}`;
}

function merge<T>(base: T, overrides: unknown): T {
  if (typeof overrides !== "object" || overrides === null || Array.isArray(overrides)) {
    return overrides === undefined ? base : (overrides as T);
  }
  if (typeof base !== "object" || base === null) return overrides as T;
  const out: Record<string, unknown> = { ...(base as Record<string, unknown>) };
  for (const [key, value] of Object.entries(overrides)) {
    out[key] = merge((base as Record<string, unknown>)[key], value);
  }
  return out as T;
}
