/** Runs the `source` hook of one plugin: takes drafts from it one by one, and starts it again when it throws. */
import { ChannelError } from "../channel/errors.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Draft } from "../channel/message.ts";
import type { Clock } from "./clock.ts";
import { noDraft, toDraft } from "./draft.ts";
import { HookResultError } from "./errors.ts";
import { kindOf } from "./kind-of.ts";
import type { Reports } from "./reports.ts";

/** Delay before the first restart, in milliseconds; each further one doubles it. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 30_000;
/** A source that ran this long, in milliseconds, starts from the first delay again. */
const WELL_MS = 30_000;
/** Delay before a draft is offered again that found the channel's queue full, in milliseconds. */
const OVERLOADED_DELAY_MS = 50;
/** Drafts after which a source that never waits lets the event loop serve the others. */
const DRAFTS_A_TURN = 64;

export interface SourceOptions {
  readonly source: () => unknown;
  /** Publishes one draft through all transforms; the next is taken from the source after it. */
  readonly publish: (draft: Draft) => MaybePromise<unknown>;
  readonly reports: Reports;
  readonly clock: Clock;
  /** Aborts when the source is to stop; `stop` then ends its iterator. */
  readonly signal: AbortSignal;
  /** From 0 to 1: spreads restarts, so that many sources of one broken upstream don't come at once. */
  readonly random: () => number;
}

/** Delay in milliseconds before the `attempt`th restart, from 1; at most a fifth shorter by chance. */
export function restartDelayMs(attempt: number, random: () => number): number {
  const full = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1));
  return Math.round(full * (1 - random() / 5));
}

export type AnyIterator = AsyncIterator<unknown> | Iterator<unknown>;

export class SourceRunner {
  readonly #options: SourceOptions;
  #iterator: AnyIterator | null = null;
  #done: Promise<void> = Promise.resolve();

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Ends the iterator, so that its `finally` runs, and waits for it. The signal has to be aborted. */
  async stop(): Promise<void> {
    try {
      await this.#iterator?.return?.();
    } catch (error) {
      this.#options.reports.failed("source", error, 0);
    }
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal, clock, reports, random } = this.#options;
    let attempt = 0;
    while (!signal.aborted) {
      const startedMs = clock.now();
      try {
        await this.#consume();
        return;
      } catch (error) {
        // A source that is stopped often throws what its aborted fetch or timer threw: no failure.
        if (signal.aborted) return;
        if (clock.now() - startedMs >= WELL_MS) attempt = 0;
        attempt++;
        const delayMs = restartDelayMs(attempt, random);
        reports.failedSlowly("source", error, { attempt, delayMs });
        await clock.delay(delayMs, signal);
      }
    }
  }

  async #consume(): Promise<void> {
    const { source, signal } = this.#options;
    const iterator = (this.#iterator = openIterator(source()));
    for (let taken = 1; ; taken++) {
      const result = await iterator.next();
      if (result.done || signal.aborted) return;
      await this.#publish(result.value);
      // Promises alone never let the loop look at its sockets.
      if (taken % DRAFTS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) return;
    }
  }

  /** A draft that is refused is the loss of this draft, not of the source. */
  async #publish(value: unknown): Promise<void> {
    const { publish, reports, clock, signal } = this.#options;
    const draft = toDraft(value);
    if (!draft) {
      const problem = `source yielded ${noDraft(value)}`;
      const help = `a draft is an object with "data": yield { data: … }`;
      return reports.failed("source", new HookResultError(problem, help), 1);
    }
    while (!signal.aborted) {
      try {
        await publish(draft);
        return;
      } catch (error) {
        const code = error instanceof ChannelError ? error.code : null;
        if (code === "closed") return;
        if (code !== "overloaded" && code !== "storage") return reports.failed("source", error, 1);
        // The source is ahead of the transforms, or the disk is full: it waits, nothing is lost.
        await clock.delay(OVERLOADED_DELAY_MS, signal);
      }
    }
  }
}

/** @throws {HookResultError} When it is no iterable. */
export function openIterator(iterable: unknown): AnyIterator {
  const made = iterable as Partial<AsyncIterable<unknown> & Iterable<unknown>> | null | undefined;
  if (typeof made === "object" && made !== null) {
    if (typeof made[Symbol.asyncIterator] === "function") return made[Symbol.asyncIterator]!();
    if (typeof made[Symbol.iterator] === "function") return made[Symbol.iterator]!();
  }
  throw new HookResultError(
    `source returned ${iterable === undefined ? "nothing" : kindOf(iterable)}`,
    "it must be an async generator (`async *source() { … yield { data } … }`) or another iterable",
  );
}
