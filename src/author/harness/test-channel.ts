/** A channel with its plugins at work, as a test drives it: what authors read in their editor. */
import type { Draft } from "../../channel/message.ts";
import { PluginError } from "../../plugin/errors.ts";
import type { CommittedMessage, Emitted, Store } from "../../plugin/sdk.ts";
import { parseDuration } from "../../units.ts";
import { fromCaller } from "./call-site.ts";
import { createClient, peerOf } from "./create-client.ts";
import type { LogLine } from "./recorded-log.ts";
import { toCommitted, toSent, type Sent } from "./sent.ts";
import { StageCalls } from "./stage-calls.ts";
import type { Stage } from "./stage.ts";
import type { ClientOptions, TestClient } from "./test-client.ts";

/** What a test asks of `authorize`. */
export interface AuthorizeOptions extends ClientOptions {
  /** Default: `subscribe`. */
  readonly action?: "subscribe" | "publish";
}

/** The clock that the plugin sees. */
export interface TestClock {
  /** Milliseconds since the epoch (1970), as `Date.now()` tells them. */
  readonly now: number;
  /**
   * Lets time pass: timers run, the source goes on.
   *
   * @param duration `5s`, or milliseconds.
   * @returns What was published meanwhile.
   * @throws {PluginError} What a hook threw meanwhile.
   * @example `expect(await plugin.clock.advance("3s")).toHaveLength(3);`
   */
  advance(duration: string | number): Promise<Sent[]>;
}

/** One plugin, or several in a row, at work in a channel of a test. Made by `start` and `startChannel`. */
export class TestChannel implements AsyncDisposable {
  /** The time that the plugin sees. */
  readonly clock: TestClock;
  readonly #stage: Stage;
  readonly #endStage: () => Promise<void>;
  readonly #calls: StageCalls;
  #closing: Promise<void> | null = null;

  /** @internal */
  constructor(stage: Stage, end: () => Promise<void>) {
    this.#stage = stage;
    this.#calls = new StageCalls(stage);
    this.#endStage = end;
    const advance = (duration: string | number) =>
      fromCaller(advance, () => this.#advance(duration));
    this.clock = {
      advance,
      get now() {
        return Date.now();
      },
    };
  }

  /** The channel's name. */
  get name(): string {
    return this.#stage.live.name;
  }

  /**
   * Everything that was published in the channel, oldest first, as a sink would get it.
   *
   * @example `expect(plugin.published.map(({ data }) => data)).toEqual([1, 2]);`
   */
  get published(): readonly CommittedMessage[] {
    return this.#stage.messages.map(toCommitted);
  }

  /** What `sink` hooks were given, oldest first. */
  get sunk(): readonly CommittedMessage[] {
    return this.#stage.watches.flatMap(({ sunk }) => sunk);
  }

  /** Lines that the plugin has logged, and those of the runtime about it. */
  get log(): readonly LogLine[] {
    return this.#stage.lines;
  }

  /** What hooks threw, oldest first. Each is thrown by the call during which it happened, too. */
  get errors(): readonly PluginError[] {
    return this.#calls.hear();
  }

  /**
   * What the plugin keeps: its `store`. With several plugins, that of the first.
   *
   * @example `expect(await plugin.store.get("last")).toBe(3);`
   */
  get store(): Store {
    return this.#stage.store;
  }

  /**
   * What the plugin published to another channel by `channel(name).publish`, oldest first.
   *
   * @example `expect(plugin.publishedTo("alerts")).toEqual([{ data: "too hot" }]);`
   */
  publishedTo(channel: string): readonly Sent[] {
    return (this.#stage.elsewhere.get(channel) ?? []).map(toSent);
  }

  /**
   * Publishes drafts, as your app would through the control listener: through all transforms, in order.
   * The clock goes on as far as hooks wait for it; the source stands still.
   *
   * @returns What came out: nothing when it was dropped, more where it was split, and what `emit` added.
   * @throws {PluginError} What a transform or a sink threw.
   * @example `expect(await plugin.feed({ data: 1.26 })).toEqual([{ data: 1.3 }]);`
   */
  async feed(drafts: Emitted): Promise<Sent[]> {
    return fromCaller(this.feed, () => this.#feed(drafts));
  }

  async #feed(drafts: Emitted): Promise<Sent[]> {
    const { live } = this.#open("feed");
    return this.#calls.during(async () => {
      const list = isList(drafts) ? drafts : [drafts];
      await this.#calls.wait(live.publish(list), "feed: a transform does not end");
    });
  }

