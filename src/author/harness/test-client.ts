/** A client that a test plays. */
import type { ChannelClient } from "../../server/client.ts";
import { fromCaller } from "./call-site.ts";
import type { Sent } from "./sent.ts";

/** How a client is connected, and what it showed when it came. */
export interface ClientOptions {
  /** `websocket` (the default), `sse`, `long-poll`, `http2-push`, or `post`. */
  readonly transport?: string;
  readonly headers?: Headers | Record<string, string> | [string, string][];
  /** `room=1&since=2`, or as an object. */
  readonly query?: string | Readonly<Record<string, string>> | URLSearchParams;
  /** IP address. Default: `127.0.0.1`. */
  readonly address?: string;
}

/** What `client.send` of a hook gave to one client. */
export interface Answer {
  readonly data: unknown;
  readonly event?: string;
}

/** What a client sent. */
export interface Frame {
  readonly data: unknown;
  /** The JSON text, where it is JSON. */
  readonly raw: string | undefined;
  readonly event: string | undefined;
}

/**
 * What the channel does for a client.
 *
 * @internal
 */
export interface ClientActions {
  send(client: ChannelClient, frame: Frame): Promise<Sent[]>;
  join(connect: () => void, client: ChannelClient): Promise<void>;
  leave(disconnect: () => void): Promise<void>;
}

/**
 * A client that a test plays, made by `plugin.client()`. It is connected when it is made; `joined` and
 * `left` are called when it joins and leaves.
 *
 * @example
 * ```ts
 * const client = plugin.client({ headers: { cookie: "user=ada" } });
 * await client.send({ text: "hi" });
 * expect(client.received).toEqual(["welcome"]);
 * ```
 */
export class TestClient {
  /** What hooks sent to this client alone, oldest first. What is published is in `plugin.published`. */
  readonly received: unknown[] = [];
  /** The same with their event names. */
  readonly answers: Answer[] = [];
  readonly #client: ChannelClient;
  readonly #actions: ClientActions;
  #closed: { readonly code: number; readonly reason: string } | null = null;
  #isJoined = false;

  /** @internal */
  constructor(client: ChannelClient, actions: ClientActions) {
    this.#client = client;
    this.#actions = actions;
    client.answerBy(this.#ways);
  }

  /** As the hooks see it. */
  get id(): string {
    return this.#client.id;
  }

  /** Why a hook ended this connection; null while it stands. */
  get closed(): { readonly code: number; readonly reason: string } | null {
    return this.#closed;
  }

  /**
   * Sends a frame, or POSTs: an object is JSON, a string is text, a `Uint8Array` is bytes.
   *
   * @returns What was published by it, after all plugins.
   * @throws What a hook threw, or a `RefusedError` as the server turns it into an answer.
   * @example `expect(await client.send({ text: "hi" })).toEqual([{ data: { text: "hi", from: "ada" } }]);`
   */
  async send(data: unknown, options: { readonly event?: string } = {}): Promise<Sent[]> {
    const isJson = typeof data !== "string" && !(data instanceof Uint8Array);
    const raw = isJson ? JSON.stringify(data) : undefined;
    return fromCaller(this.send, () => this.#send(data, raw, options.event));
  }

  /**
   * Sends JSON as it is written, such as a body that somebody signed.
   *
   * @example `await client.sendJson('{"amount": 1.50}');`
   */
  async sendJson(text: string, options: { readonly event?: string } = {}): Promise<Sent[]> {
    return this.#send(JSON.parse(text), text, options.event);
  }

  /**
   * Subscribes: `joined` is called. Returns when it has ended.
   *
   * @throws {Error} When `authorize` denies it.
   */
  async join(): Promise<void> {
    this.#check();
    if (this.#isJoined) return;
    const connect = () => {
      this.#isJoined = true;
      this.#client.connect(this.#ways);
    };
    await fromCaller(this.join, () => this.#actions.join(connect, this.#client));
  }

  /** Goes away: `left` is called if it had joined. Returns when it has ended. */
  async leave(): Promise<void> {
    await fromCaller(this.leave, () => this.#actions.leave(() => this.#disconnect()));
  }

  async #send(data: unknown, raw: string | undefined, event: string | undefined): Promise<Sent[]> {
    this.#check();
    return this.#actions.send(this.#client, { data, raw, event });
  }

  readonly #ways = {
    send: (data: unknown, event?: string) => {
      // A copy, as the wire makes one: what the hook does to it later is not seen here.
      const copy = structuredClone(data);
      this.received.push(copy);
      this.answers.push({ data: copy, ...(event !== undefined && { event }) });
    },
    close: (code: number, reason: string) => {
      this.#closed ??= { code, reason };
      this.#disconnect();
    },
    // A channel on a stage is never taken out of a config.
    gone: () => this.#disconnect(),
  };

  #disconnect(): void {
    if (!this.#isJoined) return;
    this.#isJoined = false;
    this.#client.disconnect();
  }

  #check(): void {
    if (!this.#closed) return;
    const { code, reason } = this.#closed;
    throw new Error(`this client was closed by a hook, with code ${code}: "${reason}"`);
  }
}
