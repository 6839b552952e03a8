/** Loads a config and every plugin that it uses; what is wrong goes to stderr. */
import { loadConfig } from "../config/load.ts";
import { formatDiagnostics } from "../config/diagnostic.ts";
import type { Config } from "../config/config.ts";
import { loadPlugin, type LoadedPlugin } from "../plugin/load.ts";

export interface Loaded {
  readonly config: Config;
  /** Every plugin that the config uses, by its `use`. */
  readonly plugins: ReadonlyMap<string, LoadedPlugin>;
}
