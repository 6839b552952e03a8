/** Counts what goes wrong in the hooks of one plugin of a channel, and logs it without flooding the log. */
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import type { Log } from "../log.ts";
import type { Clock } from "./clock.ts";
import { errorFields } from "./error-fields.ts";
import { PluginError, toPluginError } from "./errors.ts";
import type { HookName } from "./hooks.ts";

/**
 * A hook, or what the plugin calls and fails like a hook: `emit` and, where nobody awaits it, `publish` to
 * another channel and the store.
 */
export type ReportedHook = HookName | "emit" | "publish" | "store";

export interface HookCounts {
  /** Calls that threw or rejected. */
  errors: number;
  /** Messages that were lost: drafts refused or failed on, committed messages that a sink never took. */
  dropped: number;
}

/** What went wrong in one plugin of a channel since it started; hooks that have nothing are absent. */
export interface PluginStats {
  readonly plugin: string;
  readonly hooks: Readonly<Partial<Record<ReportedHook, Readonly<HookCounts>>>>;
}

export interface ReportsOptions {
  readonly plugin: string;
  readonly channel: string;
  /** A log whose lines carry the plugin and the channel. */
  readonly log: Log;
  readonly clock: Clock;
  /** Finds the place in the plugin's source; called for what is logged, not for what is held back. */
  readonly diagnose?: ((error: PluginError) => Diagnostic | null) | undefined;
  /** Gets every error, also one that is not logged. */
  readonly onFailure?: ((error: PluginError) => void) | undefined;
}

/** Milliseconds for which further errors of the same hook are counted, not logged. */
const QUIET_MS = 10_000;

interface Quiet {
  suppressed: number;
  last: PluginError;
}

export class Reports {
  readonly plugin: string;
  readonly channel: string;
  readonly #options: ReportsOptions;
  readonly #counts = new Map<ReportedHook, HookCounts>();
  readonly #quiet = new Map<ReportedHook, Quiet>();
  readonly #closing = new AbortController();

  constructor(options: ReportsOptions) {
    this.plugin = options.plugin;
    this.channel = options.channel;
    this.#options = options;
  }

  /** Makes an error that says where it happened. */
  error(hook: ReportedHook | "setup", cause: unknown): PluginError {
    return toPluginError(cause, { plugin: this.plugin, hook, channel: this.channel });
  }

  /** Finds where in the plugin's source an error is, so that it can be shown there. */
  located(error: PluginError): PluginError {
    try {
      error.diagnostic ??= this.#options.diagnose?.(error) ?? null;
    } catch {
      // Anything can be thrown, also what throws when it is looked at: it is told without a place.
    }
    return error;
  }

  /** Makes the error of a hook that took longer than `ms` milliseconds. */
  timeout(hook: ReportedHook | "setup", ms: number): PluginError {
    const { plugin, channel } = this;
    const message = `${hook} did not end within ${ms / 1000} s`;
    return new PluginError("timeout", { plugin, hook, channel }, message);
  }

  /**
   * Takes in an error of a hook: counts it and logs it, the first at once, those of the following ten
   * seconds as one line.
   *
   * @param dropped Messages that were lost by it.
   */
  failed(hook: ReportedHook, cause: unknown, dropped: number): void {
    const error = this.#count(hook, cause, 1, dropped);
    const quiet = this.#quiet.get(hook);
    if (quiet) {
      quiet.suppressed++;
      quiet.last = error;
      return;
    }
    this.#options.log.error(`plugin failed in ${hook}`, { hook, dropped, ...this.#fields(error) });
    void this.#beQuiet(hook, error);
  }

  /** Counts an error that is logged elsewhere, or too often to be logged. */
  counted(hook: ReportedHook, cause: unknown): void {
    this.#count(hook, cause, 1, 0);
  }

  /** Takes in an error that is logged each time, because what follows it is slow: a source's restart. */
  failedSlowly(hook: ReportedHook, cause: unknown, fields: Record<string, unknown>): void {
    const error = this.#count(hook, cause, 1, 0);
    this.#options.log.error(`plugin failed in ${hook}`, {
      hook,
      ...fields,
      ...this.#fields(error),
    });
  }

  /** Counts messages that were lost without an error of the plugin. */
  dropped(hook: ReportedHook, count: number): void {
    this.#of(hook).dropped += count;
  }

  warn(hook: ReportedHook, message: string, fields: Record<string, unknown> = {}): void {
    this.#options.log.warn(message, { hook, ...fields });
  }

  stats(): PluginStats {
    const hooks: Partial<Record<ReportedHook, HookCounts>> = {};
    for (const [hook, counts] of this.#counts) hooks[hook] = { ...counts };
    return { plugin: this.plugin, hooks };
  }

  /** Logs what was held back. */
  close(): void {
    this.#closing.abort();
  }

  #count(hook: ReportedHook, cause: unknown, errors: number, dropped: number): PluginError {
    const error = this.error(hook, cause);
    const counts = this.#of(hook);
    counts.errors += errors;
    counts.dropped += dropped;
    this.#options.onFailure?.(error);
    return error;
  }

  #fields(error: PluginError): Record<string, unknown> {
    return errorFields(this.located(error));
  }

  #of(hook: ReportedHook): HookCounts {
    let counts = this.#counts.get(hook);
    if (!counts) this.#counts.set(hook, (counts = { errors: 0, dropped: 0 }));
    return counts;
  }

  async #beQuiet(hook: ReportedHook, first: PluginError): Promise<void> {
    const { clock, log } = this.#options;
    const quiet: Quiet = { suppressed: 0, last: first };
    this.#quiet.set(hook, quiet);
    do {
      const count = quiet.suppressed;
      if (count > 0) {
        log.error(`plugin failed in ${hook} ${count} more times`, {
          hook,
          count,
          ...this.#fields(quiet.last),
        });
      }
      quiet.suppressed = 0;
      await clock.delay(QUIET_MS, this.#closing.signal);
    } while (quiet.suppressed > 0);
    this.#quiet.delete(hook);
  }
}
