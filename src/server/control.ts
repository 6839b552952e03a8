/** The control listener: publish, look at channels, health. Private: loopback, a unix socket, or a token. */
import { timingSafeEqual } from "node:crypto";
import { Elysia } from "elysia";
import type { Address, Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import { RequestError } from "../transport/errors.ts";
import { VERSION } from "../version.ts";
import type { Channels } from "./channels.ts";
import { describeChannel, describeChannels } from "./channel-report.ts";
import { controlPublish } from "./control-publish.ts";
import type { Idempotency } from "./idempotency.ts";
import type { LimitReport } from "./limit-report.ts";
import { methodNotAllowed, problem, toRequestError } from "./problem.ts";
import { readTarget } from "./target.ts";

export interface ControlOptions {
  /** The one that holds at the moment. */
  readonly config: Config;
  readonly listen: Address;
  readonly token: string | null;
  readonly channels: Channels;
  readonly idempotency: Idempotency;
  /** Every limit, with what is used of it now. */
  readonly limits: () => LimitReport;
  readonly isReady: () => boolean;
  readonly log: Log;
}

export interface ControlListener {
  /** TCP port, or null on a unix socket. */
  readonly port: number | null;
  /** Stops listening; requests under way go on. Resolves when they are answered. */
  stopAccepting(): Promise<void>;
  close(): Promise<void>;
}

/** @throws When the address is in use or can't be bound. */
export function listenControl(options: ControlOptions): ControlListener {
  const { channels, config, isReady, log, listen, idempotency } = options;
  const healthy = () => Response.json({ status: "ok", version: VERSION });
  const ready = () =>
    isReady()
      ? Response.json({ status: "ready" })
      : problem(new RequestError(503, "not-ready", "the server starts or stops"));
  const app = new Elysia({ aot: true })
    .onError(({ error, code, request }) =>
      problem(code === "NOT_FOUND" ? notFound(request) : toRequestError(error, log)),
    )
    .post(
      "/publish",
      ({ request }) =>
        controlPublish(request, { channels, limits: options.config.limits, idempotency, log }),
      {
        parse: "none",
      },
    )
    .get("/channels", () =>
      Response.json({ ...describeChannels(channels), limits: options.limits() }),
    )
    .get("/channels/*", ({ request }) => {
      const name = readTarget(request).pathname.slice("/channels/".length);
      return Response.json(describeChannel(channels, name));
    })
    .get("/healthz", healthy)
    .head("/healthz", healthy)
    .get("/readyz", ready)
    .head("/readyz", ready);
  const answer = (request: Request): Response | Promise<Response> => {
    try {
      const refusal = refuse(request, options);
      return refusal ? problem(refusal) : app.fetch(routable(request));
    } catch (error) {
      return problem(toRequestError(error, log));
    }
  };
  const server = Bun.serve({
    fetch: answer,
    ...("unix" in listen
      ? { unix: listen.unix }
      : { hostname: listen.hostname, port: listen.port }),
    reusePort: false,
    development: false,
    idleTimeout: 60,
    maxRequestBodySize: config.limits.message * 32,
  } as Bun.Serve.Options<undefined>);
  return {
    port: server.port ?? null,
    stopAccepting: async () => {
      await server.stop(false);
    },
    close: async () => {
      await server.stop(true);
    },
  };
}

/**
 * Elysia looks for the path behind the eleventh character of a URL, and would miss some of it where the host
 * is as short as in `curl --unix-socket … http://x/`.
 */
function routable(request: Request): Request {
  const { origin, pathname, query } = readTarget(request);
  if (origin.length >= "http://local".length) return request;
  return new Request(`http://localhost${pathname}${query.size > 0 ? `?${query}` : ""}`, request);
}

function notFound(request: Request): RequestError {
  const { pathname } = readTarget(request);
  const found = METHODS.find(([path]) => path.test(pathname));
  if (found) return methodNotAllowed(request.method, found[1]);
  return new RequestError(
    404,
    "not-found",
    `the control listener serves POST /publish, GET /channels, GET /channels/<name>, /healthz and /readyz, but not ${request.method} ${pathname.slice(0, 200)}`,
  );
}

const METHODS: readonly [RegExp, readonly string[]][] = [
  [/^\/publish$/, ["POST"]],
  [/^\/channels(?:\/|$)/, ["GET"]],
  [/^\/(?:healthz|readyz)$/, ["GET", "HEAD"]],
];

/** Probes ask without a token: they learn nothing but that the server runs. */
const OPEN_PATHS = ["/healthz", "/readyz"];

/** Why a request is refused, or null. */
function refuse(request: Request, { token, listen }: ControlOptions): RequestError | null {
  const target = readTarget(request);
  if (OPEN_PATHS.includes(target.pathname)) return null;
  // A page that somebody visits on this machine must not publish here, with or without a token.
  const origin = request.headers.get("origin");
  if (origin !== null && origin !== target.origin) {
    return new RequestError(
      403,
      "origin-not-allowed",
      "pages of other origins may not use the control listener",
    );
  }
  if (token === null) {
    const host = target.origin === "" ? "" : new URL(target.origin).hostname;
    if ("unix" in listen || isLoopback(host)) return null;
    // A name that resolves to this machine (DNS rebinding) would let a page of that name in.
    return new RequestError(
      403,
      "host-not-allowed",
      `without a token the control listener answers to localhost, 127.0.0.1 and [::1], not to ${host === "" ? "a request without Host" : host}`,
    );
  }
  const given = /^Bearer +(.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  if (isSame(given, token)) return null;
  return new RequestError(
    401,
    "unauthorized",
    "the control listener needs its token: Authorization: Bearer <control.token of the config>",
    { headers: { "www-authenticate": "Bearer" } },
  );
}

/** Whether a host name or address is this machine's own (RFC 6761 §6.3, RFC 1122 §3.2.1.3). */
function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "");
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function isSame(given: string, token: string): boolean {
  const digest = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
