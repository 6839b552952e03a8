/** All declared channels: finds them by path or name, brings them to life, and lets go of idle ones. */
import { dirname } from "node:path";
import type { Broker } from "../broker/broker.ts";
import { Channel, type LineOptions } from "../channel/channel.ts";
import { formatName, type Params } from "../channel/directory.ts";
import type { Line } from "../channel/line.ts";
import type { KeyValues } from "../channel/key-values.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { ChannelConfig, Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import { DenialLog } from "../plugin/authorize-log.ts";
import { errorFields } from "../plugin/error-fields.ts";
import type { Clock } from "../plugin/clock.ts";
import type { LoadedPlugin } from "../plugin/load.ts";
import { isolate } from "../plugin/isolate/isolated-plugin.ts";
import { startPlugins, type PluginRuntime } from "../plugin/runtime.ts";
import { CLOSE, RequestError } from "../transport/errors.ts";
import { Declarations, type ChannelMatch, type Declared } from "./declared.ts";
import { Ending } from "./ending.ts";
import { LiveChannel } from "./live-channel.ts";
import { OtherChannels } from "./other-channels.ts";
import { unknownChannel } from "./problem.ts";
import { reloadChannels, type ChannelChanges } from "./reload-channels.ts";
import { whenAborted } from "./when-aborted.ts";

export type { ChannelMatch, Declared } from "./declared.ts";

/** How often idle pattern channels are looked for, in milliseconds. */
const SWEEP_MS = 5000;

export interface ChannelsOptions {
  readonly config: Config;
  readonly broker: Broker;
  /** Every plugin that the config uses, by its `use`. */
  readonly plugins: ReadonlyMap<string, LoadedPlugin>;
  /** Where plugins keep their values. */
  readonly values: KeyValues;
  readonly log: Log;
  /**
   * For a test of channels, which no listener leads to: each comes to life when it is first asked for,
   * static ones too, none is let go of meanwhile, and limits and delays of plugins are by this clock.
   */
  readonly trial?: Clock;
}

/** The plugins of a channel that is to be, or to get others: set up, and waiting for its line. */
export interface Prepared {
  readonly name: string;
  readonly declared: Declared;
  readonly params: Params;
  readonly plugins: PluginRuntime;
  readonly line: LineOptions;
  /** Gives them the line that they publish on. */
  attach(line: Line): void;
}

export class Channels {
  readonly #options: Omit<ChannelsOptions, "config" | "plugins">;
  #config: Config;
  #declarations: Declarations;
  readonly #live = new Map<string, LiveChannel>();
  /** Channels whose plugins are starting. */
  readonly #opening = new Map<string, Promise<LiveChannel>>();
  /** Channels that are let go of and whose plugins still end. */
  readonly #closing = new Map<string, Promise<void>>();
  #state: "starting" | "open" | "closed" = "starting";
  #patternCount = 0;
  #sweeper: Timer | null = null;
  readonly #denials: DenialLog;
  readonly #others: OtherChannels;
  #ending: Ending | null = null;

  constructor(options: ChannelsOptions) {
    // What is declared changes: a first version that is kept here would never be let go of.
    const { config, plugins, ...lasting } = options;
    this.#options = lasting;
    this.#denials = new DenialLog(options.log, options.trial);
    this.#others = new OtherChannels(this);
    this.#config = config;
    this.#declarations = new Declarations(config.channels, plugins);
  }

