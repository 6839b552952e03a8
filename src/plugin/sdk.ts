/** What a plugin imports: `import { definePlugin, t } from "tidewire"`. */
import {
  Type,
  type Static,
  type StringOptions,
  type TObject,
  type TString,
} from "@sinclair/typebox";
import { DURATION_PATTERN } from "../units.ts";
import type { Draft } from "../channel/message.ts";

export type { Draft, Format } from "../channel/message.ts";
export type { Static } from "@sinclair/typebox";

/** TypeBox's `Type`, which describes a plugin's options: `t.Object({ every: t.String() })`. */
export const t = Type;

/** A message after its commit. */
export interface CommittedMessage {
  /** Its position: `<epoch>-<offset>`. */
  readonly id: string;
  readonly channel: string;
  /** Milliseconds since the epoch (1970). */
  readonly time: number;
  readonly event: string | undefined;
  readonly key: string | undefined;
  /** Parsed JSON, a string, or a `Uint8Array`. Each sink has its own: it may be changed. */
  readonly data: unknown;
}

/** A subscriber or publisher. */
export interface Client {
  /** Unique in this process. */
  readonly id: string;
  /** How it is connected: `websocket`, `sse`, `long-poll`, `http2-push`, or `post`. */
  readonly transport: string;
  /** Its IP address, or an empty string on a unix socket. */
  readonly address: string;
  /** Headers of the request that opened the connection. */
  readonly headers: Headers;
  readonly query: URLSearchParams;
  /**
   * Answers this client alone. On a WebSocket a frame, on SSE an event without an id, on HTTP/2 push a
   * line of the held stream, to a POST its body. Long-poll holds no connection: nothing is sent.
   */
  send(data: unknown, options?: { event?: string }): void;
  /** Ends the connection; on a WebSocket with this code (4000 to 4999) and reason. */
  close(code?: number, reason?: string): void;
}

/** Somebody wants to subscribe to a channel, read its history, or publish to it. */
export interface AccessRequest {
  /** `subscribe` is every way to read: live, by polling, and history. */
  readonly action: "subscribe" | "publish";
  /** The channel's name: `chat/lobby`. */
  readonly channel: string;
  /** Values of the pattern's parameters. */
  readonly params: Readonly<Record<string, string>>;
  /** `websocket`, `sse`, `long-poll`, `http2-push`; `post` to publish, `history` to read a page of it. */
  readonly transport: string;
  /** Headers of the request; on a WebSocket of the one that opened it. */
  readonly headers: Headers;
  /** The cookies of the `Cookie` header (RFC 6265 §4.2.1), percent-decoded. */
  readonly cookies: ReadonlyMap<string, string>;
  readonly query: URLSearchParams;
  /** Claims of a token that the server itself has checked; null where there is none. */
  readonly claims: Readonly<Record<string, unknown>> | null;
  /** The `Origin` header: the page that asks; null where there is none. */
  readonly origin: string | null;
  /** IP address, or an empty string on a unix socket. */
  readonly address: string;
}

/**
 * What `authorize` says: `allow`, `deny`, or nothing, which leaves it to the next plugin. The reason of
 * `{ deny: "…" }` goes to the log, never to the client.
 */
export type Verdict = "allow" | "deny" | { readonly deny: string } | null | undefined | void;

/**
 * Keeps small JSON values of one plugin in one channel, over reloads and restarts. A key has 1 to 512
 * bytes, a value at most 64 KiB of JSON, and all together at most 1 MiB. All stores of a server together
 * have at most 1 GiB in a file, 256 MiB in memory: in a channel of a pattern, whose names clients choose,
 * set what need not stay with a `ttl`.
 *
 * What is called first is done first, awaited or not. A failure that nobody awaits is logged.
 */
