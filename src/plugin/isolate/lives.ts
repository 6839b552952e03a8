/** The workers of one use of a plugin, one after the other: starts them, and again when they end. */
import { LATE, within, type Clock } from "../clock.ts";
import type { HookName } from "../hooks.ts";
import { restartDelayMs } from "../source-runner.ts";
import { HostClients } from "./host-clients.ts";
import { Life } from "./life.ts";
import { NoLife } from "./no-life.ts";
import { takePlace } from "./places.ts";
import type { Start } from "./wire.ts";
import { WorkerEndedError } from "./worker-errors.ts";
import { WorkerMessages, type WorkerMessagesOptions } from "./worker-messages.ts";

export interface IsolateLimits {
  /** Milliseconds without a sign of life after which a worker is ended. */
  readonly timeoutMs: number;
  /** Bytes that a worker may hold. */
  readonly memory: number;
  /** Workers that channels of patterns may have, all together. Default: no limit. */
  readonly workers?: number;
  /** Aborts when the server stops: a worker that spins is not waited for then. */
  readonly stopping?: AbortSignal | undefined;
}

export interface LivesOptions extends WorkerMessagesOptions {
  /** What the server has loaded: see `LoadedPlugin`. */
  readonly version: string | null;
  readonly limits: IsolateLimits;
  readonly random: () => number;
  /** A worker is there again, after one that ended. */
  readonly onRestart: () => void;
}

/** A worker that was well for so long, in milliseconds, is started again after the first delay. */
const WELL_MS = 30_000;
/** Milliseconds that a worker whose plugin is closed stays at most. */
const STAY_MS = 30_000;
/** Milliseconds that a setup has to end after it was told to stop. */
const STOP_MS = 5000;
/**
 * Milliseconds without a sign of life after which a worker is ended when the server stops, whatever its
 * `timeout:`. All steps of its end would wait for it, each to a limit of its own.
 */
const STOP_SILENCE_MS = 2000;
/** Milliseconds that the setup of a restart may take: as long as that of the start. */
const SETUP_MS = 30_000;

