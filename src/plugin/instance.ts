/** One plugin at work in one channel: from its `setup` to its `close`. */
import { createChannelContext } from "./channel-context.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { KeyValues } from "../channel/key-values.ts";
import type { Draft } from "../channel/message.ts";
import type { BatchTransform, OnError } from "../channel/pipeline.ts";
import { currentCall, withTrail } from "../channel/trail.ts";
import type { Log } from "../log.ts";
import { LATE, within, type Clock } from "./clock.ts";
import { diagnosePluginError } from "./diagnose.ts";
import { EmittedDrafts } from "./emitted-drafts.ts";
import type { PluginError } from "./errors.ts";
import { checkHooks, type BoundHooks } from "./hooks.ts";
import { OtherChannels, type PublishElsewhere } from "./other-channel.ts";
import { BATCH, END, privateHooksOf } from "./isolate/private-hooks.ts";
import { Presence } from "./presence.ts";
import { Reports } from "./reports.ts";
import type { Client, CommittedMessage, Emitted, Plugin, Store } from "./sdk.ts";
import { SinkQueue, type SinkLimits } from "./sink-queue.ts";
import { SourceRunner } from "./source-runner.ts";
import { SetupLimit } from "./setup-limit.ts";
import { Sources } from "./source-text.ts";
import { createStore, useName } from "./store.ts";

export interface InstanceOptions {
  readonly plugin: Plugin;
  readonly options: unknown;
  /** What its files said when they were loaded; nothing for one that ships. */
  readonly sources?: Sources | undefined;
  /** The place of its `use:`, such as `tidewire.yaml:12:14`. */
  readonly usedAt?: string | null | undefined;
  readonly channel: { readonly name: string; readonly params: Readonly<Record<string, string>> };
  readonly directory: string;
  readonly log: Log;
  /** Publishes drafts of a source through all transforms. */
  readonly publish: (drafts: readonly Draft[]) => MaybePromise<unknown>;
  /** Publishes what `emit` was given, through the transforms from index `from` on. */
  readonly inject: (
    produce: () => MaybePromise<Draft | readonly Draft[] | null>,
    from: number,
  ) => MaybePromise<unknown>;
  /** Publishes to another channel. */
  readonly elsewhere: PublishElsewhere;
  /** Where the stores of all plugins are kept. */
  readonly values: KeyValues;
  /** The plugin as the config writes it; with `ordinal` it names the store. */
  readonly written: string;
  /** Which of the uses of this channel that are written like this, from 0. */
  readonly ordinal: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly setupMs: number;
  readonly closeMs: number;
  /** Aborts when the server stops: a setup that has begun then has `closeMs` left. */
  readonly stopping?: AbortSignal | undefined;
  readonly sinkLimits: SinkLimits;
  /** What becomes of a draft that its transform fails on; `drop` by default. */
  readonly onError?: OnError | undefined;
  /** Called with each error of a hook. MUST NOT throw. */
  readonly onFailure?: ((error: PluginError) => void) | undefined;
}

/** Milliseconds after which the log says what a start waits for. */
const SLOW_SETUP_MS = 2000;

export class PluginInstance {
  readonly name: string;
  readonly reports: Reports;
  /** How its `channel(name)` publishes. */
  readonly others: OtherChannels;
  /** Its store, one for all that it is asked through. */
  readonly store: Store;
  /** Messages that its transform has now, and that no `Call` stands for. */
  transforming = 0;
  hooks: BoundHooks = {};
  /** Its transform for many drafts at once, where it has one. */
  batch: BatchTransform | null = null;
  presence: Presence | null = null;
  sink: SinkQueue | null = null;
  /** Index of the first transform after this plugin. */
  from = 0;
  readonly #options: InstanceOptions;
  readonly #controller = new AbortController();
  #source: SourceRunner | null = null;
  #close: (() => unknown) | null = null;
  #end: (() => void) | null = null;
  readonly #emitted: EmittedDrafts;
  #state: "starting" | "open" | "closed" = "starting";

  /** What becomes of a draft that its transform fails on. */
  readonly onError: OnError;

