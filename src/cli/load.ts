/** Loads a config and every plugin that it uses; what is wrong goes to stderr. */
import { dirname } from "node:path";
import { formatDiagnostics } from "../config/diagnostic.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { loadPlugin, type LoadedPlugin } from "../plugin/load.ts";
import { resolvePlugin } from "./resolve-plugin.ts";

export interface Loaded {
  readonly config: Config;
  /** Every plugin that the config uses, by its `use`. */
  readonly plugins: ReadonlyMap<string, LoadedPlugin>;
}

/** @returns null when something is wrong, which has been told then. */
export async function loadAll(file: string): Promise<Loaded | null> {
  const result = await loadConfig(file, { env: process.env, resolvePlugin });
  if (!("config" in result)) {
    const color = process.stderr.isTTY && !process.env["NO_COLOR"];
    process.stderr.write(formatDiagnostics(result.diagnostics, { color }));
    return null;
  }
  const { config } = result;
  const plugins = new Map<string, LoadedPlugin>();
  for (const { use } of config.channels.flatMap((channel) => channel.plugins)) {
    if (!plugins.has(use)) plugins.set(use, await loadPlugin(use, dirname(config.file)));
  }
  return { config, plugins };
}