export interface Store {
  /** @returns What was last set, or undefined; a value of its own at each call. */
  get<Value = unknown>(key: string): Promise<Value | undefined>;
  /**
   * Resolves when it is kept: the end of the process, `kill -9` included, does not undo it. When the
   * machine itself stops, the last moments may be lost.
   *
   * @param value JSON: not undefined, no NaN, function, bigint, Map, Set or bytes anywhere in it.
   * @param options.ttl A duration such as `10m`, after which it is gone.
   * @throws {Error} When the value is no JSON or too large, or the store is full or can't be written.
   */
  set(key: string, value: unknown, options?: { readonly ttl?: string }): Promise<void>;
  /** @returns Whether there was one. */
  delete(key: string): Promise<boolean>;
  /** What is there, in order of the keys (by their UTF-8 bytes). */
  entries<Value = unknown>(prefix?: string): Promise<[key: string, value: Value][]>;
}

/** A channel that a plugin publishes to, another than its own. */
export interface OtherChannel {
  /**
   * Publishes as the control listener does: through that channel's schema and plugins. A channel of a
   * pattern is opened for it.
   *
   * A message may pass a channel once: one that comes back to it is refused, with its way in the error.
   * The plugin's own channel counts as passed, whichever hook publishes.
   * What a hook begins belongs to its message, timers and promises included; what a queue of the
   * plugin's own carries from one hook to another does not.
   *
   * A failure that nobody awaits is logged as the plugin's, so `void channel("x").publish(…)` is fine.
   *
   * @returns The ids of what was committed, after the commit.
   * @throws {Error} When there is no such channel, it refuses a draft, or the message has passed that
   *   channel before, which is a loop. Its `code` is `unknown-channel`, `refused`, `loop`, `overloaded`,
   *   or `not-ready` while the server starts or stops, and when this plugin has ended.
   */
  publish(drafts: Emitted): Promise<readonly string[]>;
}

/** The channel that a plugin works in. Called with a name, it gives another one to publish to. */
export interface ChannelContext {
  (name: string): OtherChannel;
  /** The channel's name: `chat/lobby`. */
  readonly name: string;
  /** Values of the pattern's parameters: `{ room: "lobby" }`; empty for a static channel. */
  readonly params: Readonly<Record<string, string>>;
}

export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

export interface SetupContext<Options> {
  /** The options of this use, checked, with defaults filled in. */
  readonly options: Options;
  readonly channel: ChannelContext;
  /** Absolute path of the folder that the config file is in: relative paths in options start here. */
  readonly directory: string;
  readonly log: Logger;
  /** Small values that outlive this process. */
  readonly store: Store;
  /** Aborts when the channel closes or the server stops, before `close` is called. */
  readonly signal: AbortSignal;
  /**
   * Publishes later than a hook can: what a transform held back, what a callback brought. The drafts
   * enter the pipeline after this plugin's own transform (not before it, as those of `source` do) and
   * go through the plugins after it, in order with all others. Called within a hook, they come after
   * what the hook returns.
   *
   * A function is called when its turn comes: no draft is between this plugin and the commit then, so
   * it can take what the transform left, or give null when there is nothing any more. One that throws
   * is logged, as a transform's error is.
   *
   * @returns false when too many drafts wait, or when `close` of this plugin has ended: nothing is
   *   published then, and a function is not called.
   */
  emit(drafts: Emitted | (() => Emitted | null)): boolean;
}

/** What `emit` takes: one draft or several, which are committed together. */
export type Emitted = Draft | readonly Draft[];

type Awaitable<T> = T | Promise<T>;

