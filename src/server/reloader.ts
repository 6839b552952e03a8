/** Reloads a running server when it is asked to: reads everything anew, and tells what came of it. */
import { dirname } from "node:path";
import type { Config } from "../config/config.ts";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import type { Log } from "../log.ts";
import { failureFields } from "../plugin/error-fields.ts";
import type { Reader } from "./reader.ts";
import type { RunningServer } from "./server.ts";

export interface ReloaderOptions {
  readonly server: Pick<RunningServer, "reload">;
  readonly reader: Reader;
  readonly log: Log;
  /** The config that holds. */
  readonly config: Config;
  /** Shows the mistakes of a new state that is invalid. */
  readonly report: (diagnostics: readonly Diagnostic[]) => void;
  /** Another config holds: called before the log tells of it. */
  readonly onConfig?: (config: Config) => void;
  /** Called after each reload, whatever came of it: the files may be others now. */
  readonly onRead?: () => void;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #running: Promise<void> | null = null;
  /** Asked for again while one runs. */
  #isAskedAgain = false;
  #isStopped = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /**
   * Reloads. Asked while a reload runs, one more follows it, however often that is. Never throws.
   *
   * @param why As the log tells it, such as `SIGHUP`.
   * @returns Resolves when no reload runs or is asked for any more.
   */
  ask(why: string): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    if (this.#running) this.#isAskedAgain = true;
    return (this.#running ??= this.#run(why).finally(() => (this.#running = null)));
  }

  /** The server stops: nothing is reloaded any more. Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(why: string): Promise<void> {
    do {
      this.#isAskedAgain = false;
      await this.#reload(why);
    } while (this.#isAskedAgain && !this.#isStopped);
  }

  async #reload(why: string): Promise<void> {
    const { server, reader, log, config, report, onConfig, onRead } = this.#options;
    const startedMs = performance.now();
    const failed = (fields: Record<string, unknown>) => {
      if (this.#isStopped) return;
      log.error("reload failed, the old state goes on", { why, ...fields });
    };
    try {
      const whole = await reader.read({ isProbed: true });
      if (this.#isStopped) return;
      if ("diagnostics" in whole) {
        report(whole.diagnostics);
        failed({ errors: whole.diagnostics.length });
      } else {
        const { needsRestart, ...changes } = await server.reload(whole);
        reader.settle();
        onConfig?.(whole.config);
        const ms = Math.round(performance.now() - startedMs);
        log.info("reloaded", { why, ...changes, ms });
        if (needsRestart.length > 0) {
          const what = needsRestart.length === 1 ? "1 change" : `${needsRestart.length} changes`;
          const need = needsRestart.length === 1 ? "needs" : "need";
          const message = `${what} of the config ${need} a restart: ${needsRestart.join(", ")}`;
          log.warn(message, { keys: needsRestart });
        }
      }
    } catch (error) {
      // A setup that failed, such as one that can't reach what it needs.
      failed({ errors: 1, ...failureFields(error, dirname(config.file)) });
    } finally {
      onRead?.();
    }
  }
}