  /**
   * Commits drafts as they are, past all transforms, and waits until the sinks have taken them.
   *
   * @returns The messages that the sinks were given.
   * @throws {PluginError} What a sink threw.
   * @throws {Error} When no plugin has a sink.
   * @example `await plugin.commit([{ data: 1 }, { data: 2 }]);`
   */
  async commit(drafts: Emitted): Promise<readonly CommittedMessage[]> {
    return fromCaller(this.commit, () => this.#commit(drafts));
  }

  async #commit(drafts: Emitted): Promise<readonly CommittedMessage[]> {
    const { live } = this.#open("commit");
    this.#calls.need("sink");
    const from = this.#stage.messages.length;
    await this.#calls.during(async () => {
      const produce = () => drafts as Draft | readonly Draft[];
      const committed = live.channel.inject(produce, live.plugins.transforms.length);
      await this.#calls.wait(committed, "commit: a transform does not end");
    });
    return this.published.slice(from);
  }

  /**
   * Runs the source until this many messages have come out of the channel, and lets it stand still again.
   * The clock goes from timer to timer meanwhile, so nothing is waited for; it stands still, for up to a
   * second, while a `fetch` is under way.
   *
   * @param options.restarts Whether a source that throws is started again, as it is by a server, rather
   *   than its error thrown.
   * @returns The next messages that no call has returned yet.
   * @throws {PluginError} What the source, or another hook, threw.
   * @throws {Error} When the source ends, or nothing more comes from it; it says how many came.
   * @example `expect(await plugin.take(2)).toEqual([{ data: "00:00:01" }, { data: "00:00:02" }]);`
   */
  async take(count: number, options: { readonly restarts?: boolean } = {}): Promise<Sent[]> {
    return fromCaller(this.take, async () => {
      this.#open("take");
      this.#calls.need("source");
      return this.#calls.take(count, options.restarts ?? false);
    });
  }

  /**
   * A client of this channel, which the test plays.
   *
   * @example
   * ```ts
   * const client = plugin.client({ transport: "sse", query: "user=ada" });
   * await client.join();
   * ```
   */
  client(options: ClientOptions = {}): TestClient {
    return createClient(this.#open("client").live, options, {
      send: async (client, { data, raw, event }) => {
        const { live } = this.#open("client.send");
        if (!live.plugins.receive && live.config.publish === "nobody") this.#calls.need("receive");
        return this.#calls.during(async () => {
          const draft = { data, raw, ...(event !== undefined && { event }) };
          await this.#calls.wait(live.submit([draft], client), "client.send: a hook does not end");
        });
      },
      join: async (connect, client) => {
        this.#open("client.join");
        await this.#calls.admit(client);
        await this.#calls.during(connect);
      },
      leave: async (disconnect) => void (await this.#calls.during(disconnect)),
    });
  }

  /**
   * Asks whether a client may subscribe or publish, as the server asks: plugin by plugin.
   *
   * @returns `allow`, or why not.
   * @throws {PluginError} What `authorize` threw; the server denies then.
   * @throws {Error} When no plugin has the hook.
   * @example
   * ```ts
   * expect(await plugin.authorize({ headers: { cookie: "session=ada" } })).toBe("allow");
   * expect(await plugin.authorize()).toEqual({ deny: "no session" });
   * ```
   */
  async authorize(options: AuthorizeOptions = {}): Promise<"allow" | { readonly deny: string }> {
    return fromCaller(this.authorize, async () => {
      this.#open("authorize");
      this.#calls.need("authorize");
      const { action = "subscribe", ...client } = options;
      return this.#calls.ask(action, peerOf(client));
    });
  }

  /**
   * Ends the channel as a server does: `signal` aborts, `close` runs. Done by `await using` too, which
   * leaves what was thrown then to the end of the test.
   *
   * @throws {PluginError} What a hook threw that no call has thrown before.
   */
  async close(): Promise<void> {
    return fromCaller(this.close, async () => {
      await this.#end();
      this.#calls.throwFailure();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  /** @internal For the end of a test. */
  static unheardOf(channel: TestChannel): readonly PluginError[] {
    return channel.#calls.unheard;
  }

  async #advance(duration: string | number): Promise<Sent[]> {
    this.#open("clock.advance");
    const ms = typeof duration === "number" ? duration : parseDuration(duration);
    if (!(ms >= 0))
      throw new RangeError(`clock.advance was given ${duration}; time does not go back`);
    return this.#calls.advance(ms);
  }

  async #end(): Promise<void> {
    await (this.#closing ??= this.#endStage());
  }

  #open(call: string): Stage {
    if (this.#closing) throw new Error(`${call}: the channel of this test is closed`);
    return this.#stage;
  }
}

function isList(drafts: Emitted): drafts is readonly Draft[] {
  return Array.isArray(drafts);
}
