/** A whole running server: broker, channels, transports and listeners, put together from a config. */
import http from "node:http";
import type { Broker } from "../broker/broker.ts";
import type { KeyValues } from "../channel/key-values.ts";
import type { Address, Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { LoadedPlugin } from "../plugin/load.ts";
import { Admission } from "./admission.ts";
import { loadTls } from "./certificate.ts";
import { createBroker } from "./broker.ts";
import { Codings } from "../transport/coding/codings.ts";
import { Channels } from "./channels.ts";
import { ConnectionCount } from "./connection-count.ts";
import { listenControl, type ControlListener } from "./control.ts";
import { removeDeadSocket } from "./dead-socket.ts";
import { listenHttp2, type Http2Listener } from "./http2-listener.ts";
import { Idempotency } from "./idempotency.ts";
import { reportLimits } from "./limit-report.ts";
import { problem, toRequestError } from "./problem.ts";
import { listenPublic, type PublicListener } from "./public-listener.ts";
import { PublicRoutes } from "./public-routes.ts";
import { PublishRate } from "./publish-rate.ts";
import type { ChannelChanges } from "./reload-channels.ts";
import { applicable, certificateStamps } from "./reload-settings.ts";
import { createStatic } from "./static.ts";
import { createTransports } from "./transports.ts";
import { createValues } from "./values.ts";
import { whenAborted } from "./when-aborted.ts";

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
  const { limits, server: served } = config;
  let current = config;
  const codings = new Codings({
    get http() {
      return current.server.compression.http;
    },
    get websocket() {
      return current.server.compression.websocket;
    },
    get minBytes() {
      return current.server.compression.minBytes;
    },
  });
  const transports = createTransports({
    codings,
    limits: {
      get subscriptions() {
        return current.limits.subscriptions;
      },
      get polls() {
        return current.limits.polls;
      },
    },
    bufferBytes: limits.buffer,
    messageBytes: limits.message,
    retryMs: config.sse.retryMs,
    heartbeatMs: config.sse.heartbeatMs,
  });
  const connections = new ConnectionCount(limits.connections, limits.connectionsPerAddress, () =>
    transports.longPoll.look(),
  );
  const publishRate = new PublishRate(limits.publishes);
  const idempotency = new Idempotency(config.idempotency.windowMs);
  let serveStatic = served.static && createStatic(served.static.root, served.static.push);
  const routes = new PublicRoutes({
    config,
    channels,
    transports: transports.all,
    websocket: transports.websocket,
    connections,
    admission: new Admission({
      channels,
      connections,
      get limit() {
        return current.limits.connections;
      },
    }),
    publishRate,
    idempotency,
    codings,
    serveStatic,
    log,
  });
  limitHeaders(limits.headers);
  // Before they are read: what is renewed meanwhile counts as changed.
  const certificates = certificateStamps(config);
  let isReady = false;
  let listening: PublicListener | null = null;
  let http2: Http2Listener | null = null;
  let control: ControlListener | null = null;

  const cutOff = () => Promise.allSettled([listening?.close(), http2?.close(0), control?.close()]);
  try {
    const tls = served.tls && (await loadTls(served.tls, [served.listen.hostname]));
    listening = bound(config.server.listen, () =>
      listenPublic({
        ...served.listen,
        tls,
        routes,
        bufferBytes: limits.buffer,
        messageBytes: limits.message,
        deflate: served.compression.websocket,
        onSocket: (change, address) => connections.add(change, address),
      }),
    );
    if (served.http2Push) {
      const { listen } = served.http2Push;
      http2 = await listenHttp2({
        ...listen,
        tls: served.http2Push.tls && (await loadTls(served.http2Push.tls, [listen.hostname])),
        maxConnections: limits.http2.connections,
        get maxPerAddress() {
          return current.limits.connectionsPerAddress;
        },
        maxStreams: limits.http2.streams,
        maxHeaderBytes: limits.headers,
        limits: { resets: limits.http2.resets },
        handle: (request, listener, address) =>
          routes.handle(request, { listener, addressOf: () => address }),
        answerError: (error) => problem(toRequestError(error, log)),
        log,
      }).catch((error) => {
        throw bindError(listen, error);
      });
    }
    if (config.control) {
      const { listen } = config.control;
      if ("unix" in listen) await removeDeadSocket(listen.unix);
      control = bound(listen, () =>
        listenControl({
          get config() {
            return current;
          },
          listen,
          get token() {
            return current.control!.token;
          },
          channels,
          idempotency,
          limits: () =>
            reportLimits({
              ...transports,
              config: current,
              channels,
              connections,
              publishRate,
              http2,
            }),
          isReady: () => isReady,
          log,
        }),
      );
    }
    // Last: a plugin must not run for a server whose port is taken.
    await channels.start();
  } catch (error) {
    await channels.close();
    await cutOff();
    await values.close();
    await broker.close();
    throw error;
  }
  isReady = true;

  let reloading: Promise<unknown> = Promise.resolve();
  const reload = async (changed: Pick<ServerOptions, "config" | "plugins">) => {
    const { config: next, needsRestart } = applicable(current, changed.config, certificates);
    const isSameStatic = Bun.deepEquals(current.server.static, next.server.static, true);
    const { static: files } = next.server;
    const changes = await channels.reload(next, changed.plugins, () => {
      current = next;
      connections.update(next.limits.connections, next.limits.connectionsPerAddress);
      publishRate.update(next.limits.publishes);
      idempotency.windowMs = next.idempotency.windowMs;
      if (http2) http2.maxConnections = next.limits.http2.connections;
      transports.sse.update(next.sse);
      if (!isSameStatic) serveStatic = files && createStatic(files.root, files.push);
      routes.update({ config: next, serveStatic });
    });
    return { ...changes, needsRestart };
  };

  const stop = async () => {
    isReady = false;
    const { drainMs } = current.shutdown;
    const limit = new AbortController();
    const late = setTimeout(() => limit.abort(), drainMs);
    const answered = listening.stopAccepting();
    const grace = http2?.close(drainMs);
    routes.refuseSubscribers();
    // Half of the time for telling clients to come back, the rest for what is under way.
    const told = transports.all.map((transport) => transport.shutdown(drainMs / 2));
    const closed = Promise.allSettled(told).then(() => channels.close(limit.signal));
    // What was committed just now is still on its way to those who published it.
    const drained = closed.then(() =>
      Promise.allSettled([answered, control?.stopAccepting(), grace]),
    );
    await Promise.race([drained, whenAborted(limit.signal)]);
    clearTimeout(late);
    await cutOff();
    await closed;
    await reloading.catch(() => {});
    await values.close();
    await broker.close();
  };
  let stopping: Promise<void> | null = null;
  return {
    channels,
    urls: {
      public: url(served.tls !== null, served.listen.hostname, listening.port),
      http2Push:
        http2 && url(served.http2Push!.tls !== null, served.http2Push!.listen.hostname, http2.port),
      control: control && controlUrl(config, control),
    },
    get connections() {
      return connections.count;
    },
    reload: (changed) => {
      const next = reloading.catch(() => {}).then(() => reload(changed));
      reloading = next;
      return next;
    },
    stop: () => (stopping ??= stop()),
  };
}

