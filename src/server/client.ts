/** One client of one channel: what transports, hooks and limits know of it. */
import type { MaybePromise } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import { sealDraft } from "../channel/message.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { Log } from "../log.ts";
import type {
  Access,
  ClientWays,
  Submitted,
  SubmitTerms,
  Subscriber,
  SubscriberWays,
} from "../transport/transport.ts";
import type { Admission } from "./admission.ts";
import type { ConnectionCount } from "./connection-count.ts";
import { checkPosition } from "./expect-position.ts";
import { idsOf, type Idempotency } from "./idempotency.ts";
import { checkIdempotencyKey, fingerprintOf, keyOfClient } from "./idempotency-key.ts";
import type { LiveChannel } from "./live-channel.ts";
import type { Peer } from "./peer.ts";
import { toRequestError } from "./problem.ts";
import type { PublishRate } from "./publish-rate.ts";

export { ConnectionCount } from "./connection-count.ts";
export type { Peer } from "./peer.ts";

/** What every client of a server shares. */
export interface ClientContext {
  /** Where a client's connection is counted. */
  readonly connections: Pick<ConnectionCount, "hold" | "release">;
  readonly admission: Admission;
  /** How fast clients may publish; where it is left out, as fast as they like. */
  readonly publishRate?: PublishRate;
  /** What is known of publishes that have a key; where it is left out, keys mean nothing. */
  readonly idempotency?: Idempotency;
  readonly log: Log;
}

/** A client's access to a channel; it is the plugin's `Client` too. */
export class ChannelClient implements Access, Subscriber {
  readonly live: LiveChannel;
  readonly transport: string;
  readonly #peer: Peer;
  readonly #context: ClientContext;
  #ways: ClientWays | SubscriberWays | null = null;

  constructor(live: LiveChannel, peer: Peer, transport: string, context: ClientContext) {
    this.live = live;
    this.transport = transport;
    this.#peer = peer;
    this.#context = context;
  }

  get id(): string {
    return this.#peer.id;
  }
  get address(): string {
    return this.#peer.address;
  }
  get headers(): Headers {
    return this.#peer.headers;
  }
  get query(): URLSearchParams {
    return this.#peer.query;
  }
  get channel() {
    return this.live.channel;
  }
  get subscriber(): Subscriber {
    return this;
  }

  /** @throws {InvalidDraftError} When the event's name is one that could not be published either. */
  send(data: unknown, options?: { event?: string }): void {
    // A name with a line end would let whoever chose it write an event stream's fields.
    const { event } = sealDraft({ data: "", event: options?.event }, 0);
    this.#ways?.send(data, event);
  }

  close(code: number = 1000, reason: string = ""): void {
    this.#ways?.close(code, reason);
  }

  /** Lets `send` and `close` reach a client that publishes and holds no subscription. */
  answerBy(ways: ClientWays): void {
    this.#ways = ways;
  }

  /** The answer is out: what a hook sends from here on goes nowhere. */
  answered(): void {
    this.#ways = null;
  }

  /**
   * Asks the `authorize` hooks whether it may publish, where they have not allowed it yet.
   *
   * @throws {RequestError} 403 when it may not.
   */
  mayPublish(): MaybePromise<void> {
    if (this.live.plugins.authorize === null) return;
    const { transport } = this;
    const visit = { peer: this.#peer, action: "publish", transport, isNew: false } as const;
    return this.#context.admission.ask(this.live, visit);
  }

  get takesAtOnce(): boolean {
    const { plugins, channel } = this.live;
    if (plugins.receive !== null || !channel.line.isDirect) return false;
    // With a verdict that is still to come it would be overtaken.
    return this.#context.admission.hasAllowed(this.live, this.#peer, "publish");
  }

  /** The channel is no more: ends what this client has of it. */
  gone(reason: string): void {
    if (this.#ways && "gone" in this.#ways) this.#ways.gone(reason);
  }

  connect(ways: SubscriberWays): void {
    this.#ways = ways;
    if (this.#isCounted) this.#context.connections.hold(this.#peer);
    this.live.connected(this, 1);
  }

  disconnect(): void {
    if (this.#isCounted) this.#context.connections.release(this.#peer);
    this.live.connected(this, -1);
    this.#ways = null;
  }

  /** @throws {RequestError} Whatever went wrong, as this client is told of it. */
  submit(draft: IncomingDraft, terms?: SubmitTerms): MaybePromise<Submitted> {
    try {
      const { publishRate } = this.#context;
      publishRate?.take((this.#peer.allowance ??= { fullAt: 0 }), 1);
      if (terms) return this.#submitOn(draft, terms).catch((error) => this.#refuse(error));
      const messages = this.live.submit([draft], this);
      return messages instanceof Promise
        ? messages.then(submitted, (error) => this.#refuse(error))
        : submitted(messages);
    } catch (error) {
      return this.#refuse(error);
    }
  }

  async #submitOn(draft: IncomingDraft, terms: SubmitTerms): Promise<Submitted> {
    const { idempotency } = this.#context;
    const expect = terms.expect === undefined ? undefined : checkPosition(terms.expect, "expect");
    if (terms.idempotency === undefined || !idempotency) {
      return submitted(await this.live.submit([draft], this, { expect }));
    }
    const asked = checkIdempotencyKey(terms.idempotency, "idempotency is not a usable key");
    // Who may not publish learns nothing of what others did.
    this.live.checkPublish();
    await this.mayPublish();
    const { data } = draft;
    const isText = typeof data === "string";
    return idempotency.run<Submitted>(this.live, {
      key: keyOfClient(this.headers, asked),
      // As a POST of the same data has it: a client may fall back to one.
      fingerprint: fingerprintOf(
        isText ? "text" : "json",
        draft,
        isText ? data : JSON.stringify(data),
      ),
      note: () => "",
      publish: async (receipt) =>
        submitted(await this.live.submit([draft], this, { expect, receipt })),
      again: (kept) => ({ id: idsOf(kept).at(-1) ?? null, isReplay: true }),
    });
  }

  /** The listener counts its sockets itself: one may subscribe to many channels, or to none. */
  get #isCounted(): boolean {
    return this.transport !== "websocket";
  }

  #refuse(error: unknown): never {
    throw toRequestError(error, this.#context.log);
  }
}

function submitted(messages: readonly Message[]): Submitted {
  return { id: messages[messages.length - 1]?.id ?? null, isReplay: false };
}
