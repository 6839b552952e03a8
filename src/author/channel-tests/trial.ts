/** The channels of a config for one test: real ones, on a broker of their own, with nobody listening. */
import type { Broker } from "../../broker/broker.ts";
import { MemoryBroker } from "../../broker/memory.ts";
import { MemoryValues } from "../../broker/memory-values.ts";
import type { CommitListener } from "../../channel/channel.ts";
import type { Message } from "../../channel/message.ts";
import type { ChannelTest, Sender } from "../../config/tests.ts";
import type { Config } from "../../config/config.ts";
import type { Log } from "../../log.ts";
import type { LoadedPlugin } from "../../plugin/load.ts";
import { Admission } from "../../server/admission.ts";
import { Channels } from "../../server/channels.ts";
import { ChannelClient, ConnectionCount, type ClientContext } from "../../server/client.ts";
import type { LiveChannel } from "../../server/live-channel.ts";
import type { Progress } from "../harness/progress.ts";
import type { Time } from "../harness/time.ts";
import { Watch, watchPlugin } from "../harness/watched-plugin.ts";
import type { Seen } from "./compare.ts";
import { quietPlugin } from "./quiet-plugin.ts";

export interface TrialOptions {
  readonly config: Config;
  readonly plugins: ReadonlyMap<string, LoadedPlugin>;
  readonly test: Pick<ChannelTest, "sources" | "sinks">;
  readonly log: Log;
  readonly time: Time;
  readonly progress: Progress;
}

export class Trial {
  /** All that was committed, in every channel, in order. */
  readonly seen: Seen[] = [];
  readonly #channels: Channels;
  readonly #progress: Progress;
  readonly #context: ClientContext;
  readonly #watch = new Watch();
  readonly #values = new MemoryValues();
  readonly #clients = new Map<string, ChannelClient>();

  constructor({ config, plugins, test, log, time, progress }: TrialOptions) {
    const quiet = new Set([...(test.sources ? [] : ["source"]), ...(test.sinks ? [] : ["sink"])]);
    this.#progress = progress;
    this.#watch.let(() => true);
    this.#channels = new Channels({
      config,
      plugins: new Map(
        Array.from(plugins, ([use, loaded]) => {
          const plugin = watchPlugin(quietPlugin(loaded.plugin, quiet), this.#watch);
          return [use, { ...loaded, plugin }];
        }),
      ),
      broker: this.#listenIn(),
      values: this.#values,
      log,
      trial: time.clock,
    });
    const connections = new ConnectionCount(Infinity);
    const admission = new Admission({ channels: this.#channels, connections, limit: Infinity });
    this.#context = { connections, admission, log };
  }

  /** Brings a channel to life. */
  async open(name: string): Promise<LiveChannel> {
    await this.#channels.start();
    const match = this.#channels.matchName(name)!;
    return this.of(async () => this.#channels.open(match), "its plugins do not start");
  }

  /** Waits for work, letting time pass as far as it has to, and for what it sets going by itself. */
  async of<T>(work: () => Promise<T>, what: string): Promise<T> {
    const stuck = (why: string) => new Error(`${what}: ${why}`);
    try {
      return await this.#progress.of(work(), { stuck });
    } finally {
      const isIdle = () => this.#watch.busy === 0;
      await this.#progress.until(isIdle, {
        stuck: (why) => new Error(`a hook does not end: ${why}`),
      });
      await this.#progress.quiet();
    }
  }

  /** The client of these headers and so on: the same each time. */
  client(live: LiveChannel, from: Sender): ChannelClient {
    const key = JSON.stringify(from);
    let client = this.#clients.get(key);
    if (!client) {
      const peer = {
        id: `client-${this.#clients.size + 1}`,
        address: from.address,
        headers: new Headers(from.headers),
        query: new URLSearchParams(from.query),
        allowed: null,
      };
      client = new ChannelClient(live, peer, from.transport, this.#context);
      this.#clients.set(key, client);
    }
    return client;
  }

  /** Ends the channels and their plugins. Never throws. */
  async close(): Promise<void> {
    const stuck = (why: string) => new Error(`the channels do not end: ${why}`);
    const closing = this.#channels.close();
    // What does not end by itself is ended by the runtime's own limits.
    await this.#progress.of(closing, { stuck, restarts: true }).catch(() => {});
    await this.#values.close();
  }

  #listenIn(): Broker {
    const broker = new MemoryBroker();
    // Its timer, which lets go of what is old, would be one more that held time has to run.
    void broker.close();
    return {
      name: broker.name,
      isDurable: broker.isDurable,
      open: (channel, retention, onCommit) => {
        const listener: CommitListener = (batch) => {
          this.seen.push(...batch.map(toSeen));
          onCommit(batch);
        };
        return broker.open(channel, retention, listener);
      },
      close: () => broker.close(),
    };
  }
}

function toSeen({ channel, event, key, format, text, bytes }: Message): Seen {
  const data: unknown = format === "bytes" ? bytes : format === "text" ? text : JSON.parse(text);
  return { channel, event, key, data };
}
