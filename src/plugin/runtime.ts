/** The plugins of one channel: starts them in the order of its config, runs their hooks, ends them. */
import type { MaybePromise } from "../channel/log.ts";
import type { Draft, Message } from "../channel/message.ts";
import type { BatchTransform, Transform } from "../channel/pipeline.ts";
import { withCall } from "../channel/trail.ts";
import { AuthorizeChain, type Authorizer, type Outcome } from "./authorize-chain.ts";
import { DenialLog } from "./authorize-log.ts";
import type { AskedChannel, Asker } from "./authorize-request.ts";
import { systemClock, within, type Clock } from "./clock.ts";
import { PluginError } from "./errors.ts";
import { PluginInstance, type InstanceOptions } from "./instance.ts";
import { ReceiveChain, type Receiver } from "./receive-chain.ts";
import type { PluginStats } from "./reports.ts";
import type { Client } from "./sdk.ts";
import { SINK_LIMITS } from "./sink-queue.ts";
import { isThenable } from "./thenable.ts";

type OfUse = "plugin" | "options" | "sources" | "usedAt" | "written" | "ordinal";
type Tunable = "clock" | "random" | "setupMs" | "closeMs" | "sinkLimits";

export interface StartOptions
  extends Omit<InstanceOptions, OfUse | Tunable>, Partial<Pick<InstanceOptions, Tunable>> {
  readonly uses: readonly (Pick<
    InstanceOptions,
    "plugin" | "options" | "sources" | "usedAt" | "onError"
  > & {
    /** As the config writes it; default: the plugin's name. */
    readonly written?: string;
  })[];
  /** The config leaves it to `authorize` who may publish: one of the plugins has to have it. */
  readonly mustAuthorize?: boolean;
  /** Shared by all channels of a server; without it a channel has its own. */
  readonly denials?: DenialLog;
}

/** What the plugins of a channel share. */
interface RuntimeOptions {
  readonly channel: AskedChannel;
  readonly clock: Clock;
  readonly closeMs: number;
  readonly denials: DenialLog;
  /** It ends with this channel. */
  readonly ownsDenials: boolean;
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
 * @throws {PluginError} When a plugin can't be set up, or none has the hook that there must be.
 */
export async function startPlugins(options: StartOptions): Promise<PluginRuntime> {
  const { uses, mustAuthorize = false, denials, ...shared } = options;
  const instances: PluginInstance[] = [];
  const ordinals = new Map<string, number>();
  let transforms = 0;
  try {
    for (const use of uses) {
      const { written = use.plugin.name } = use;
      const ordinal = ordinals.get(written) ?? 0;
      ordinals.set(written, ordinal + 1);
      const instance = new PluginInstance({
        clock: systemClock,
        random: Math.random,
        setupMs: SETUP_MS,
        closeMs: CLOSE_MS,
        sinkLimits: SINK_LIMITS,
        ...shared,
        ...use,
        written,
        ordinal,
      });
      instances.push(instance);
      await instance.setup();
      if (instance.hooks.transform) transforms++;
      instance.from = transforms;
    }
    if (mustAuthorize) checkAuthorize(instances, options.channel.name);
  } catch (error) {
    await closeAll(instances);
    throw error;
  }
  const { clock = systemClock, closeMs = CLOSE_MS } = shared;
  const { name, params } = options.channel;
  return new PluginRuntime(instances, {
    channel: { name, params: Object.freeze({ ...params }) },
    clock,
    closeMs,
    denials: denials ?? new DenialLog(shared.log, clock),
    ownsDenials: denials === undefined,
  });
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
  readonly receive:
    ((data: unknown, client: Client, text?: string) => MaybePromise<Draft | null>) | null;
  /**
   * Asks the `authorize` hooks whether a client may use the channel; null when no plugin has one, and all
   * may. Never throws; who was denied is logged.
   */
  readonly authorize: ((asker: Asker) => MaybePromise<Outcome>) | null;
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
    const chain = new ReceiveChain(receivers, options.channel.name, options.clock);
    this.receive =
      receivers.length > 0 ? (data, client, text) => chain.receive(data, client, text) : null;
    const authorizers = instances.flatMap(({ hooks: { authorize }, reports }): Authorizer[] =>
      authorize ? [{ authorize, reports }] : [],
    );
    const gate = new AuthorizeChain(authorizers, options);
    this.authorize = authorizers.length > 0 ? (asker) => gate.ask(asker) : null;
    const sinks = instances.flatMap(({ sink }) => sink ?? []);
    this.sink = sinks.length > 0 ? (batch) => sinks.forEach((sink) => sink.push(batch)) : null;
  }