/** Bun has it for no listener by itself: it is of the whole process, and read anew for each request. */
function limitHeaders(bytes: number): void {
  (http as { maxHeaderSize: number }).maxHeaderSize = bytes;
}

function url(isSecure: boolean, hostname: string, port: number): string {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return `${isSecure ? "https" : "http"}://${host}:${port}`;
}

function controlUrl({ control }: Config, { port }: ControlListener): string {
  const { listen } = control!;
  return "unix" in listen ? `unix:${listen.unix}` : url(false, listen.hostname, port!);
}

function bound<T>(address: Address, listen: () => T): T {
  try {
    return listen();
  } catch (error) {
    throw bindError(address, error);
  }
}

/** An address that can't be listened on: the message says all that there is to know. */
export class ListenError extends Error {}

/** Why an address can't be bound, by the system's error code. */
const UNBINDABLE: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: "this machine has no such address",
  EAGAIN: "the name can't be resolved to an address now",
  ENOTFOUND: "the name can't be resolved to an address",
  ENOENT: "the folder of the socket does not exist",
};

/** Says which address it was, and what to do about it. */
function bindError(address: Address, error: unknown): Error {
  const where = "unix" in address ? `unix:${address.unix}` : `${address.hostname}:${address.port}`;
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === "EADDRINUSE"
      ? "another program listens there; stop it, or give another address in the config"
      : code === "EACCES"
        ? "not permitted; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)"
        : (UNBINDABLE[code ?? ""] ?? message);
  return new ListenError(`can't listen on ${where}: ${why}`, { cause: error });
}
