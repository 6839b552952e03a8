/** Tells the config what it has to know of a plugin: its options and where it is. */
import type { ResolvePlugin } from "../config/check-plugins.ts";
import { PluginLoadError } from "../plugin/errors.ts";
import { loadPlugin } from "../plugin/load.ts";
import { SHIPPED_NAMES } from "../plugin/shipped.ts";

export const resolvePlugin: ResolvePlugin = async (use, directory) => {
  try {
    const { plugin, file } = await loadPlugin(use, directory);
    return { options: plugin.options ?? null, file };
  } catch (error) {
    if (error instanceof PluginLoadError && error.code === "unknown-plugin") {
      throw Object.assign(error, { names: SHIPPED_NAMES });
    }
    throw error;
  }
};
