/** A declared channel that is alive: the channel itself and the plugins that run for it. */
import { Channel } from "../channel/channel.ts";
import type { Params } from "../channel/directory.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Draft, Message } from "../channel/message.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { Line } from "../channel/line.ts";
import type { Terms } from "../channel/terms.ts";
import type { ChannelConfig } from "../config/config.ts";
import type { PluginRuntime } from "../plugin/runtime.ts";
import { CLOSE, RequestError } from "../transport/errors.ts";
import type { ChannelClient } from "./client.ts";
import type { Declared } from "./declared.ts";

/** What a channel becomes when it is declared anew. */
interface Become {
  readonly declared: Declared;
  readonly params: Params;
  readonly plugins: PluginRuntime;
}

export class LiveChannel {
  readonly channel: Channel;
  /** Settles when the plugins that were there before have ended; null when nothing is being replaced. */
  replacing: Promise<void> | null = null;
  #is: Become;
  /** Clients that hold a connection now. */
  readonly #clients = new Set<ChannelClient>();
  /** What the present plugins' `receive` hooks have not answered yet. */
  #receiving = new Set<Promise<unknown>>();
  /** Why there is no such channel any more; null as long as there is. */
  #gone: string | null = null;
  /** Held connections now, by transport. */
  readonly connections = new Map<string, number>();
  /** Connections that are held now. */
  held = 0;
  /** When somebody last came, went, asked or published; milliseconds since the epoch. */
  lastUsed: number = Date.now();
  /** An `authorize` hook let somebody in, or somebody published whom no hook is asked for. */
  #hasGuest = false;
  /** Publishes that hooks and transforms take their time over. */
  #underWay = 0;

  constructor(declared: Declared, params: Params, channel: Channel, plugins: PluginRuntime) {
    this.#is = { declared, params, plugins };
    this.channel = channel;
  }

  get declared(): Declared {
    return this.#is.declared;
  }

  get config(): ChannelConfig {
    return this.#is.declared.config;
  }

  get params(): Params {
    return this.#is.params;
  }

  get plugins(): PluginRuntime {
    return this.#is.plugins;
  }

  get name(): string {
    return this.channel.name;
  }

  /**
   * Nobody is connected, and nobody used it for as long as its history is kept. What its own plugins
   * publish does not count: a source would keep every channel that was ever asked for alive. Nor is one idle
   * whose state would be lost with it: that is kept however old it is.
   *
   * @param isDurable Its history outlives it.
   */
  isIdle(now: number, isDurable: boolean): boolean {
    if (!isDurable && this.#hasState) return false;
    return this.#isUnused && now - this.lastUsed > this.config.history.ttlMs;
  }

  /**
   * Nobody is connected, and nothing was published: letting go of it loses no message. Nor where all who
   * asked for it were denied, whatever its own source published to nobody.
   *
   * @param isDurable Its history outlives it: then letting go loses none in any case.
   */
  isSpare(isDurable: boolean): boolean {
    if (!this.#isUnused) return false;
    if (isDurable) return true;
    const isUnseen = this.plugins.authorize !== null && !this.#hasGuest;
    return isUnseen || this.channel.published === 0;
  }

  /** A client may use it. */
  letIn(): void {
    this.#hasGuest = true;
  }

  get #hasState(): boolean {
    const { log } = this.channel;
    return log.keepsState && (log.stat().state?.keys ?? 0) > 0;
  }

  get #isUnused(): boolean {
    return this.held === 0 && this.#underWay === 0;
  }

