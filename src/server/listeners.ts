/** The listeners of a server: the public one, and where the config has them HTTP/2 push and control. */
import http from "node:http";
import type { Address, Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { Assembly, Current } from "./assembly.ts";
import { loadTls } from "./certificate.ts";
import type { Channels } from "./channels.ts";
import { listenControl, type ControlListener } from "./control.ts";
import { removeDeadSocket } from "./dead-socket.ts";
import { listenHttp2, type Http2Listener } from "./http2-listener.ts";
import { reportLimits } from "./limit-report.ts";
import { listenError } from "./listen-error.ts";
import { problem, toRequestError } from "./problem.ts";
import { listenPublic, type PublicListener } from "./public-listener.ts";

export interface ListenersOptions {
  readonly current: Current;
  readonly assembly: Assembly;
  readonly channels: Channels;
  readonly isReady: () => boolean;
  readonly log: Log;
}

export class Listeners {
  readonly #options: ListenersOptions;
  #public: PublicListener | null = null;
  #http2: Http2Listener | null = null;
  #control: ControlListener | null = null;

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** @throws {ListenError} When an address can't be bound: those before it are open until `cutOff`. */
  async open(): Promise<void> {
    const { server, control, limits } = this.#options.current.config;
    limitHeaders(limits.headers);
    await this.#openPublic();
    if (server.http2Push) await this.#openHttp2(server.http2Push);
    if (control) await this.#openControl(control.listen);
  }

  /** Lets another config hold for what an open listener can change. */
  update({ limits }: Config): void {
    if (this.#http2) this.#http2.maxConnections = limits.http2.connections;
  }

  /**
   * The public listener takes no more, and HTTP/2 connections are told to go within `graceMs`. Resolves
   * when what was under way is answered.
   */
  stopAccepting(graceMs: number): Promise<unknown> {
    return Promise.allSettled([this.#public?.stopAccepting(), this.#http2?.close(graceMs)]);
  }

  /** The same for the control listener, which is to answer until the last. */
  async stopControl(): Promise<void> {
    await this.#control?.stopAccepting();
  }

  /** Closes what is open, whoever is connected. Never rejects. */
  cutOff(): Promise<unknown> {
    return Promise.allSettled([
      this.#public?.close(),
      this.#http2?.close(0),
      this.#control?.close(),
    ]);
  }

  /** Where they listen, once they are open. */
  urls() {
    const { server, control } = this.#options.current.config;
    return {
      public: url(server.tls !== null, server.listen.hostname, this.#public!.port),
      http2Push:
        this.#http2 &&
        url(server.http2Push!.tls !== null, server.http2Push!.listen.hostname, this.#http2.port),
      control: this.#control && controlUrl(control!.listen, this.#control),
    };
  }

  async #openPublic(): Promise<void> {
    const { server, limits } = this.#options.current.config;
    const { routes, connections } = this.#options.assembly;
    const tls = server.tls && (await loadTls(server.tls, [server.listen.hostname]));
    this.#public = bound(server.listen, () =>
      listenPublic({
        ...server.listen,
        tls,
        routes,
        bufferBytes: limits.buffer,
        messageBytes: limits.message,
        deflate: server.compression.websocket,
        onSocket: (change, address) => connections.add(change, address),
      }),
    );
  }

  async #openHttp2({ listen, tls }: NonNullable<Config["server"]["http2Push"]>): Promise<void> {
    const { current, assembly, log } = this.#options;
    const { limits } = current.config;
    this.#http2 = await listenHttp2({
      ...listen,
      tls: tls && (await loadTls(tls, [listen.hostname])),
      maxConnections: limits.http2.connections,
      get maxPerAddress() {
        return current.config.limits.connectionsPerAddress;
      },
      maxStreams: limits.http2.streams,
      maxHeaderBytes: limits.headers,
      limits: { resets: limits.http2.resets },
      handle: (request, listener, address) =>
        assembly.routes.handle(request, { listener, addressOf: () => address }),
      answerError: (error) => problem(toRequestError(error, log)),
      log,
    }).catch((error) => {
      throw listenError(listen, error);
    });
  }

  async #openControl(listen: Address): Promise<void> {
    const { current, assembly, channels, isReady, log } = this.#options;
    if ("unix" in listen) await removeDeadSocket(listen.unix);
    this.#control = bound(listen, () =>
      listenControl({
        get config() {
          return current.config;
        },
        listen,
        get token() {
          return current.config.control!.token;
        },
        channels,
        idempotency: assembly.idempotency,
        limits: () =>
          reportLimits({
            ...assembly.transports,
            config: current.config,
            channels,
            connections: assembly.connections,
            publishRate: assembly.publishRate,
            http2: this.#http2,
          }),
        isReady,
        log,
      }),
    );
  }
}

/** Bun has it for no listener by itself: it is of the whole process, and read anew for each request. */
function limitHeaders(bytes: number): void {
  (http as { maxHeaderSize: number }).maxHeaderSize = bytes;
}

function bound<T>(address: Address, listen: () => T): T {
  try {
    return listen();
  } catch (error) {
    throw listenError(address, error);
  }
}

function url(isSecure: boolean, hostname: string, port: number): string {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return `${isSecure ? "https" : "http"}://${host}:${port}`;
}

function controlUrl(listen: Address, { port }: ControlListener): string {
  return "unix" in listen ? `unix:${listen.unix}` : url(false, listen.hostname, port!);
}
