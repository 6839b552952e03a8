/** All declared channels: finds them by path or name, brings them to life, and lets go of idle ones. */
import { dirname } from "node:path";
import type { Broker } from "../broker/broker.ts";
import { Channel } from "../channel/channel.ts";
import { Directory, formatName, type Match, type Params } from "../channel/directory.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { ChannelConfig, Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { LoadedPlugin } from "../plugin/load.ts";
import { startPlugins } from "../plugin/runtime.ts";
import { CLOSE, RequestError } from "../transport/errors.ts";
import { LiveChannel } from "./live-channel.ts";
import { compileSchema } from "./schema.ts";
import { whenAborted } from "./when-aborted.ts";

/** How often idle pattern channels are looked for, in milliseconds. */
const SWEEP_MS = 5000;

/** A declaration, ready to make channels of. */
export interface Declared {
  readonly config: ChannelConfig;
  readonly validate: ((channel: string, data: unknown) => void) | null;
}

/** A declared channel, found by a path or a name. */
export type ChannelMatch = Match<Declared>;

export interface ChannelsOptions {
  readonly config: Config;
  readonly broker: Broker;
  /** Every plugin that the config uses, by its `use`. */
  readonly plugins: ReadonlyMap<string, LoadedPlugin>;
  readonly log: Log;
}

export class Channels {
  readonly #options: ChannelsOptions;
  readonly #byPath = new Directory<Declared>();
  readonly #byName = new Directory<Declared>();
  readonly #declared: Declared[] = [];
  readonly #live = new Map<string, LiveChannel>();
  /** Channels whose plugins are starting. */
  readonly #opening = new Map<string, Promise<LiveChannel>>();
  /** Channels that are let go of and whose plugins still end. */
  readonly #closing = new Map<string, Promise<void>>();
  #state: "starting" | "open" | "closed" = "starting";
  #patternCount = 0;
  #sweeper: Timer | null = null;

  constructor(options: ChannelsOptions) {
    this.#options = options;
    for (const config of options.config.channels) {
      const declared = { config, validate: config.schema && compileSchema(config.schema) };
      this.#declared.push(declared);
      this.#byPath.add(config.path, declared);
      this.#byName.add(config.pattern, declared);
    }
  }

