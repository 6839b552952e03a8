/** The plugins of one channel: starts them in the order of its config, runs their hooks, ends them. */
import type { MaybePromise } from "../channel/log.ts";
import type { Draft, Message } from "../channel/message.ts";
import type { Transform } from "../channel/pipeline.ts";
import { systemClock, within, type Clock } from "./clock.ts";
import { PluginInstance, type InstanceOptions } from "./instance.ts";
import { ReceiveChain, type Receiver } from "./receive-chain.ts";
import type { PluginStats } from "./reports.ts";
import type { Client, Plugin } from "./sdk.ts";
import { SINK_LIMITS } from "./sink-queue.ts";
import { isThenable } from "./thenable.ts";

type Tunable = "clock" | "random" | "setupMs" | "closeMs" | "sinkLimits";

export interface StartOptions
  extends
    Omit<InstanceOptions, "plugin" | "options" | Tunable>,
    Partial<Pick<InstanceOptions, Tunable>> {
  readonly uses: readonly { readonly plugin: Plugin; readonly options: unknown }[];
}

/** What the plugins of a channel share. */
interface RuntimeOptions {
  readonly channel: string;
  readonly clock: Clock;
  readonly closeMs: number;
}

/** Milliseconds that one `setup` may take. */
const SETUP_MS = 30_000;
/** Milliseconds that what is under way may take to end, and then each `close`. */
const CLOSE_MS = 5000;

/**
 * Sets up each plugin in turn. When one fails, those before it, and itself, are closed again.
 *
 * `publish` and `inject` are not called before `startSources`, so the channel may be made of what this
 * returns.
 *
 * @throws {PluginError} When a plugin can't be set up.
 */
export async function startPlugins(options: StartOptions): Promise<PluginRuntime> {
  const { uses, ...shared } = options;
  const instances: PluginInstance[] = [];
  let transforms = 0;
  try {
    for (const use of uses) {
      const instance = new PluginInstance({
        clock: systemClock,
        random: Math.random,
        setupMs: SETUP_MS,
        closeMs: CLOSE_MS,
        sinkLimits: SINK_LIMITS,
        ...shared,
        ...use,
      });
      instances.push(instance);
      await instance.setup();
      if (instance.hooks.transform) transforms++;
      instance.from = transforms;
    }
  } catch (error) {
    await closeAll(instances);
    throw error;
  }
  const { clock = systemClock, closeMs = CLOSE_MS } = shared;
  return new PluginRuntime(instances, { channel: options.channel.name, clock, closeMs });
}

/** The plugins of one channel at work. Its members need no `this`. */
export class PluginRuntime {
  /** For the channel's pipeline, in config order. What they throw is a `PluginError`. */
  readonly transforms: readonly Transform[];
  /**
   * Takes what a client sent through the `receive` hooks; null when no plugin has one. Its failures are
   * counted and logged already; the caller tells the client.
   *
   * @throws {PluginError} When a hook failed, or did not settle within 10 s (`timeout`); a promise rejects
   *   with it.
   * @throws {ChannelError} With `overloaded` when too many frames of this client wait.
   */
  readonly receive: ((data: unknown, client: Client) => MaybePromise<Draft | null>) | null;
  /** For the channel's `onCommit`: queues the batch for each sink. Never throws; null when there is none. */
  readonly sink: ((batch: readonly Message[]) => void) | null;
  readonly #instances: readonly PluginInstance[];
  readonly #transformers: readonly PluginInstance[];
  readonly #options: RuntimeOptions;
  #closing: Promise<void> | null = null;

  constructor(instances: readonly PluginInstance[], options: RuntimeOptions) {
    this.#instances = instances;
    this.#options = options;
    this.#transformers = instances.filter((instance) => instance.hooks.transform);
    this.transforms = this.#transformers.map(wrapTransform);
    const receivers = instances.flatMap(({ hooks: { receive }, reports }): Receiver[] =>
      receive ? [{ receive, reports }] : [],
    );
    const chain = new ReceiveChain(receivers, options.channel, options.clock);
    this.receive = receivers.length > 0 ? (data, client) => chain.receive(data, client) : null;
    const sinks = instances.flatMap(({ sink }) => sink ?? []);
    this.sink = sinks.length > 0 ? (batch) => sinks.forEach((sink) => sink.push(batch)) : null;
  }

  /** For the pipeline's `onTransformError`: counts the dropped message and logs without flooding. */
  readonly transformFailed = (error: unknown, index: number): void => {
    const transformer = this.#transformers[index];
    if (transformer) return transformer.reports.failed("transform", error, 1);
    // With no transform before it, what was refused can only be what a plugin emitted.
    this.#instances[0]?.reports.failed("emit", error, 1);
  };

  /** MUST be called with the same `id` as `left` later. Never throws. */
  readonly joined = (client: Client): void => {
    for (const instance of this.#instances) instance.joined(client);
  };

  /** Never throws. */
  readonly left = (client: Client): void => {
    for (const instance of this.#instances) instance.left(client);
  };

  /** The channel stands: sources start, and what was emitted meanwhile is published. */
  readonly startSources = (): void => {
    for (const instance of this.#instances) instance.open();
  };

  /** What went wrong since the start, in config order. */
  readonly stats = (): PluginStats[] => this.#instances.map(({ reports }) => reports.stats());

  /**
   * Stops the sources, then calls each `close`, the last plugin's first. Takes a limited time. A plugin
   * may emit until its `close` has ended; those with a sink close after the others and after the channel,
   * so that they get the last message too.
   *
   * @param closeChannel Commits what waits. A transform that never ends is not waited for.
   * @throws What `closeChannel` throws, when all is closed.
   */
  readonly close = (closeChannel?: () => Promise<void>): Promise<void> =>
    (this.#closing ??= closeAll(
      this.#instances,
      closeChannel && (() => within(closeChannel(), this.#options.closeMs, this.#options.clock)),
    ));
}

async function closeAll(
  instances: readonly PluginInstance[],
  closeChannel?: () => Promise<unknown>,
): Promise<void> {
  for (const instance of instances) instance.abort();
  await Promise.all(instances.map((instance) => instance.settle()));
  const reversed = instances.toReversed();
  for (const instance of reversed) if (!instance.sink) await instance.close();
  try {
    await closeChannel?.();
  } finally {
    for (const instance of reversed) if (instance.sink) await instance.close();
  }
}

function wrapTransform({ hooks, reports }: PluginInstance): Transform {
  const transform = hooks.transform!;
  const failed = (error: unknown): never => {
    throw reports.error("transform", error);
  };
  type Result = ReturnType<Transform>;
  return (draft): Result => {
    let result: unknown;
    try {
      result = transform(draft);
    } catch (error) {
      return failed(error);
    }
    // The pipeline checks what comes out; it knows native promises alone.
    return (isThenable(result) ? Promise.resolve(result).catch(failed) : result) as Result;
  };
}
