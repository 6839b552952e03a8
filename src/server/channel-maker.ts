/** Makes live channels of what is declared: the plugins first, then the channel that they are for. */
import { dirname } from "node:path";
import type { Broker } from "../broker/broker.ts";
import { CatchUpTurns } from "../channel/catch-up-turns.ts";
import { Channel, type LineOptions } from "../channel/channel.ts";
import { formatName, type Params } from "../channel/directory.ts";
import { LagBudget } from "../channel/lag-budget.ts";
import type { KeyValues } from "../channel/key-values.ts";
import type { Line } from "../channel/line.ts";
import type { PipelineRules } from "../channel/pipeline.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { DenialLog } from "../plugin/authorize-log.ts";
import type { Clock } from "../plugin/clock.ts";
import { isolate } from "../plugin/isolate/isolated-plugin.ts";
import type { PublishElsewhere } from "../plugin/other-channel.ts";
import { startPlugins, type PluginRuntime } from "../plugin/runtime.ts";
import type { Declared } from "./declared.ts";
import { LiveChannel } from "./live-channel.ts";

/** What all channels of a server are made with. */
export interface MakerOptions {
  readonly broker: Broker;
  /** Where plugins keep their values. */
  readonly values: KeyValues;
  readonly log: Log;
  /** Limits and delays of plugins are by this clock, and nothing is left to chance: for a test of channels. */
  readonly trial?: Clock | undefined;
  /** Bytes that may wait for one client. */
  readonly bufferBytes: number;
  readonly denials: DenialLog;
  /** Publishes from a plugin to another channel. */
  readonly elsewhere: PublishElsewhere;
  /** Aborts when the server stops: setups that have begun come to their end. */
  readonly stopping: AbortSignal;
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

export class ChannelMaker {
  readonly #options: MakerOptions;
  readonly #lagBudget: LagBudget;
  readonly #turns = new CatchUpTurns();

  constructor(options: MakerOptions) {
    this.#options = options;
    this.#lagBudget = new LagBudget(options.bufferBytes);
  }

  /**
   * Sets up the plugins of a channel.
   *
   * @param whole The config that declares it.
   * @throws {PluginError} When a plugin's setup fails.
   */
  async prepare(declared: Declared, params: Params, whole: Config): Promise<Prepared> {
    const { log, values, denials, elsewhere, stopping, trial } = this.#options;
    const { config } = declared;
    const name = formatName(config.pattern, params);
    const { workers } = whole.limits;
    // The plugins come first, for the channel needs their transforms; they publish when it is there.
    let line: Line | null = null;
    const plugins = await startPlugins({
      uses: declared.uses.map(
        ({ use: { options, written, usedAt, isolate: limits, onError }, loaded }) => ({
          plugin: limits ? isolate(loaded, { ...limits, workers, stopping }) : loaded.plugin,
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
      denials,
      publish: (drafts) => line!.publish(drafts),
      inject: (produce, from) => line!.inject(produce, from),
      elsewhere,
      values,
      stopping,
      // Restarts take the full delay, so that a test can count on it.
      ...(trial && { clock: trial, random: () => 0 }),
    });
    return {
      name,
      declared,
      params,
      plugins,
      line: {
        ...this.rules(declared, name, whole),
        transforms: plugins.transforms,
        onTransformError: plugins.transformFailed,
        onCommit: plugins.sink ?? undefined,
      },
      attach: (given) => void (line = given),
    };
  }

  /** What a config refuses of what is published to a channel. */
  rules({ validate, config }: Declared, name: string, { limits }: Config): PipelineRules {
    const { latestByKey } = config.history;
    return {
      maxBytes: limits.message,
      maxWaiting: limits.waiting,
      validate:
        validate &&
        ((data, key) => {
          // Whatever the schema says of data, keys can be deleted.
          if (!(latestByKey && key !== undefined && data === null)) validate(name, data);
        }),
    };
  }

  /**
   * Opens the channel; its sources do not run yet.
   *
   * @throws {StorageError} When its log can't be opened; its plugins end then.
   */
  create(prepared: Prepared): LiveChannel {
    try {
      return this.#create(prepared);
    } catch (error) {
      void prepared.plugins.close();
      throw error;
    }
  }

  #create(prepared: Prepared): LiveChannel {
    const { broker, log, bufferBytes } = this.#options;
    const { name, declared, params, plugins } = prepared;
    // By itself: what a function here names of the declaration would keep it, and its plugins, for good.
    const { history, slow } = declared.config;
    const channel = new Channel({
      ...prepared.line,
      name,
      // A part of what one client may have waiting: who keeps up must never look slow.
      maxBatchBytes: bufferBytes / 4,
      slow,
      lagBudget: this.#lagBudget,
      turns: this.#turns,
      onFanOutError: (error) => log.error("a fan-out group failed", { channel: name, error }),
      openLog: (onCommit) => broker.open(name, history, onCommit),
    });
    prepared.attach(channel.line);
    return new LiveChannel(declared, params, channel, plugins);
  }
}
