/** All declared channels: finds them by path or name, starts and ends them, and lets another config hold. */
import type { Broker } from "../broker/broker.ts";
import { formatName } from "../channel/directory.ts";
import type { KeyValues } from "../channel/key-values.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { ChannelConfig, Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import { DenialLog } from "../plugin/authorize-log.ts";
import { systemClock, type Clock } from "../plugin/clock.ts";
import type { LoadedPlugin } from "../plugin/load.ts";
import { ChannelMaker } from "./channel-maker.ts";
import { Declarations, isOfPattern, type ChannelMatch } from "./declared.ts";
import { Ending } from "./ending.ts";
import type { LiveChannel } from "./live-channel.ts";
import { OtherChannels } from "./other-channels.ts";
import { PatternChannels } from "./pattern-channels.ts";
import { notReady, unknownChannel } from "./problem.ts";
import { reloadChannels, type ChannelChanges } from "./reload-channels.ts";
import { whenAborted } from "./when-aborted.ts";

export type { ChannelMatch } from "./declared.ts";

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

export class Channels {
  readonly #log: Log;
  readonly #trial: Clock | undefined;
  readonly #maker: ChannelMaker;
  readonly #patterns: PatternChannels;
  /** The history of a channel outlives it: also one that is not alive has some. */
  readonly isDurable: boolean;
  #config: Config;
  #declarations: Declarations;
  readonly #live = new Map<string, LiveChannel>();
  /** Channels that are let go of and whose plugins still end. */
  readonly #closing = new Map<string, Promise<void>>();
  #state: "starting" | "open" | "closed" = "starting";
  #sweeper: Timer | null = null;
  readonly #denials: DenialLog;
  readonly #stopping = new AbortController();
  #ending: Ending | null = null;

  constructor({ config, plugins, broker, values, log, trial }: ChannelsOptions) {
    this.#log = log;
    this.#trial = trial;
    this.isDurable = broker.isDurable;
    this.#denials = new DenialLog(log, trial);
    this.#maker = new ChannelMaker({
      broker,
      values,
      log,
      trial,
      bufferBytes: config.limits.buffer,
      denials: this.#denials,
      elsewhere: new OtherChannels(this).publish,
      stopping: this.#stopping.signal,
    });
    this.#config = config;
    this.#declarations = new Declarations(config.channels, plugins);
    this.#patterns = this.#openPatterns();
  }

  /**
   * Brings every static channel to life; their sources run from here on.
   *
   * @throws When a plugin's setup fails: the server must not start without it.
   */
  async start(): Promise<void> {
    if (this.#trial) return void (this.#state = "open");
    for (const declared of this.#declarations.all) {
      if (isOfPattern(declared)) continue;
      const live = this.#maker.create(await this.#maker.prepare(declared, {}, this.#config));
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

  /** Not in the constructor, whose variables are the first config and its plugins. */
  #openPatterns(): PatternChannels {
    return new PatternChannels({
      live: this.#live,
      isOpen: () => this.#state === "open",
      isDurable: this.isDurable,
      limit: () => this.#config.limits.channels,
      workerLimit: () => this.#config.limits.workers,
      matchName: (name) => this.matchName(name),
      current: (name) => this.#current(name),
      prepare: ({ value, params }) => this.#maker.prepare(value, params, this.#config),
      create: (prepared) => this.#maker.create(prepared),
      ended: (name) => this.#closing.get(name),
      letGo: (live) => this.#letGo(live),
      log: this.#log,
    });
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
    return this.#patterns.count;
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
    const { pattern } = value.config;
    return pattern.params.length === 0 ? pattern.text : formatName(pattern, params);
  }

  /**
   * The channel of a match, brought to life when it has to be.
   *
   * @throws {RequestError} 503 when too many are alive, a plugin's setup fails, or the server starts or
   *   stops.
   */
  open(match: ChannelMatch): MaybePromise<LiveChannel> {
    return this.find(match) ?? this.#patterns.open(this.nameOf(match));
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
    const opening = this.#patterns.opening.get(name);
    if (!opening) this.#current(name);
    return opening ?? null;
  }

  /**
   * Lets go of pattern channels that nobody uses. Where the broker keeps nothing of them, their next life
   * has another epoch, which is a gap.
   */
  async sweep(now: number): Promise<void> {
    this.#patterns.sweep(now);
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
    this.#stopping.abort();
    const { opening: coming } = this.#patterns;
    this.#ending = new Ending(this.#live.values().filter(({ name }) => !coming.has(name)));
    const end = (live: LiveChannel) => this.#letGo(live, cutOff);
    // A setup that has begun is told, comes to its end, then to its close; the others do not wait for it.
    const opening = [...coming.values()].map((live) => live.then(end, () => {}));
    for (const [name, live] of this.#live) if (!coming.has(name)) void end(live);
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
      .catch((error) => this.#log.error("a channel did not end", { channel: name, error }))
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
      holdOpening: () => this.#patterns.hold(),
      prepare: (declared, params) => this.#maker.prepare(declared, params, config),
      create: (prepared) => this.#maker.create(prepared),
      commit: () => {
        this.#config = config;
        this.#declarations = declarations;
        alongside();
      },
      rules: ({ declared, name }) => this.#maker.rules(declared, name, config),
      hasOtherRules: before.limits.waiting !== config.limits.waiting,
      letGo: (live) => this.#letGo(live),
      countPattern: (change) => void (this.#patterns.count += change),
      clock: this.#trial ?? systemClock,
      log: this.#log,
    });
  }

  /** @throws {RequestError} 404 when no channel of this name is declared any more. */
  #current(name: string): ChannelMatch {
    const match = this.matchName(name);
    if (match) return match;
    throw unknownChannel(name);
  }
}
