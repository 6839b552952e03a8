/** `tidewire run [config]`: runs the server until it is told to stop. */
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { Config } from "../config/config.ts";
import { formatDiagnostics, type Diagnostic } from "../diagnostic/diagnostic.ts";
import { createLog, type Log } from "../log.ts";
import { LoadWatch } from "../server/plugins.ts";
import { Reader, type ReadResult } from "../server/reader.ts";
import { Reloader } from "../server/reloader.ts";
import { startFailureFields, strayFields } from "../server/failure.ts";
import { startServer, type RunningServer } from "../server/server.ts";
import { FileWatch } from "../server/watch.ts";
import { VERSION } from "../version.ts";
import { DEFAULT_CONFIG, type Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const runCommand: Command = {
  name: "run",
  usage: "[config] [--watch]",
  summary: `run the server (config: ${DEFAULT_CONFIG} when not given)`,
  operands: { min: 0, max: 1 },
  options: { watch: { type: "boolean" } },
  run: ({ operands, options }) =>
    run(operands[0] ?? DEFAULT_CONFIG, { watch: options["watch"] === true }),
};

export interface RunOptions {
  /** Reload when the config, a plugin or anything that one imports changes on disk. */
  readonly watch?: boolean;
}

/** @returns The exit code, when the server has stopped. */
async function run(file: string, { watch = false }: RunOptions = {}): Promise<number> {
  // First: a signal that comes while the server starts must not end it.
  const hangups = new Hangups();
  const reader = new Reader(file, process.env);
  let whole: ReadResult | null = await read(reader);
  if ("diagnostics" in whole) {
    report(whole.diagnostics);
    return EXIT.config;
  }
  const { config } = whole;
  const written = { current: config };
  const log = openLog(written);
  const directory = dirname(config.file);
  // A plugin's stray promise must not take the server down with it (DESIGN §4.4).
  process.on("unhandledRejection", (error) =>
    log.error("unhandled rejection", strayFields(error, directory)),
  );
  process.on("uncaughtException", (error) =>
    log.error("uncaught exception", strayFields(error, directory)),
  );
  // From here on: a signal that comes while the server starts must not end it half-way.
  const told = untilTold();
  let isStarted = false;
  void told.then((signal) => {
    log.info("stopping", { signal });
    // A setup that hangs must not hold up the stop for longer than clients would.
    const giveUp = () => {
      if (isStarted) return;
      log.error("the server did not start in time to be stopped");
      process.exit(EXIT.failed);
    };
    setTimeout(giveUp, config.shutdown.drainMs).unref();
  });
  let server: RunningServer;
  try {
    server = await startServer({ ...whole, log });
    // Reloads may replace its plugins: kept here, the first would never be let go of.
    whole = null;
  } catch (error) {
    const fields = startFailureFields(error, directory);
    log.error(`the server did not start: ${(error as Error).message}`, fields);
    return EXIT.failed;
  }
  isStarted = true;
  log.info("listening", { ...server.urls, version: VERSION, config: config.file });
  const reloader = new Reloader({
    server,
    reader,
    log,
    config,
    report,
    onConfig: (changed) => (written.current = changed),
    onRead: () => files?.watch(reader.files),
  });
  const look = () => void (reader.isStale && reloader.ask("a file changed"));
  const files = watch
    ? new FileWatch({
        root: directory,
        onQuiet: look,
        onUnwatched: (folders, error) => log.warn(...unwatched(folders, error)),
      })
    : null;
  files?.watch(reader.files);
  // What was saved while the plugins were set up.
  if (watch) look();
  hangups.listen(() => void reloader.ask("SIGHUP"));
  await told;
  files?.close();
  void reloader.stop();
  await server.stop();
  log.info("stopped");
  return EXIT.fine;
}

/** A plugin that hangs when it is loaded ends the start, with a word about it. */
async function read(reader: Reader): Promise<ReadResult> {
  using watch = new LoadWatch();
  return await reader.read(watch.guard);
}

function report(diagnostics: readonly Diagnostic[]): void {
  const color = process.stderr.isTTY && !process.env["NO_COLOR"];
  process.stderr.write(formatDiagnostics(diagnostics, { color }));
}

/** What the log says of folders that the system does not watch (inotify(7): ENOSPC, EMFILE). */
function unwatched(folders: readonly string[], { code, message }: NodeJS.ErrnoException) {
  const limits = "fs.inotify.max_user_watches or fs.inotify.max_user_instances";
  const raise = code === "ENOSPC" || code === "EMFILE" ? `raise ${limits}, or ` : "";
  const where = folders.length === 1 ? folders[0]! : `${folders.length} folders`;
  return [
    `what changes in ${where} is not seen; the system refuses to watch more: ${message}`,
    { folders, help: `${raise}reload by SIGHUP` },
  ] as const;
}

/** A log that follows the config that holds. */
function openLog(written: { readonly current: Config }): Log {
  return createLog({
    get level() {
      return written.current.log.level;
    },
    get format() {
      const { format } = written.current.log;
      const isText = format === "text" || (format === "auto" && process.stderr.isTTY);
      return isText ? "text" : "json";
    },
    write: (line) => void process.stderr.write(line),
  });
}

/**
 * SIGHUP, from the first moment on: one that comes before anybody listens is told later. It is also what
 * a terminal sends that is closed: then the server stops, as it would with no handler.
 */
class Hangups {
  #tell: (() => void) | null = null;
  #isMissed = false;

  constructor() {
    const hadTerminal = hasTerminal();
    process.on("SIGHUP", () => {
      if (hadTerminal && !hasTerminal()) process.kill(process.pid, "SIGTERM");
      else if (this.#tell) this.#tell();
      else this.#isMissed = true;
    });
  }

  listen(tell: () => void): void {
    this.#tell = tell;
    if (this.#isMissed) tell();
  }
}

/** Resolves to the first SIGTERM or SIGINT; a second one ends the process at once. */
function untilTold(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isTold = false;
    const tell = (signal: NodeJS.Signals) => {
      if (isTold) process.exit(EXIT.failed);
      isTold = true;
      resolve(signal);
    };
    process.on("SIGTERM", tell);
    process.on("SIGINT", tell);
  });
}

/** Whether this process is one of a terminal's (POSIX: its controlling terminal is `/dev/tty`). */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
