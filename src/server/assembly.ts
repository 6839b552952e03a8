/** What answers the requests of a server, put together from its config: all but the listeners. */
import type { Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import { Codings } from "../transport/coding/codings.ts";
import { Admission } from "./admission.ts";
import type { Channels } from "./channels.ts";
import { ConnectionCount } from "./connection-count.ts";
import { Idempotency } from "./idempotency.ts";
import { PublicRoutes } from "./public-routes.ts";
import { PublishRate } from "./publish-rate.ts";
import { createStatic, type ServeStatic } from "./static.ts";
import { createTransports, type Transports } from "./transports.ts";

/** The config that holds at the moment, for those who look when they need it: a reload changes it. */
export interface Current {
  config: Config;
}

export interface AssemblyOptions {
  readonly current: Current;
  readonly channels: Channels;
  readonly log: Log;
}

export class Assembly {
  readonly transports: Transports;
  readonly connections: ConnectionCount;
  readonly publishRate: PublishRate;
  readonly idempotency: Idempotency;
  readonly routes: PublicRoutes;
  readonly #current: Current;
  #serveStatic: ServeStatic | null;

  constructor({ current, channels, log }: AssemblyOptions) {
    const { config } = current;
    const { limits } = config;
    const codings = codingsOf(current);
    const transports = transportsOf(current, codings);
    this.#current = current;
    this.transports = transports;
    this.connections = new ConnectionCount(limits.connections, limits.connectionsPerAddress, () =>
      transports.longPoll.look(),
    );
    this.publishRate = new PublishRate(limits.publishes);
    this.idempotency = new Idempotency(config.idempotency.windowMs);
    this.#serveStatic = staticOf(config);
    this.routes = new PublicRoutes({
      config,
      channels,
      transports: transports.all,
      websocket: transports.websocket,
      connections: this.connections,
      admission: new Admission({
        channels,
        connections: this.connections,
        get limit() {
          return current.config.limits.connections;
        },
      }),
      publishRate: this.publishRate,
      idempotency: this.idempotency,
      codings,
      serveStatic: this.#serveStatic,
      log,
    });
  }

  /** Lets another config hold, for what is asked from here on. */
  update(next: Config): void {
    const isSameStatic = Bun.deepEquals(
      this.#current.config.server.static,
      next.server.static,
      true,
    );
    this.#current.config = next;
    this.connections.update(next.limits.connections, next.limits.connectionsPerAddress);
    this.publishRate.update(next.limits.publishes);
    this.idempotency.windowMs = next.idempotency.windowMs;
    this.transports.sse.update(next.sse);
    if (!isSameStatic) this.#serveStatic = staticOf(next);
    this.routes.update({ config: next, serveStatic: this.#serveStatic });
  }
}

function staticOf({ server }: Config): ServeStatic | null {
  return server.static && createStatic(server.static.root, server.static.push);
}

function codingsOf(current: Current): Codings {
  return new Codings({
    get http() {
      return current.config.server.compression.http;
    },
    get websocket() {
      return current.config.server.compression.websocket;
    },
    get minBytes() {
      return current.config.server.compression.minBytes;
    },
  });
}

function transportsOf(current: Current, codings: Codings): Transports {
  const { limits, sse } = current.config;
  return createTransports({
    codings,
    limits: {
      get subscriptions() {
        return current.config.limits.subscriptions;
      },
      get polls() {
        return current.config.limits.polls;
      },
    },
    bufferBytes: limits.buffer,
    messageBytes: limits.message,
    retryMs: sse.retryMs,
    heartbeatMs: sse.heartbeatMs,
  });
}