  constructor(options: InstanceOptions) {
    const { plugin, channel, clock } = options;
    this.name = plugin.name;
    this.onError = options.onError ?? "drop";
    this.#options = {
      ...options,
      log: options.log.with({ plugin: plugin.name, channel: channel.name }),
    };
    const { log } = this.#options;
    const { sources = Sources.none, usedAt = null, directory } = options;
    this.reports = new Reports({
      plugin: plugin.name,
      channel: channel.name,
      log,
      clock,
      onFailure: options.onFailure,
      diagnose: (error) => diagnosePluginError(error, { sources, usedAt, directory }),
    });
    const { reports } = this;
    this.others = new OtherChannels({
      own: channel.name,
      elsewhere: options.elsewhere,
      reports,
      mayBlock: () => {
        const call = currentCall(this);
        return () => call?.isPending || this.transforming > 0 || this.#state === "starting";
      },
    });
    this.#emitted = new EmittedDrafts({
      inject: (produce) => options.inject(produce, this.from),
      reports,
    });
    const use = useName(channel.name, options.written, options.ordinal);
    this.store = createStore({ values: options.values, use, reports });
  }

  /** @throws {PluginError} When `setup` throws, takes too long, or returns what is no set of hooks. */
  async setup(): Promise<void> {
    const { plugin, clock, channel, random, publish, sinkLimits } = this.#options;
    const work = (async (): Promise<unknown> => plugin.setup(this.#context()))();
    let returned: unknown;
    const settled = new AbortController();
    void clock.delay(SLOW_SETUP_MS, settled.signal).then(() => {
      if (!settled.signal.aborted) this.#options.log.warn("waiting for the plugin's setup");
    });
    const limit = new SetupLimit(this.#options, () => this.abort());
    try {
      returned = await limit.within(work);
    } catch (error) {
      throw this.reports.located(this.reports.error("setup", error));
    } finally {
      settled.abort();
    }
    if (returned === LATE) {
      // What it opens after all is closed again.
      void work.then(
        async (late) => {
          try {
            await closeOf(late)?.();
          } catch (error) {
            this.reports.failed("close", error, 0);
          }
        },
        () => {},
      );
      throw this.reports.located(this.reports.timeout("setup", limit.ms));
    }
    // Before the check: a plugin that is refused may have opened something.
    this.#close = closeOf(returned);
    this.#end = privateHooksOf(returned)[END] ?? null;
    try {
      this.hooks = checkHooks(returned, this.name, channel.name);
      this.batch = privateHooksOf(returned)[BATCH] ?? null;
    } catch (error) {
      throw this.reports.located(this.reports.error("setup", error));
    }
    const { source, sink, joined, left } = this.hooks;
    const { reports } = this;
    if (joined || left) this.presence = new Presence(this.hooks, reports, clock);
    if (sink) {
      const call = (messages: readonly CommittedMessage[]) => sink(messages);
      this.sink = new SinkQueue(call, reports, sinkLimits);
    }
    if (source) {
      const { signal } = this.#controller;
      const one = (draft: Draft) => publish([draft]);
      this.#source = new SourceRunner({ source, publish: one, reports, clock, signal, random });
    }
  }

  /** The channel stands: what the plugin makes by itself may come. */
  open(): void {
    if (this.#state !== "starting") return;
    this.#state = "open";
    // A channel may be opened to publish a message to it: what its plugins make is not about that one.
    withTrail(null, () => {
      this.#emitted.open();
      this.#source?.start();
    });
  }

  joined(client: Client): void {
    if (this.#state !== "closed") this.presence?.notify("joined", client);
  }

  left(client: Client): void {
    if (this.#state !== "closed") this.presence?.notify("left", client);
  }

  abort(): void {
    this.#controller.abort();
  }

  /** Waits, after `abort`, until the source and what `joined` and `left` began have ended. */
  async settle(): Promise<void> {
    await this.#limited(Promise.all([this.#source?.stop(), this.presence?.idle()]));
  }

  /** Gives the sink what waits for it and calls the `close` hook, once. Never throws. */
  async close(): Promise<void> {
    const close = this.#close;
    this.#close = null;
    if (this.sink) await this.#limited(this.sink.drained());
    this.sink?.stop();
    const { clock, closeMs } = this.#options;
    try {
      const work = (async () => close?.())();
      if (close && (await within(work, closeMs, clock)) === LATE) {
        throw this.reports.timeout("close", closeMs);
      }
    } catch (error) {
      this.reports.failed("close", error, 0);
    }
    this.#state = "closed";
    this.#emitted.close();
    this.presence?.stop();
    this.reports.close();
  }

  /** No message comes any more: lets go of what the plugin ran in. */
  end(): void {
    this.others.end();
    this.#end?.();
  }

  async #limited(work: Promise<unknown>): Promise<void> {
    const { clock, closeMs, log } = this.#options;
    if ((await within(work, closeMs, clock)) === LATE) {
      log.warn(`plugin was still busy ${closeMs / 1000} s after it was told to stop`);
    }
  }

  #context() {
    const { options, channel, directory, log } = this.#options;
    return {
      // Each channel of a pattern has its own copy: one that changes it changes nothing for the others.
      options: structuredClone(options ?? {}) as never,
      channel: createChannelContext(channel.name, channel.params, this.others.named),
      store: this.store,
      directory,
      log,
      signal: this.#controller.signal,
      emit: (drafts: Emitted | (() => Emitted | null)) => this.#emitted.emit(drafts),
    };
  }
}

function closeOf(hooks: unknown): (() => unknown) | null {
  const close: unknown =
    typeof hooks === "object" && hooks !== null ? Reflect.get(hooks, "close") : null;
  return typeof close === "function" ? (close.bind(hooks) as () => unknown) : null;
}