  /**
   * Brings every static channel to life; their sources run from here on.
   *
   * @throws When a plugin's setup fails: the server must not start without it.
   */
  async start(): Promise<void> {
    if (this.#options.trial) return void (this.#state = "open");
    for (const declared of this.#declarations.all) {
      if (declared.config.pattern.params.length > 0) continue;
      const live = this.#create(await this.#prepare(declared, {}));
      this.#live.set(live.name, live);
    }
    this.#state = "open";
    for (const live of this.#live.values()) live.plugins.startSources();
    this.#startSweeper();
  }

  /** By itself: a function that is made in an async one keeps the variables of that one. */
  #startSweeper(): void {
    this.#sweeper = setInterval(() => void this.sweep(Date.now()), SWEEP_MS).unref();
  }

  /** `starting`: no channel takes messages yet. `closed`: none is opened any more, and all end. */
  get state(): "starting" | "open" | "closed" {
    return this.#state;
  }

  /** A channel that ends with the others, and takes what their plugins have left to say. */
  ending(name: string): LiveChannel | null {
    return this.#ending?.find(name) ?? null;
  }

  /** Channels of patterns that are alive, or come to life. */
  get ofPatterns(): number {
    return this.#patternCount;
  }

  get live(): Iterable<LiveChannel> {
    return this.#live.values();
  }

  get declared(): readonly ChannelConfig[] {
    return this.#declarations.all.map(({ config }) => config);
  }

  /** Whether a channel is served at this percent-encoded path, which starts with a slash. */
  match(path: string): ChannelMatch | null {
    return this.#declarations.match(path);
  }

  /** Finds a channel by its name, parameters percent-encoded where they have to be. */
  matchName(name: string): ChannelMatch | null {
    return this.#declarations.matchName(name);
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
    return this.find(match) ?? this.#openPattern(this.nameOf(match));
  }

  /**
   * The channel of a match where it is alive, or comes to life already; null where it does not.
   *
   * @throws {RequestError} 503 when the server starts or stops; 404 when it is no longer declared.
   */
  find(match: ChannelMatch): MaybePromise<LiveChannel> | null {
    // A static channel that is not there yet must not be set up a second time.
    if (this.#state !== "open") throw notReady();
    const name = this.nameOf(match);
    const live = this.#live.get(name);
    if (live) {
      live.lastUsed = Date.now();
      return live;
    }
    const opening = this.#opening.get(name);
    if (!opening) this.#current(name);
    return opening ?? null;
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
    this.#ending = new Ending(this.#live.values().filter(({ name }) => !this.#opening.has(name)));
    const end = (live: LiveChannel) => this.#letGo(live, cutOff);
    // A setup that has begun comes to its end, then to its close; the others do not wait for it.
    const opening = [...this.#opening.values()].map((live) => live.then(end, () => {}));
    for (const [name, live] of this.#live) if (!this.#opening.has(name)) void end(live);
    await Promise.all([...opening, ...this.#closing.values()]);
    this.#denials.close();
  }

  /** Ends a channel and its plugins. Never throws. */
  #letGo(live: LiveChannel, cutOff?: AbortSignal): Promise<void> {
    const { name, channel } = live;
    this.#live.delete(name);
    const end = async () => {
      await this.#ending?.quiet(live);
      await channel.close();
    };
    const committed = () => (cutOff ? Promise.race([end(), whenAborted(cutOff)]) : end());
    // Plugins that are being replaced end first, or what they hold is lost.
    const closing = Promise.resolve(live.replacing)
      .then(() => live.plugins.close(committed))
      .catch((error) => this.#options.log.error("a channel did not end", { channel: name, error }))
      .finally(() => this.#closing.delete(name));
    this.#closing.set(name, closing);
    return closing;
  }

  /**
   * Lets another config hold. All that can fail comes first; then, in one turn, the channels that changed
   * get their new plugins, those that are new are there, and those that are gone are let go of.
   *
   * @param alongside Called in that turn.
   * @returns What changed, when the plugins that were replaced have ended.
   * @throws When a plugin's setup fails, or a schema is wrong: all is as it was then.
   */
  async reload(
    config: Config,
    plugins: ReadonlyMap<string, LoadedPlugin>,
    alongside: () => void,
  ): Promise<ChannelChanges> {
    const before = this.#config;
    const declarations = new Declarations(config.channels, plugins, this.#declarations);
    return reloadChannels({
      before: this.#declarations,
      after: declarations,
      live: this.#live,
      isOpen: () => this.#state === "open",
      ended: (name) => this.#closing.get(name),
      prepare: (declared, params) => this.#prepare(declared, params, config),
      create: (prepared) => this.#create(prepared),
      commit: () => {
        this.#config = config;
        this.#declarations = declarations;
        alongside();
      },
      rules: (live) => this.#rules(live.declared, live.name),
      hasOtherRules: before.limits.waiting !== config.limits.waiting,
      letGo: (live) => this.#letGo(live),
      countPattern: (change) => void (this.#patternCount += change),
      log: this.#options.log,
    });
  }

  /** @throws {RequestError} 404 when no channel of this name is declared any more. */
  #current(name: string): ChannelMatch {
    const match = this.matchName(name);
    if (match) return match;
    throw unknownChannel(name);
  }

  #openPattern(name: string): Promise<LiveChannel> {
    const opening = this.#startPattern(name).finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    return opening;
  }

  async #startPattern(name: string): Promise<LiveChannel> {
    await this.#takePlace();
    try {
      // Its plugins may still end from an earlier life, and hold what they need now.
      await this.#closing.get(name);
      const live = await this.#openCurrent(name);
      live.plugins.startSources();
      return live;
    } catch (error) {
      this.#patternCount--;
      if (error instanceof RequestError) throw error;
      this.#options.log.error("a channel could not be opened", {
        channel: name,
        ...errorFields(error),
      });
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
    const { channels: limit } = this.#config.limits;
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

  /** Brings a channel to life by what is declared when its plugins are set up. */
  async #openCurrent(name: string): Promise<LiveChannel> {
    for (;;) {
      if (this.#state !== "open") throw notReady();
      const { value, params } = this.#current(name);
      const prepared = await this.#prepare(value, params);
      if (this.matchName(name)?.value === value) {
        const live = this.#create(prepared);
        this.#live.set(name, live);
        return live;
      }
      // Another config holds by now, and nobody has seen these.
      await prepared.plugins.close();
    }
  }

  /** @throws {PluginError} When a plugin's setup fails. */
  async #prepare(declared: Declared, params: Params, whole = this.#config): Promise<Prepared> {
    const { log, values, trial } = this.#options;
    const { config } = declared;
    const name = formatName(config.pattern, params);
    // The plugins come first, for the channel needs their transforms; they publish when it is there.
    let line: Line | null = null;
    const plugins = await startPlugins({
      uses: declared.uses.map(
        ({ use: { options, written, usedAt, isolate: limits, onError }, loaded }) => ({
          plugin: limits ? isolate(loaded, limits) : loaded.plugin,
          onError,
          written,
          sources: limits ? loaded.sources.ofWorker() : loaded.sources,
          usedAt,
          options,
        }),
      ),
      channel: { name, params },
      directory: dirname(whole.file),
      log,
      mustAuthorize: config.publish === "authorized",
      denials: this.#denials,
      publish: (drafts) => line!.publish(drafts),
      inject: (produce, from) => line!.inject(produce, from),
      elsewhere: this.#others.publish,
      values,
      // Restarts take the full delay, so that a test can count on it.
      ...(trial && { clock: trial, random: () => 0 }),
    });
    return {
      name,
      declared,
      params,
      plugins,
      line: {
        ...this.#rules(declared, name, whole),
        transforms: plugins.transforms,
        onTransformError: plugins.transformFailed,
        onCommit: plugins.sink ?? undefined,
      },
      attach: (given) => void (line = given),
    };
  }

  #rules({ validate }: Declared, name: string, { limits } = this.#config) {
    return {
      maxBytes: limits.message,
      maxWaiting: limits.waiting,
      validate: validate ? (data: unknown) => validate(name, data) : undefined,
    };
  }

  #create(prepared: Prepared): LiveChannel {
    const { broker, log } = this.#options;
    const { name, declared, params, plugins } = prepared;
    // By itself: what a function here names of the declaration would keep it, and its plugins, for good.
    const { history } = declared.config;
    const channel = new Channel({
      ...prepared.line,
      name,
      // A part of what one client may have waiting: who keeps up must never look slow.
      maxBatchBytes: this.#config.limits.buffer / 4,
      onFanOutError: (error) => log.error("a fan-out group failed", { channel: name, error }),
      openLog: (onCommit) => broker.open(name, history, onCommit),
    });
    prepared.attach(channel.line);
    return new LiveChannel(declared, params, channel, plugins);
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
