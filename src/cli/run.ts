/** `tidewire run [config]`: runs the server until it is told to stop. */
import type { Config } from "../config/config.ts";
import { formatDiagnostics } from "../config/diagnostic.ts";
import { loadConfig } from "../config/load.ts";
import { createLog, type Log } from "../log.ts";
import { loadPlugins, resolvePlugin } from "../server/plugins.ts";
import { startServer, type RunningServer } from "../server/server.ts";
import { VERSION } from "../version.ts";
import { EXIT } from "./exit.ts";

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
  let server: RunningServer;
  try {
    server = await startServer({ config, plugins: await loadPlugins(config), log });
  } catch (error) {
    log.error(`the server did not start: ${(error as Error).message}`, { error });
    return EXIT.failed;
  }
  log.info("listening", { ...server.urls, version: VERSION, config: config.file });
  await untilStopped(server, log);
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

/** Resolves when a first SIGTERM or SIGINT has stopped the server; a second one does not wait. */
function untilStopped(server: RunningServer, log: Log): Promise<void> {
  return new Promise((resolve, reject) => {
    let isStopping = false;
    const stop = (signal: NodeJS.Signals) => {
      if (isStopping) process.exit(EXIT.failed);
      isStopping = true;
      log.info("stopping", { signal, connections: server.connections });
      server.stop().then(resolve, reject);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}
