/** A whole running server: broker, channels, transports and listeners, put together from a config. */
import type { Broker } from "../broker/broker.ts";
import type { KeyValues } from "../channel/key-values.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { LoadedPlugin } from "../plugin/load.ts";
import { Assembly, type Current } from "./assembly.ts";
import { createBroker } from "./broker.ts";
import { Channels } from "./channels.ts";
import { drain } from "./drain.ts";
import { Listeners } from "./listeners.ts";
import type { ChannelChanges } from "./reload-channels.ts";
import { applicable, certificateStamps } from "./reload-settings.ts";
import { createValues } from "./values.ts";

export interface ServerOptions {
  readonly config: Config;
  /** Every plugin that the config uses, by its `use`. */
  readonly plugins: ReadonlyMap<string, LoadedPlugin>;
  readonly log: Log;
}

export interface RunningServer {
  /** Where it listens: `http://127.0.0.1:8080`, or null where the config has no such listener. */
  readonly urls: {
    readonly public: string;
    readonly http2Push: string | null;
    readonly control: string | null;
  };
  readonly channels: Channels;
  /** Held connections now: streams, polls that wait, and WebSockets. */
  readonly connections: number;
  /**
   * Lets another config and other plugins hold, and drops nobody. What is the same is not touched; where
   * something of it fails all is as it was. Resolves when what was replaced has ended. One at a time.
   *
   * @throws When a plugin's setup fails, or the server stops.
   */
  reload(changed: Pick<ServerOptions, "config" | "plugins">): Promise<ReloadResult>;
  /**
   * Stops: no new connection, clients told to come back, what is under way finished, at most
   * `shutdown.drain` long. Then clients are cut off; plugins' hooks still come to an end, each within
   * a limit of its own (5 s).
   */
  stop(): Promise<void>;
}

/** What a reload came to. */
export interface ReloadResult extends ChannelChanges {
  /** Keys of the config that are others now and take hold when the server starts again. */
  readonly needsRestart: readonly string[];
}

/**
 * Starts a server.
 *
 * @throws When a plugin's setup fails or an address can't be bound; what was started is stopped again.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, plugins, log } = options;
  const broker = createBroker(config, log);
  const values = createValues(config, broker);
  const channels = new Channels({ config, broker, plugins, values, log });
  return serve({ config, log, broker, values, channels });
}

/** What is there before anything listens. */
interface Parts {
  readonly config: Config;
  readonly log: Log;
  readonly broker: Broker;
  readonly values: KeyValues;
  readonly channels: Channels;
}

/** Not given the plugins: its functions, which last, would keep their first version for good. */
async function serve({ config, log, broker, values, channels }: Parts): Promise<RunningServer> {
  const current: Current = { config };
  const assembly = new Assembly({ current, channels, log });
  const { routes, transports } = assembly;
  let isReady = false;
  const isReadyNow = () => isReady;
  const listeners = new Listeners({ current, assembly, channels, isReady: isReadyNow, log });
  // Before they are read: what is renewed meanwhile counts as changed.
  const certificates = certificateStamps(config);
  const closeStores = async () => {
    await values.close();
    await broker.close();
  };
  try {
    await listeners.open();
    // Last: a plugin must not run for a server whose port is taken.
    await channels.start();
  } catch (error) {
    await channels.close();
    await listeners.cutOff();
    await closeStores();
    throw error;
  }
  isReady = true;

  let reloading: Promise<unknown> = Promise.resolve();
  const reload = async (changed: Pick<ServerOptions, "config" | "plugins">) => {
    const { config: next, needsRestart } = applicable(current.config, changed.config, certificates);
    const changes = await channels.reload(next, changed.plugins, () => {
      assembly.update(next);
      listeners.update(next);
    });
    return { ...changes, needsRestart };
  };

  const stop = async () => {
    isReady = false;
    const { drainMs } = current.config.shutdown;
    await drain({ listeners, routes, transports, channels }, drainMs);
    await reloading.catch(() => {});
    await closeStores();
  };
  let stopping: Promise<void> | null = null;
  return {
    channels,
    urls: listeners.urls(),
    get connections() {
      return assembly.connections.count;
    },
    reload: (changed) => {
      const next = reloading.catch(() => {}).then(() => reload(changed));
      reloading = next;
      return next;
    },
    stop: () => (stopping ??= stop()),
  };
}
