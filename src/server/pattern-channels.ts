/** Channels of patterns: brings them to life when they are asked for, at most so many, and lets go of idle ones. */
import { StorageError } from "../broker/storage-error.ts";
import { storageFailed } from "../channel/errors.ts";
import type { Log } from "../log.ts";
import { errorFields } from "../plugin/error-fields.ts";
import { PluginError } from "../plugin/errors.ts";
import { NoPlaceError, placesLeft } from "../plugin/isolate/places.ts";
import { RequestError } from "../transport/errors.ts";
import type { Prepared } from "./channel-maker.ts";
import { isOfPattern, type ChannelMatch, type Declared } from "./declared.ts";
import type { LiveChannel } from "./live-channel.ts";
import { notReady, toRequestError } from "./problem.ts";

/** What opening a channel needs of those that there are. */
export interface PatternHost {
  /** All live channels, by name. */
  readonly live: Map<string, LiveChannel>;
  /** False once the server stops. */
  isOpen(): boolean;
  /** The history of a channel outlives it. */
  readonly isDurable: boolean;
  /** How many may be alive. */
  limit(): number;
  /** How many workers they may have. */
  workerLimit(): number;
  matchName(name: string): ChannelMatch | null;
  /** @throws {RequestError} 404 when no channel of this name is declared any more. */
  current(name: string): ChannelMatch;
  prepare(match: ChannelMatch): Promise<Prepared>;
  create(prepared: Prepared): LiveChannel;
  /** The end of an earlier life of a channel, where that is still under way. */
  ended(name: string): Promise<void> | undefined;
  letGo(live: LiveChannel): Promise<void>;
  readonly log: Log;
}

export class PatternChannels {
  /** Live channels of patterns, with those that come to life and those that still end. */
  count = 0;
  readonly #host: PatternHost;
  /** Channels whose plugins are starting. */
  readonly #opening = new Map<string, Promise<LiveChannel>>();
  #held: Promise<void> | null = null;
  /** Room is made for workers: one after the other, or who comes second finds nobody left to let go of. */
  #freeing: Promise<unknown> = Promise.resolve();

  constructor(host: PatternHost) {
    this.#host = host;
  }

  /** Channels that come to life now, by name. */
  get opening(): ReadonlyMap<string, Promise<LiveChannel>> {
    return this.#opening;
  }

  /**
   * Brings a channel to life.
   *
   * @throws {RequestError} 503 when too many are alive or a plugin's setup fails.
   */
  open(name: string): Promise<LiveChannel> {
    const opening = this.#start(name).finally(() => this.#opening.delete(name));
    this.#opening.set(name, opening);
    return opening;
  }

  /**
   * From here on no setup of a channel that is asked for begins.
   *
   * @returns Ends that: those who asked meanwhile are served then.
   */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return () => {
      this.#held = null;
      resolve();
    };
  }

  /** Lets go of those that nobody uses. */
  sweep(now: number): void {
    const { live, letGo, isDurable } = this.#host;
    for (const one of live.values()) {
      if (!isOfPattern(one.declared) || !one.isIdle(now, isDurable)) continue;
      void letGo(one).then(() => this.count--);
    }
  }

  async #start(name: string): Promise<LiveChannel> {
    const { ended, log } = this.#host;
    await this.#takePlace();
    try {
      // Its plugins may still end from an earlier life, and hold what they need now.
      await ended(name);
      return await this.#openCurrent(name);
    } catch (error) {
      this.count--;
      if (error instanceof RequestError) throw error;
      // Logged by the broker.
      if (error instanceof StorageError) throw toRequestError(storageFailed(name, "read"), log);
      log.error("a channel could not be opened", { channel: name, ...errorFields(error) });
      throw new RequestError(
        503,
        "channel-failed",
        `channel "${name}" could not be opened: one of its plugins failed to start; the server's log says why`,
        { headers: { "retry-after": "10" } },
      );
    }
  }

  /**
   * Counts one more. At the limit the one that was used least of late makes room, of those that nobody
   * uses and that lose nothing by it: asking for channels locks nobody out.
   *
   * @throws {RequestError} 503 when there is none.
   */
  async #takePlace(): Promise<void> {
    const { isOpen, limit: limitOf, letGo } = this.#host;
    const limit = limitOf();
    if (this.count >= limit) {
      // Who has just been given a channel uses it before this turn ends.
      await new Promise((resolve) => setImmediate(resolve));
      if (!isOpen()) throw notReady();
    }
    if (this.count < limit) return void this.count++;
    const spare = this.#spare(() => true);
    if (spare === null) {
      throw new RequestError(
        503,
        "too-many-channels",
        `this server has ${limit} channels alive, its limit; try again later`,
        { headers: { "retry-after": "10" } },
      );
    }
    // Its place is taken over: the count stays.
    await letGo(spare);
  }

  /** The one that was used least of late, of those that nobody uses and that lose nothing by it. */
  #spare(isFit: (one: LiveChannel) => boolean): LiveChannel | null {
    const { live, isDurable } = this.#host;
    let spare: LiveChannel | null = null;
    for (const one of live.values()) {
      if (!isOfPattern(one.declared) || !one.isSpare(isDurable) || !isFit(one)) continue;
      if (spare === null || one.lastUsed < spare.lastUsed) spare = one;
    }
    return spare;
  }

  /** Sets up its plugins; at the limit of workers, spare channels that have some make room for its own. */
  async #prepare(match: ChannelMatch): Promise<Prepared> {
    const { prepare, workerLimit } = this.#host;
    const needed = workersOf(match.value);
    const mayFit = needed > 0 && needed <= workerLimit();
    // First: what a plugin before it sets up would be for nothing.
    if (mayFit && placesLeft(workerLimit()) < needed) await this.#freeWorkers(needed);
    for (;;) {
      try {
        return await prepare(match);
      } catch (error) {
        // Another one came first.
        const isFull = error instanceof PluginError && error.cause instanceof NoPlaceError;
        if (!isFull || !mayFit || !(await this.#freeWorkers(needed))) throw error;
      }
    }
  }

  /** @returns Whether there is room for so many workers now. */
  #freeWorkers(needed: number): Promise<boolean> {
    const free = async () => {
      const { workerLimit, letGo } = this.#host;
      while (placesLeft(workerLimit()) < needed) {
        // Who has just been given a channel uses it before this turn ends.
        await new Promise((resolve) => setImmediate(resolve));
        const spare = this.#spare(({ declared }) => workersOf(declared) > 0);
        if (spare === null) return false;
        await letGo(spare);
        this.count--;
      }
      return true;
    };
    const freed = this.#freeing.then(free);
    this.#freeing = freed;
    return freed;
  }

  /** Brings a channel to life by what is declared when its plugins are set up. */
  async #openCurrent(name: string): Promise<LiveChannel> {
    const { live, isOpen, current, matchName, create } = this.#host;
    for (;;) {
      while (this.#held) await this.#held;
      if (!isOpen()) throw notReady();
      const there = live.get(name);
      if (there) {
        // A config that was read meanwhile names it: it has been brought to life, in no place of a pattern's.
        this.count--;
        return there;
      }
      const match = current(name);
      const prepared = await this.#prepare(match);
      if (matchName(name)?.value === match.value) {
        const opened = create(prepared);
        live.set(name, opened);
        opened.plugins.startSources();
        return opened;
      }
      // Another config holds by now, and nobody has seen these.
      await prepared.plugins.close();
    }
  }
}

/** How many workers each of its channels has. */
function workersOf({ uses }: Declared): number {
  return uses.filter(({ use }) => use.isolate).length;
}
