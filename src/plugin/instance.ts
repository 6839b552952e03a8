/** One plugin at work in one channel: from its `setup` to its `close`. */
import { createChannelContext } from "./channel-context.ts";
import { ChannelError } from "../channel/errors.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Draft } from "../channel/message.ts";
import type { Log } from "../log.ts";
import { LATE, within, type Clock } from "./clock.ts";
import { toDraft } from "./draft.ts";
import { HookResultError } from "./errors.ts";
import { checkHooks, type BoundHooks } from "./hooks.ts";
import { kindOf } from "./kind-of.ts";
import { Presence } from "./presence.ts";
import { Reports } from "./reports.ts";
import type { Client, CommittedMessage, Emitted, Plugin } from "./sdk.ts";
import { SinkQueue, type SinkLimits } from "./sink-queue.ts";
import { SourceRunner } from "./source-runner.ts";
import { isThenable } from "./thenable.ts";

export interface InstanceOptions {
  readonly plugin: Plugin;
  readonly options: unknown;
  readonly channel: { readonly name: string; readonly params: Readonly<Record<string, string>> };
  readonly directory: string;
  readonly log: Log;
  /** Publishes drafts of a source through all transforms. */
  readonly publish: (drafts: readonly Draft[]) => MaybePromise<unknown>;
  /** Publishes what `emit` was given, through the transforms from index `from` on. */
  readonly inject: (
    produce: () => Draft | readonly Draft[] | null,
    from: number,
  ) => MaybePromise<unknown>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly setupMs: number;
  readonly closeMs: number;
  readonly sinkLimits: SinkLimits;
}

/** Milliseconds after which the log says what a start waits for. */
const SLOW_SETUP_MS = 2000;

/** What a plugin may emit before its channel stands. */
const MAX_EARLY = 1000;

export class PluginInstance {
  readonly name: string;
  readonly reports: Reports;
  hooks: BoundHooks = {};
  presence: Presence | null = null;
  sink: SinkQueue | null = null;
  /** Index of the first transform after this plugin. */
  from = 0;
  readonly #options: InstanceOptions;
  readonly #controller = new AbortController();
  #source: SourceRunner | null = null;
  #close: (() => unknown) | null = null;
  #state: "starting" | "open" | "closed" = "starting";
  #early: (() => Draft[] | null)[] = [];

  constructor(options: InstanceOptions) {
    const { plugin, channel, clock } = options;
    this.name = plugin.name;
    this.#options = {
      ...options,
      log: options.log.with({ plugin: plugin.name, channel: channel.name }),
    };
    const { log } = this.#options;
    this.reports = new Reports({ plugin: plugin.name, channel: channel.name, log, clock });
  }

  /** @throws {PluginError} When `setup` throws, takes too long, or returns what is no set of hooks. */
  async setup(): Promise<void> {
    const { plugin, clock, setupMs, channel, random, publish, sinkLimits } = this.#options;
    const work = (async (): Promise<unknown> => plugin.setup(this.#context()))();
    let returned: unknown;
    const settled = new AbortController();
    void clock.delay(SLOW_SETUP_MS, settled.signal).then(() => {
      if (!settled.signal.aborted) this.#options.log.warn("waiting for the plugin's setup");
    });
    try {
      returned = await within(work, setupMs, clock);
    } catch (error) {
      throw this.reports.error("setup", error);
    } finally {
      settled.abort();
    }
    if (returned === LATE) {
      // What it opens after all is closed again.
      void work.then((late) => closeOf(late)?.()).catch(() => {});
      throw this.reports.timeout("setup", setupMs);
    }
    // Before the check: a plugin that is refused may have opened something.
    this.#close = closeOf(returned);
    try {
      this.hooks = checkHooks(returned, this.name, channel.name);
    } catch (error) {
      throw this.reports.error("setup", error);
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
    for (const produce of this.#early.splice(0)) this.#inject(produce);
    this.#source?.start();
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
    this.presence?.stop();
    this.reports.close();
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
      channel: createChannelContext(channel.name, channel.params, undefined as never),
      store: undefined as never,
      directory,
      log,
      signal: this.#controller.signal,
      emit: (drafts: Emitted | (() => Emitted | null)) => this.#emit(drafts),
    };
  }

  #emit(drafts: Emitted | (() => Emitted | null)): boolean {
    if (this.#state === "closed") return false;
    const produce = () => {
      try {
        return checkEmitted(typeof drafts === "function" ? drafts() : drafts);
      } catch (error) {
        this.reports.failed("emit", error, 1);
        return null;
      }
    };
    if (this.#state === "open") return this.#inject(produce);
    if (this.#early.length >= MAX_EARLY) return false;
    this.#early.push(produce);
    return true;
  }

  #inject(produce: () => Draft[] | null): boolean {
    const failed = (error: unknown) => {
      if (!(error instanceof ChannelError && error.code === "closed")) {
        this.reports.failed("emit", error, 1);
      }
    };
    try {
      const result = this.#options.inject(produce, this.from);
      if (isThenable(result)) void Promise.resolve(result).catch(failed);
      return true;
    } catch (error) {
      const code = error instanceof ChannelError ? error.code : null;
      if (code === "overloaded" || code === "closed") return false;
      failed(error);
      return true;
    }
  }
}

function closeOf(hooks: unknown): (() => unknown) | null {
  const close: unknown =
    typeof hooks === "object" && hooks !== null ? Reflect.get(hooks, "close") : null;
  return typeof close === "function" ? (close.bind(hooks) as () => unknown) : null;
}

function checkEmitted(emitted: Emitted | null): Draft[] | null {
  if (emitted === null) return null;
  const list: readonly unknown[] = Array.isArray(emitted) ? emitted : [emitted];
  return list.map((item) => {
    const draft = toDraft(item);
    if (draft) return draft;
    throw new HookResultError(`emit was given ${kindOf(item)}; a draft is an object with "data"`);
  });
}