  /**
   * Brings every static channel to life; their sources run from here on.
   *
   * @throws When a plugin's setup fails: the server must not start without it.
   */
  async start(): Promise<void> {
    for (const declared of this.#declared) {
      if (declared.config.pattern.params.length === 0) await this.#open(declared, {});
    }
    this.#state = "open";
    for (const live of this.#live.values()) live.plugins.startSources();
    this.#sweeper = setInterval(() => void this.sweep(Date.now()), SWEEP_MS).unref();
  }

  get live(): Iterable<LiveChannel> {
    return this.#live.values();
  }

  get declared(): readonly ChannelConfig[] {
    return this.#declared.map(({ config }) => config);
  }

  /** Whether a channel is served at this percent-encoded path, which starts with a slash. */
  match(path: string): ChannelMatch | null {
    return find(this.#byPath, path.slice(1), "path");
  }

  /** Finds a channel by its name, parameters percent-encoded where they have to be. */
  matchName(name: string): ChannelMatch | null {
    return find(this.#byName, name, "channel name");
  }

  /** The live channel with this name, without bringing it to life. */
  peek(name: string): LiveChannel | null {
    const match = this.matchName(name);
    if (!match) return null;
    return this.#live.get(formatName(match.value.config.pattern, match.params)) ?? null;
  }

  /** The channel's own name, as messages carry it. */
  nameOf({ value, params }: ChannelMatch): string {
    return formatName(value.config.pattern, params);
  }

  /**
   * The channel of a match, brought to life when it has to be.
   *
   * @throws {RequestError} 503 when too many are alive, a plugin's setup fails, or the server starts or
   *   stops.
   */
  open(match: ChannelMatch): MaybePromise<LiveChannel> {
    return this.find(match) ?? this.#openPattern(this.nameOf(match), match);
  }

  /**
   * The channel of a match where it is alive, or comes to life already; null where it does not.
   *
   * @throws {RequestError} 503 when the server starts or stops.
   */
  find(match: ChannelMatch): MaybePromise<LiveChannel> | null {
    // A static channel that is not there yet must not be set up a second time.
    if (this.#state !== "open") throw notReady();
    const name = this.nameOf(match);
    const live = this.#live.get(name);
    if (live) live.lastUsed = Date.now();
    return live ?? this.#opening.get(name) ?? null;
  }

  /** Lets go of pattern channels that nobody uses: their next life has another epoch, which is a gap. */
  async sweep(now: number): Promise<void> {
    for (const live of this.#live.values()) {
      if (!isOfPattern(live) || !live.isIdle(now)) continue;
      void this.#letGo(live).then(() => this.#patternCount--);
    }
    await Promise.all(this.#closing.values());
  }

  /**
   * Ends all plugins and channels, side by side; what is under way is committed and sent first. Never
   * throws.
   *
   * @param cutOff Messages under way are not waited for any longer when it aborts. Plugins are, each to
   *   its own limits: their `close` always runs.
   */
  async close(cutOff?: AbortSignal): Promise<void> {
    if (this.#sweeper) clearInterval(this.#sweeper);
    this.#state = "closed";
    const end = (live: LiveChannel) => this.#letGo(live, cutOff);
    // A setup that has begun comes to its end, then to its close; the others do not wait for it.
    const opening = [...this.#opening.values()].map((live) => live.then(end, () => {}));
    for (const [name, live] of this.#live) if (!this.#opening.has(name)) void end(live);
    await Promise.all([...opening, ...this.#closing.values()]);
  }

  /** Ends a channel and its plugins. Never throws. */
  #letGo(live: LiveChannel, cutOff?: AbortSignal): Promise<void> {
    const { name, plugins, channel } = live;
    this.#live.delete(name);
    const committed = () =>
      cutOff ? Promise.race([channel.close(), whenAborted(cutOff)]) : channel.close();
    const closing = plugins
      .close(committed)
      .catch((error) => this.#options.log.error("a channel did not end", { channel: name, error }))
      .finally(() => this.#closing.delete(name));
    this.#closing.set(name, closing);
    return closing;
  }

  #openPattern(name: string, match: ChannelMatch): Promise<LiveChannel> {
    const opening = this.#startPattern(name, match).finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    return opening;
  }

  async #startPattern(name: string, { value, params }: ChannelMatch): Promise<LiveChannel> {
    await this.#takePlace();
    try {
      // Its plugins may still end from an earlier life, and hold what they need now.
      await this.#closing.get(name);
      if (this.#state !== "open") throw notReady();
      const live = await this.#open(value, params);
      live.plugins.startSources();
      return live;
    } catch (error) {
      this.#patternCount--;
      if (error instanceof RequestError) throw error;
      this.#options.log.error("a channel could not be opened", { channel: name, error });
      throw new RequestError(
        503,
        "channel-failed",
        `channel "${name}" could not be opened: one of its plugins failed to start; the server's log says why`,
        { headers: { "retry-after": "10" } },
      );
    }
  }

  /**
   * Counts one more pattern channel. At the limit the one that was used least of late makes room, of
   * those that nobody uses and nothing was published to: asking for channels locks nobody out.
   *
   * @throws {RequestError} 503 when there is none.
   */
  async #takePlace(): Promise<void> {
    const { channels: limit } = this.#options.config.limits;
    if (this.#patternCount >= limit) {
      // Who has just been given a channel uses it before this turn ends.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#state !== "open") throw notReady();
    }
    if (this.#patternCount < limit) return void this.#patternCount++;
    let spare: LiveChannel | null = null;
    for (const live of this.#live.values()) {
      if (!isOfPattern(live) || !live.isSpare) continue;
      if (spare === null || live.lastUsed < spare.lastUsed) spare = live;
    }
    if (spare === null) {
      throw new RequestError(
        503,
        "too-many-channels",
        `this server has ${limit} channels alive, its limit; try again later`,
        { headers: { "retry-after": "10" } },
      );
    }
    // Its place is taken over: the count stays.
    await this.#letGo(spare);
  }

  async #open({ config, validate }: Declared, params: Params): Promise<LiveChannel> {
    const { broker, plugins: loaded, log, config: whole } = this.#options;
    const name = formatName(config.pattern, params);
    // The plugins come first, for the channel needs their transforms; they publish when it is there.
    let channel: Channel | null = null;
    const plugins = await startPlugins({
      uses: config.plugins.map(({ use, options }) => ({
        plugin: loaded.get(use)!.plugin,
        options,
      })),
      channel: { name, params },
      directory: dirname(whole.file),
      log,
      publish: (drafts) => channel!.publish(drafts),
      inject: (produce, from) => channel!.inject(produce, from),
    });
    channel = new Channel({
      name,
      maxBytes: whole.limits.message,
      maxWaiting: whole.limits.waiting,
      // A part of what one client may have waiting: who keeps up must never look slow.
      maxBatchBytes: whole.limits.buffer / 4,
      validate: validate ? (data) => validate(name, data) : undefined,
      transforms: plugins.transforms,
      onTransformError: (error, index) => plugins.transformFailed(error, index),
      onFanOutError: (error) => log.error("a fan-out group failed", { channel: name, error }),
      onCommit: plugins.sink ?? undefined,
      openLog: (onCommit) => broker.open(name, config.history, onCommit),
    });
    const live = new LiveChannel(config, params, channel, plugins);
    this.#live.set(name, live);
    return live;
  }
}

function isOfPattern({ config }: LiveChannel): boolean {
  return config.pattern.params.length > 0;
}

function notReady(): RequestError {
  return new RequestError(503, "not-ready", "the server starts or stops; try again", {
    headers: { "retry-after": "1" },
    closeCode: CLOSE.tryLater,
  });
}

function find(directory: Directory<Declared>, text: string, what: string): Match<Declared> | null {
  try {
    return directory.find(text);
  } catch {
    throw new RequestError(
      400,
      "bad-encoding",
      `the ${what} ${JSON.stringify(text.slice(0, 200))} has broken percent-encoding; each % is followed by two hex digits and the bytes are UTF-8`,
    );
  }
}