export class Lives {
  /** The clients that the worker of now knows. */
  clients: HostClients;
  readonly #options: LivesOptions;
  readonly #messages: WorkerMessages;
  /** null while there is none that is set up. */
  #life: Life | null = null;
  /** One that is not set up yet. */
  #starting: Life | null = null;
  /** The reason why the last one ended. */
  #why = "is not there yet";
  #next = Promise.withResolvers<Life | null>();
  #isClosed = false;
  readonly #over = new AbortController();
  readonly #hurry = (): void => {
    this.#life?.hurry(STOP_SILENCE_MS);
  };
  /** Restarts since it was last well for a while. */
  #attempt = 0;
  #upSinceMs = 0;
  #givePlace: (() => void) | null = null;

  constructor(options: LivesOptions) {
    this.#options = options;
    this.#messages = new WorkerMessages(options);
    this.clients = this.#newClients(null);
  }

  get isUp(): boolean {
    return this.#life !== null;
  }

  /** @throws {WorkerEndedError} While there is none. */
  get now(): Pick<Life, "call" | "transform" | "isOver"> {
    return this.#life ?? new NoLife(`its worker ${this.#why}; it is started again`);
  }

  /** Resolves to the worker, when there is one; null when there will be none any more. */
  async next(signal: AbortSignal): Promise<Life | null> {
    if (this.#life) return this.#life;
    // Called again when the channel ends: what waits for a worker is let go of then.
    if (this.#isClosed || signal.aborted) return null;
    return this.#next.promise;
  }

  /**
   * Starts the first worker.
   *
   * @returns The hooks that the plugin has.
   * @throws {NoPlaceError} When channels of patterns have as many as they may.
   * @throws What its setup throws.
   */
  async start(): Promise<ReadonlySet<HookName>> {
    const { signal } = this.#options.context;
    signal.addEventListener("abort", () => this.#next.resolve(null), { once: true });
    const { context, limits } = this.#options;
    limits.stopping?.addEventListener("abort", this.#hurry, { once: true });
    const { name, params } = context.channel;
    // It is kept over restarts: a channel that is open does not lose its plugin for want of room.
    const isOfPattern = Object.keys(params).length > 0;
    if (isOfPattern) this.#givePlace = takePlace(name, limits.workers ?? Infinity);
    try {
      return new Set(await this.#begin());
    } catch (error) {
      limits.stopping?.removeEventListener("abort", this.#hurry);
      this.#givePlace?.();
      throw error;
    }
  }

  /**
   * Calls the `close` hook. The worker stays until `end` is called, for messages that are under way to
   * their commit may still have to pass it; but not for longer than the others may take to close.
   */
  async close(clock: Clock, limitMs: number): Promise<void> {
    this.#isClosed = true;
    const life = this.#life;
    this.#next.resolve(null);
    try {
      if (life) await within(life.call({ hook: "close" }), limitMs, clock);
    } finally {
      this.#messages.close();
      void clock.delay(STAY_MS, this.#over.signal).then(() => this.end());
    }
  }

  end(): void {
    this.#isClosed = true;
    this.#options.limits.stopping?.removeEventListener("abort", this.#hurry);
    this.#over.abort();
    this.#givePlace?.();
    this.#life?.end("was told to stop");
    this.#starting?.end("was told to stop while it was set up");
  }

  async #begin(): Promise<HookName[]> {
    const { use, plugin, version, context, limits, clock } = this.#options;
    const { options, channel, directory, signal } = context;
    const { timeoutMs, memory } = limits;
    const { name, params } = channel;
    const life: Life = new Life({
      plugin,
      channel: name,
      timeoutMs,
      memory,
      clock,
      onMessage: (message) => this.#messages.take(message, life, clients),
    });
    this.#starting = life;
    const clients = this.#newClients(life);
    const stop = () => {
      life.post({ say: "abort" });
      // One that is set up ends with its `close`; one that is not gets a while for it.
      if (this.#life !== life) void clock.delay(STOP_MS, NEVER).then(() => this.#endUnready(life));
    };
    signal.addEventListener("abort", stop, { once: true });
    void life.ended.then(() => signal.removeEventListener("abort", stop));
    const start: Start = {
      ...{ use, options, channel: { name, params }, directory, timeoutMs, memory, version },
      taken: life.taken.shared,
    };
    try {
      const names = (await life.call({ hook: "setup", start })) as HookName[];
      if (signal.aborted && this.#isClosed) throw new WorkerEndedError("its worker came too late");
      life.ready();
      this.clients = clients;
      this.#starting = null;
      this.#life = life;
      this.#next.resolve(life);
      this.#next = Promise.withResolvers();
      // In this turn: who joins later is told of by itself.
      if (this.#attempt > 0) this.#options.onRestart();
      if (signal.aborted) this.#next.resolve(null);
      this.#upSinceMs = clock.now();
      void life.ended.then((reason) => this.#ended(reason));
      return names;
    } catch (error) {
      // What was opened before setup was refused is closed again.
      life.post({ say: "abort" });
      await within(
        life.call({ hook: "close" }).catch(() => {}),
        STOP_MS,
        clock,
      );
      life.end("could not be set up");
      throw error;
    }
  }

  #endUnready(life: Life): void {
    if (this.#life !== life) life.end("was told to stop while it was set up");
  }

  async #ended(reason: string): Promise<void> {
    const { clock, context, random } = this.#options;
    this.#life = null;
    this.#why = reason;
    if (this.#isClosed || context.signal.aborted) return;
    if (clock.now() - this.#upSinceMs >= WELL_MS) this.#attempt = 0;
    for (;;) {
      const delayMs = restartDelayMs(++this.#attempt, random);
      const fields = { reason: this.#why, attempt: this.#attempt, delayMs };
      context.log.error("plugin's worker ended; it is started again", fields);
      await clock.delay(delayMs, context.signal);
      if (this.#isClosed || context.signal.aborted) return;
      try {
        const begun = await within(this.#begin(), SETUP_MS, clock);
        if (begun === LATE) {
          this.#starting?.end("took too long to be set up");
          throw new Error(`setup did not end within ${SETUP_MS / 1000} s`);
        }
        break;
      } catch (error) {
        this.#why = "could not be set up again";
        context.log.error("plugin failed in setup", { hook: "setup", error });
      }
    }
    context.log.info("plugin's worker is there again", { attempt: this.#attempt });
  }

  #newClients(life: Life | null): HostClients {
    return new HostClients((handle) => life?.post({ say: "forget", handle }));
  }
}

const NEVER = new AbortController().signal;
