/** `tidewire run [config]`: runs the server until it is told to stop. */
import type { Config } from "../config/config.ts";
import { formatDiagnostics } from "../diagnostic/diagnostic.ts";
import { loadConfig } from "../config/load.ts";
import { createLog, type Log } from "../log.ts";
import { loadPlugins, resolvePlugin } from "../server/plugins.ts";
import { ListenError, startServer, type RunningServer } from "../server/server.ts";
import { VERSION } from "../version.ts";
import { DEFAULT_CONFIG, type Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const runCommand: Command = {
  name: "run",
  usage: "[config]",
  summary: `run the server (config: ${DEFAULT_CONFIG} when not given)`,
  operands: { min: 0, max: 1 },
  options: {},
  run: ({ operands }) => run(operands[0] ?? DEFAULT_CONFIG),
};

/** @returns The exit code, when the server has stopped. */
export async function run(file: string): Promise<number> {
  const loaded = await loadConfig(file, { env: process.env, resolvePlugin });
  if (!("config" in loaded)) {
    const color = process.stderr.isTTY && !process.env["NO_COLOR"];
    process.stderr.write(formatDiagnostics(loaded.diagnostics, { color }));
    return EXIT.config;
  }
  const { config } = loaded;
  const log = openLog(config);
  // A plugin's stray promise must not take the server down with it (DESIGN §4.4).
  process.on("unhandledRejection", (error) => log.error("unhandled rejection", { error }));
  process.on("uncaughtException", (error) => log.error("uncaught exception", { error }));
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
    server = await startServer({ config, plugins: await loadPlugins(config), log });
  } catch (error) {
    // A stack is of use where a plugin failed, not where a port is taken.
    const fields = error instanceof ListenError ? {} : { error };
    log.error(`the server did not start: ${(error as Error).message}`, fields);
    return EXIT.failed;
  }
  isStarted = true;
  log.info("listening", { ...server.urls, version: VERSION, config: config.file });
  await told;
  await server.stop();
  log.info("stopped");
  return EXIT.fine;
}

function openLog({ log: { level, format } }: Config): Log {
  const isText = format === "text" || (format === "auto" && process.stderr.isTTY);
  return createLog({
    level,
    format: isText ? "text" : "json",
    write: (line) => void process.stderr.write(line),
  });
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
