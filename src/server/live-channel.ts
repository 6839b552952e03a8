/** A declared channel that is alive: the channel itself and the plugins that run for it. */
import { Channel } from "../channel/channel.ts";
import type { Params } from "../channel/directory.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Draft, Message } from "../channel/message.ts";
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { ChannelConfig } from "../config/config.ts";
import type { PluginRuntime } from "../plugin/runtime.ts";
import { CLOSE, RequestError } from "../transport/errors.ts";
import type { ChannelClient } from "./client.ts";

export class LiveChannel {
  readonly config: ChannelConfig;
  readonly params: Params;
  readonly channel: Channel;
  readonly plugins: PluginRuntime;
  /** Held connections now, by transport. */
  readonly connections = new Map<string, number>();
  /** Connections that are held now. */
  held = 0;
  /** When somebody last came, went, asked or published; milliseconds since the epoch. */
  lastUsed: number = Date.now();
  /** Publishes that hooks and transforms take their time over. */
  #underWay = 0;

  constructor(config: ChannelConfig, params: Params, channel: Channel, plugins: PluginRuntime) {
    this.config = config;
    this.params = params;
    this.channel = channel;
    this.plugins = plugins;
  }

  get name(): string {
    return this.channel.name;
  }

  /**
   * Nobody is connected, and nobody used it for as long as its history is kept. What its own plugins
   * publish does not count: a source would keep every channel that was ever asked for alive.
   */
  isIdle(now: number): boolean {
    return this.#isUnused && now - this.lastUsed > this.config.history.ttlMs;
  }

  /** Nobody is connected, and nothing was published: letting go of it loses no message. */
  get isSpare(): boolean {
    return this.#isUnused && this.channel.published === 0;
  }

  get #isUnused(): boolean {
    return this.held === 0 && this.#underWay === 0;
  }

  /** A client came (1) or went (-1). */
  connected(client: ChannelClient, change: 1 | -1): void {
    const { transport } = client;
    this.connections.set(transport, (this.connections.get(transport) ?? 0) + change);
    this.held += change;
    this.lastUsed = Date.now();
    // A long-poll client is between two requests most of the time: it does not come and go each time.
    if (transport === "long-poll") return;
    if (change === 1) this.plugins.joined(client);
    else this.plugins.left(client);
  }

  /**
   * Takes what a client sent: through the `receive` hooks where there are any, else to be published
   * where the channel lets clients publish. All or none.
   *
   * @returns What was committed.
   * @throws {RequestError} 403 when this channel takes nothing from clients.
   */
  submit(
    drafts: readonly IncomingDraft[],
    client: ChannelClient,
  ): MaybePromise<readonly Message[]> {
    if (this.plugins.receive !== null) return this.#working(this.#receive(drafts, client));
    checkPublish(this.config, this.name);
    return this.publish(drafts);
  }

  /** Publishes whatever clients may: schema and transforms, then the commit. */
  publish(drafts: readonly IncomingDraft[]): MaybePromise<readonly Message[]> {
    return this.#working(this.channel.publish(drafts));
  }

  /** What takes its time keeps the channel alive: nobody is to be answered for a channel that is gone. */
  #working<T>(work: MaybePromise<T>): MaybePromise<T> {
    if (!(work instanceof Promise)) return work;
    this.#underWay++;
    return work.finally(() => {
      this.#underWay--;
      this.lastUsed = Date.now();
    });
  }

  async #receive(
    drafts: readonly IncomingDraft[],
    client: ChannelClient,
  ): Promise<readonly Message[]> {
    const taken: IncomingDraft[] = [];
    for (const draft of drafts) {
      const received = await this.plugins.receive!(draft.data, client);
      if (received !== null) taken.push(merge(draft, received));
    }
    return taken.length === 0 ? [] : this.channel.publish(taken);
  }
}

/** @throws {RequestError} 403 when the config lets no client publish to this channel. */
export function checkPublish({ publish }: ChannelConfig, name: string): void {
  if (publish === "clients") return;
  throw new RequestError(
    403,
    "publish-not-allowed",
    `channel "${name}" takes no messages from clients; its config may say "publish: clients", or publish through the control listener`,
    { closeCode: CLOSE.forbidden },
  );
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
