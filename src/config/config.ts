/** The validated config: what a YAML file means, with every default filled in and every path absolute. */
import type { Pattern } from "../channel/directory.ts";
import type { SlowPolicy } from "../channel/lag.ts";
import type { Retention } from "../channel/log.ts";

export type TransportName = "websocket" | "sse" | "long-poll" | "http2-push";

export const TRANSPORT_NAMES: readonly TransportName[] = [
  "websocket",
  "sse",
  "long-poll",
  "http2-push",
];

export type CodingName = "zstd" | "gzip";

/** The best first. */
export const CODING_NAMES: readonly CodingName[] = ["zstd", "gzip"];

/** Where a listener listens: TCP (port 0 picks a free one) or a unix socket (`unix:/run/tidewire.sock`). */
export type Address = TcpAddress | { readonly unix: string };

export interface TcpAddress {
  readonly hostname: string;
  readonly port: number;
}

/** A certificate: made at start for development, or two PEM files. */
export type Tls = "self-signed" | { readonly cert: string; readonly key: string };

export interface Config {
  /** Absolute path of the YAML file. */
  readonly file: string;
  readonly server: {
    readonly listen: TcpAddress;
    readonly tls: Tls | null;
    readonly http2Push: {
      readonly listen: TcpAddress;
      /** null serves cleartext HTTP/2 (prior knowledge, RFC 9113 §3.3). */
      readonly tls: Tls | null;
    } | null;
    readonly static: {
      /** Absolute path of the folder. */
      readonly root: string;
      /** URL path to the URL paths that are pushed with it. */
      readonly push: Readonly<Record<string, readonly string[]>>;
    } | null;
    /** Origins that may use the channels from a page of theirs; `"*"` any. Empty: same origin alone. */
    readonly cors: "*" | readonly string[];
    readonly compression: {
      /** Content codings that are offered over HTTP, the best first. */
      readonly http: readonly CodingName[];
      /** permessage-deflate, for each WebSocket by itself (RFC 7692). */
      readonly websocket: boolean;
      /** Bytes under which nothing is compressed. */
      readonly minBytes: number;
    };
  };
  readonly control: { readonly listen: Address; readonly token: string | null } | null;
  /** Where history is kept; `path` is absolute. */
  readonly broker:
    | { readonly use: "memory" }
    | { readonly use: "sqlite"; readonly path: string; readonly durability: "full" | "normal" };
  /** Where plugins keep their values: `broker` is its file. `path` is absolute. */
  readonly store:
    | { readonly use: "memory" }
    | { readonly use: "broker" }
    | { readonly use: "sqlite"; readonly path: string };
  readonly limits: Limits;
  readonly idempotency: {
    /** Milliseconds for which a key is remembered. */
    readonly windowMs: number;
    /** Keys that are remembered at most. */
    readonly keys: number;
  };
  readonly sse: {
    /** The `retry:` field, milliseconds. */
    readonly retryMs: number;
    readonly heartbeatMs: number;
  };
  readonly shutdown: {
    /** Milliseconds in which clients are told to come back and answers under way are finished. */
    readonly drainMs: number;
  };
  readonly log: { readonly level: LogLevel; readonly format: "json" | "text" | "auto" };
  readonly channels: readonly ChannelConfig[];
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Limits {
  /** Bytes that may wait for one slow connection. */
  readonly buffer: number;
  /** Bytes of one message's data. */
  readonly message: number;
  /** Connections that are held, all listeners together. */
  readonly connections: number;
  /** Connections that one client address holds; null is no limit. */
  readonly connectionsPerAddress: number | null;
  /** Channels that one connection for many is subscribed to. */
  readonly subscriptions: number;
  /** Long-polls that wait. */
  readonly polls: number;
  /** Messages of one client: a token bucket. */
  readonly publishes: {
    readonly perSecond: number;
    readonly burst: number;
    /** POSTs from loopback addresses are limited too. */
    readonly loopback: boolean;
  };
  /** Bytes of one request's line and header fields. */
  readonly headers: number;
  /** A body has `timeMs` to come in, and a second more for each `rate` bytes. */
  readonly body: { readonly timeMs: number; readonly rate: number };
  readonly http2: {
    readonly connections: number;
    /** Open streams of one connection. */
    readonly streams: number;
    /** Streams of one connection that its client resets before they are answered: a token bucket. */
    readonly resets: { readonly perSecond: number; readonly burst: number };
  };
  /** Pattern channels alive at once. */
  readonly channels: number;
  /** Worker threads that pattern channels may have for isolated plugins. */
  readonly workers: number;
  /** Drafts of one channel that may wait for its transforms. */
  readonly waiting: number;
}

export interface ChannelConfig {
  /** The name or pattern, as the config writes it. */
  readonly name: string;
  readonly pattern: Pattern;
  /** The URL path that it is served at. */
  readonly path: Pattern;
  readonly transports: readonly TransportName[];
  readonly history: Retention;
  /** `authorized`: those that an `authorize` hook allows. */
  readonly publish: "nobody" | "clients" | "authorized";
  /** What becomes of subscribers that read too slowly. */
  readonly slow: SlowPolicy;
  /** JSON Schema (draft 2020-12 or 07) that data has to fit, or null. */
  readonly schema: Readonly<Record<string, unknown>> | null;
  readonly plugins: readonly PluginUse[];
}

/** One entry of a channel's `plugins:`. */
export interface PluginUse {
  /** A bare name that ships, or the absolute path of a file. */
  readonly use: string;
  /** The options, checked against the plugin's schema, defaults filled in. */
  readonly options: unknown;
  /** The plugin as the file writes it: `clock`, `./round.ts`, `npm:some-plugin`. */
  readonly written: string;
  /** The place of its `use:` in the file, such as `tidewire.yaml:12:14`; for messages. */
  readonly usedAt?: string;
  /** Limits of the worker thread that it runs in; null where it runs in the server's own. */
  readonly isolate: Isolation | null;
  readonly onError: OnError;
}

export interface Isolation {
  /** Milliseconds without a sign of life after which the worker is ended; a transform may await as long. */
  readonly timeoutMs: number;
  /** Bytes that it may hold. */
  readonly memory: number;
}

/**
 * What becomes of a message that a transform failed on, or that a worker held when it ended: it is
 * dropped, goes on as it was, or is refused with an error to its publisher.
 */
export type OnError = "drop" | "pass" | "stop";
