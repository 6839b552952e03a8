/** What a config and the command line need of plugins: their options, and the plugins themselves. */
import { dirname } from "node:path";
import type { TSchema } from "@sinclair/typebox";
import type { ResolvePlugin } from "../config/check-plugins.ts";
import type { Config } from "../config/config.ts";
import { diagnoseLoadError, diagnoseThrown } from "../plugin/diagnose.ts";
import { PluginLoadError } from "../plugin/errors.ts";
import { systemClock } from "../plugin/clock.ts";
import { LoadWatch } from "../plugin/isolate/load-watch.ts";
import { loadPlugin, type LoadedPlugin, type LoadGuard } from "../plugin/load.ts";
import { SHIPPED_NAMES } from "../plugin/shipped.ts";

export { LoadWatch, type LoadGuard };

/** Tells the config what it has to know of a plugin: its options and where it is. */
export const resolvePlugin: ResolvePlugin = (use, directory) => resolve(use, directory, {});

/** The same, with a guard over what hangs when it is loaded. */
export function guardedResolve(guard: LoadGuard): ResolvePlugin {
  return (use, directory) => resolve(use, directory, guard);
}

async function resolve(use: string, directory: string, guard: LoadGuard) {
  try {
    const loaded = await loadPlugin(use, directory, systemClock, guard);
    const { plugin, file } = loaded;
    const check = plugin.check && checkOf(loaded, directory);
    return { options: plugin.options ?? null, file, ...(check ? { check } : {}) };
  } catch (error) {
    if (error instanceof PluginLoadError && error.code === "unknown-plugin") {
      throw Object.assign(error, { names: SHIPPED_NAMES });
    }
    if (error instanceof PluginLoadError) {
      throw Object.assign(error, { diagnostics: diagnoseLoadError(error, directory) });
    }
    throw error;
  }
}

/** The plugin's own check; a mistake in it, rather than in the options, is told with its line. */
function checkOf({ plugin, sources }: LoadedPlugin, directory: string) {
  return (options: unknown): void => {
    try {
      plugin.check!(options as never);
    } catch (error) {
      if (error instanceof TypeError || error instanceof ReferenceError) {
        const diagnostic = diagnoseThrown(error, sources, directory);
        if (diagnostic) throw Object.assign(error, { diagnostics: [diagnostic] });
      }
      throw error;
    }
  };
}

/** Every plugin that a config uses, by its `use`. */
export async function loadPlugins(
  config: Config,
  guard: LoadGuard = {},
): Promise<ReadonlyMap<string, LoadedPlugin>> {
  const plugins = new Map<string, LoadedPlugin>();
  const directory = dirname(config.file);
  for (const { use } of config.channels.flatMap((channel) => channel.plugins)) {
    if (plugins.has(use)) continue;
    plugins.set(use, await loadPlugin(use, directory, systemClock, guard));
  }
  return plugins;
}

/** The options of each plugin that ships, by its name; null where it takes none. */
export async function shippedOptions(): Promise<Record<string, TSchema | null>> {
  const options: Record<string, TSchema | null> = {};
  for (const name of SHIPPED_NAMES) {
    const { plugin } = await loadPlugin(name, process.cwd());
    options[name] = plugin.options ?? null;
  }
  return options;
}