  /** For the pipeline's `onTransformError`: counts what is lost and logs without flooding. */
  readonly transformFailed = (error: unknown, index: number, lost = 1): unknown => {
    const transformer = this.#transformers[index];
    // With no transform before it, what was refused can only be what a plugin emitted.
    if (!transformer) return this.#instances[0]?.reports.failed("emit", error, 1);
    const located = transformer.reports.error("transform", error);
    transformer.reports.failed("transform", located, lost);
    return located;
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

  /** Resolves when every sink has got what was committed. */
  readonly drained = async (): Promise<void> => {
    await Promise.all(this.#instances.map(({ sink }) => sink?.drained()));
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
    ).finally(() => {
      if (this.#options.ownsDenials) this.#options.denials.close();
    }));
}

/** A channel that nobody guards would take messages from nobody, or, after a mistake, from everybody. */
function checkAuthorize(instances: readonly PluginInstance[], channel: string): void {
  if (instances.some(({ hooks }) => hooks.authorize)) return;
  const names = instances.map(({ name }) => name).join(", ");
  const message = `the config says "publish: authorized", but no plugin of this channel has the hook authorize, so nobody could publish; return one from setup, or say "publish: clients" or "publish: nobody"`;
  throw new PluginError("no-authorize", { plugin: names, hook: "setup", channel }, message);
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
    for (const instance of reversed) instance.end();
  }
}

/** Calls a transform such that what it publishes elsewhere is known to be of this call. */
function callTracked(instance: PluginInstance, draft: Draft): unknown {
  const call = { owner: instance, isPending: true };
  const failed = (error: unknown): never => {
    call.isPending = false;
    throw instance.reports.error("transform", error);
  };
  let result: unknown;
  try {
    result = withCall(call, () => instance.hooks.transform!(draft));
  } catch (error) {
    return failed(error);
  }
  const ended = <T>(value: T): T => {
    call.isPending = false;
    return value;
  };
  return isThenable(result) ? Promise.resolve(result).then(ended, failed) : ended(result);
}

function wrapTransform(instance: PluginInstance): Transform {
  const { hooks, reports } = instance;
  const transform = hooks.transform!;
  const ended = <T>(result: T): T => {
    instance.transforming--;
    return result;
  };
  const failed = (error: unknown): never => {
    instance.transforming--;
    throw reports.error("transform", error);
  };
  type Result = ReturnType<Transform>;
  const one = (draft: Draft): Result => {
    if (instance.others.isUsed) return callTracked(instance, draft) as Result;
    let result: unknown;
    instance.transforming++;
    try {
      result = transform(draft);
    } catch (error) {
      return failed(error);
    }
    // The pipeline checks what comes out; it knows native promises alone.
    return (
      isThenable(result) ? Promise.resolve(result).then(ended, failed) : ended(result)
    ) as Result;
  };
  const { onError, batch } = instance;
  if (!batch) return Object.assign(one, { onError });
  const many: BatchTransform = async (drafts, texts) => {
    instance.transforming += drafts.length;
    try {
      return await batch(drafts, texts);
    } finally {
      instance.transforming -= drafts.length;
    }
  };
  return Object.assign(one, { onError, batch: many });
}