/** What `setup` returns: any set of these. */
export interface Hooks {
  /**
   * Yields drafts until the signal aborts. One that throws is started again, after a delay that grows
   * from 100 ms to 30 s; one that returns is not.
   */
  source?(): AsyncIterable<Draft> | Iterable<Draft>;
  /**
   * Changes a draft, splits it (an array) or drops it (null). Sequential: plugins in config order.
   *
   * JSON that no transform changes goes out as its publisher wrote it, so a number of more digits than
   * JavaScript's keeps them: give back the draft, or one with the very same object as its `data`. A draft
   * with other data, one that is held back for `emit`, and an object that a `receive` hook gave are
   * written as `JSON.stringify` does.
   */
  transform?(draft: Draft): Awaitable<Draft | readonly Draft[] | null>;
  /**
   * A client's frame or POST. Sequential: the data of what one returns goes to the next plugin's `receive`,
   * the fields that it does not set stay as they were; the draft that is left is published. null (or
   * nothing) swallows it. Frames of one client stay in order. One that takes longer than 10 s fails:
   * the client is told, and what it gives later is not taken. To refuse what came, throw a
   * `RefusedError`.
   *
   * @param raw What came, letter by letter: the text that JSON `data` was parsed from, else `data` itself.
   *   A sender's signature is made over it.
   */
  receive?(data: unknown, client: Client, raw: string | Uint8Array): Awaitable<Draft | null | void>;
  /**
   * Decides whether a client may subscribe or publish. Plugins are asked in config order, up to the first
   * that allows or denies. Where a channel has this hook and none of its plugins allows, it is denied:
   * so is one that throws, or takes longer than 5 s. Asked once for each request; on a WebSocket once
   * for each channel and action that is allowed. A frame that was denied may be sent again, and is asked
   * for again; so is the next frame after the plugin was reloaded.
   */
  authorize?(request: AccessRequest): Awaitable<Verdict>;
  /**
   * A subscriber came. Not called for long-poll, which holds no connection, nor for one that left again
   * before its turn: a client's `joined` and `left` are called one after the other, each when the one
   * before has ended or taken 10 s, which counts as a failure.
   */
  joined?(client: Client): Awaitable<void>;
  /** A subscriber left. Not called for one that left before the turn of its `joined` had come. */
  left?(client: Client): Awaitable<void>;
  /**
   * Gets what was committed, in order, in batches; the next when the last is done. A batch that throws is
   * logged and not given again. What waits for a slow sink is bounded: the oldest is dropped and logged.
   */
  sink?(messages: readonly CommittedMessage[]): Awaitable<void>;
  /** Always runs, after the signal aborts, also when `setup` of a later plugin failed. */
  close?(): Awaitable<void>;
}

export interface Plugin<Options extends TObject = TObject> {
  /** Shown in errors and logs. */
  readonly name: string;
  /** The options that `with:` takes. Unknown keys are errors. */
  readonly options?: Options;
  /**
   * Tells what is wrong with options that fit the schema. Called for each use by `tidewire check`, and
   * before a server opens a listener; no I/O. `setup` is called with the same options later.
   *
   * @throws {OptionError} To point at one option; any other error is about the use as a whole.
   */
  check?(options: Static<Options>): void;
  /** Called once for each channel that uses it; for a pattern, when a channel comes to life. */
  setup(context: SetupContext<Static<Options>>): Awaitable<Hooks>;
}

/**
 * Declares a plugin; a plugin file default-exports what this returns.
 *
 * @example
 * ```ts
 * export default definePlugin({
 *   name: "shout",
 *   setup: () => ({
 *     transform: (draft) => ({ ...draft, data: String(draft.data).toUpperCase() }),
 *   }),
 * });
 * ```
 */
export function definePlugin<Options extends TObject>(plugin: Plugin<Options>): Plugin<Options> {
  return plugin;
}

/** Parses a duration such as `250ms`, `5s`, `10m`, `2h`, `1d` into milliseconds. */
export { parseDuration } from "../units.ts";

export { OptionError, type OptionPart } from "./option-error.ts";

export { RefusedError } from "./refused-error.ts";

/** A JSONata expression over a message, compiled once, with bounds on what it may use. */
export { compileExpression, ExpressionError, type Expression } from "./expression.ts";

/**
 * Describes an option that is a duration: a string such as `250ms`. `parseDuration` reads it.
 *
 * @example `t.Object({ every: duration({ default: "1s", description: "Time between two ticks." }) })`
 */
export function duration(options: StringOptions = {}): TString {
  return Type.String({
    ...options,
    pattern: DURATION_PATTERN,
    description: `${options.description ?? "A duration."} A number and a unit: ms, s, m, h or d.`,
    examples: ["250ms", "5s", "10m"],
  });
}