  /**
   * The channel is declared in another way from here on. New plugins are told of the clients that are
   * there; the old ones are told nothing.
   *
   * @returns What the old plugins' `receive` hooks have not answered yet.
   */
  become(is: Become): ReadonlySet<Promise<unknown>> {
    const { plugins } = this.#is;
    this.#is = is;
    if (is.plugins === plugins) return new Set();
    const before = this.#receiving;
    this.#receiving = new Set();
    for (const client of this.#clients) if (isPresent(client)) is.plugins.joined(client);
    return before;
  }

  /** The channel is no more: ends what clients have of it, now and later, and tells them why. */
  end(reason: string): void {
    this.#gone = reason;
    for (const client of [...this.#clients]) client.gone(reason);
  }

  /** A client came (1) or went (-1). */
  connected(client: ChannelClient, change: 1 | -1): void {
    const { transport } = client;
    this.connections.set(transport, (this.connections.get(transport) ?? 0) + change);
    this.held += change;
    this.lastUsed = Date.now();
    if (change === 1) this.#clients.add(client);
    else this.#clients.delete(client);
    if (this.#gone !== null) {
      // It was on its way when the channel went.
      if (change === 1) client.gone(this.#gone);
    } else if (isPresent(client)) {
      if (change === 1) this.plugins.joined(client);
      else this.plugins.left(client);
    }
  }

  /**
   * Takes what a client sent: through the `receive` hooks where there are any, else to be published
   * where the channel lets clients publish. All or none.
   *
   * @param terms What holds for the commit, also where nothing is left to be published.
   * @returns What was committed.
   * @throws {RequestError} 403 when this channel takes nothing from clients, or not from this one.
   */
  submit(
    drafts: readonly IncomingDraft[],
    client: ChannelClient,
    terms?: Terms,
  ): MaybePromise<readonly Message[]> {
    this.checkPublish();
    const asked = client.mayPublish();
    return asked instanceof Promise
      ? this.#working(asked.then(() => this.#take(drafts, client, terms)))
      : this.#take(drafts, client, terms);
  }

  /** @throws {RequestError} 403 when this channel takes nothing from clients, whoever they are. */
  checkPublish(): void {
    checkPublish(this.config, this.name, this.plugins);
  }

  #take(
    drafts: readonly IncomingDraft[],
    client: ChannelClient,
    terms: Terms | undefined,
  ): MaybePromise<readonly Message[]> {
    if (this.plugins.receive === null) return this.publish(drafts, terms);
    const receiving = this.#receive(drafts, client, this.plugins, this.channel.line, terms);
    const all = this.#receiving;
    const ended = () => all.delete(receiving);
    all.add(receiving);
    receiving.then(ended, ended);
    return this.#working(receiving);
  }

  /** Publishes whatever clients may: schema and transforms, then the commit. */
  publish(drafts: readonly IncomingDraft[], terms?: Terms): MaybePromise<readonly Message[]> {
    this.#hasGuest = true;
    return this.#working(this.channel.publish(drafts, terms));
  }

  /** Resolves when no message is in a transform or waits for a sink. */
  async quiet(): Promise<void> {
    await this.channel.idle();
    await this.plugins.drained();
  }

  /** What takes its time keeps the channel alive: nobody is to be answered for a channel that is gone. */
  #working<T>(work: MaybePromise<T>): MaybePromise<T> {
    if (!(work instanceof Promise)) return work;
    this.#underWay++;
    // Before anybody else hears of it; not `finally`, which makes three more promises for each publish.
    work.then(this.#worked, this.#worked);
    return work;
  }

  readonly #worked = (): void => {
    this.#underWay--;
    this.lastUsed = Date.now();
  };

  async #receive(
    drafts: readonly IncomingDraft[],
    client: ChannelClient,
    { receive }: PluginRuntime,
    line: Line,
    terms: Terms | undefined,
  ): Promise<readonly Message[]> {
    const taken: IncomingDraft[] = [];
    for (const draft of drafts) {
      const received = await receive!(draft.data, client, draft.raw);
      if (received !== null) taken.push(merge(draft, received));
    }
    return taken.length === 0 && !terms ? [] : line.publish(taken, terms);
  }
}

/**
 * @param plugins Null where the channel has none.
 * @throws {RequestError} 403 when no client may publish to this channel.
 */
export function checkPublish(
  { publish }: ChannelConfig,
  name: string,
  plugins: Pick<PluginRuntime, "receive" | "authorize"> | null,
): void {
  if (publish === "clients") return;
  // Where the hook is missing nobody is allowed, not even to reach `receive`.
  if (publish === "authorized" && plugins && plugins.authorize !== null) return;
  if (publish === "nobody" && plugins && plugins.receive !== null) return;
  throw new RequestError(
    403,
    "publish-not-allowed",
    `channel "${name}" takes no messages from clients; its config may say "publish: clients", or publish through the control listener`,
    { closeCode: CLOSE.forbidden },
  );
}

/** A long-poll client is between two requests most of the time: it does not come and go each time. */
function isPresent({ transport }: ChannelClient): boolean {
  return transport !== "long-poll";
}

/** The draft that the hooks gave back, with what they left as it came. */
function merge(draft: IncomingDraft, received: Draft): IncomingDraft {
  // The very string or number that came is JSON or text, as it came. An object may have been changed
  // in place, so its text is written anew.
  const isAsItCame = received.data === draft.data && typeof draft.data !== "object";
  if (isAsItCame) return { ...draft, ...received };
  const { event, key } = draft;
  return { event, key, ...received };
}
