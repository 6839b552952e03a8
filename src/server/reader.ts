/** Reads all that a server is made of, the config and its plugins, and knows which files that was. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import type { Environment } from "../config/interpolate.ts";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import { keepOnly } from "../plugin/fresh-import.ts";
import { pluginFile, type LoadedPlugin } from "../plugin/load.ts";
import { readGraph, type ModuleGraph } from "../plugin/module-graph.ts";
import { guardedResolve, loadPlugins, type LoadGuard } from "./plugins.ts";

/** A config with the plugins that it uses. */
export interface Whole {
  readonly config: Config;
  /** Every plugin that the config uses, by its `use`. */
  readonly plugins: ReadonlyMap<string, LoadedPlugin>;
}

export type ReadResult = Whole | { readonly diagnostics: readonly Diagnostic[] };

export class Reader {
  readonly #file: string;
  readonly #env: Environment;
  /** Hashes of the config and of the files that it names, as they were when they were read last. */
  #texts = new Map<string, string>();
  /** What the plugins' files import, as it was when they were loaded last, by the plugin's file. */
  #graphs = new Map<string, ModuleGraph>();

  /** @param file The config, as messages will name it. */
  constructor(file: string, env: Environment) {
    this.#file = file;
    this.#env = env;
  }

  /**
   * Reads everything from disk.
   *
   * @param guard Over plugins that hang when they are loaded.
   * @throws {PluginLoadError} When a plugin's file was changed to a wrong one while it was read.
   */
  async read(guard: LoadGuard = {}): Promise<ReadResult> {
    const resolvePlugin = guardedResolve(guard);
    // Of the moment before: what is changed meanwhile counts as changed after.
    this.#texts = new Map([[resolve(this.#file), hashOf(this.#file)]]);
    this.#graphs = new Map();
    const loaded = await loadConfig(this.#file, {
      env: this.#env,
      onFile: (file) => void this.#texts.set(file, hashOf(file)),
      resolvePlugin: (use, directory) => {
        const file = pluginFile(use, directory);
        if (file !== null) this.#graphs.set(file, readGraph(file));
        return resolvePlugin(use, directory);
      },
    });
    if ("diagnostics" in loaded) return loaded;
    return { config: loaded.config, plugins: await loadPlugins(loaded.config, guard) };
  }

  /** Whether any of the files is another than when it was read. */
  get isStale(): boolean {
    return (
      [...this.#texts].some(([file, hash]) => hashOf(file) !== hash) ||
      [...this.#graphs].some(([file, { hash }]) => readGraph(file).hash !== hash)
    );
  }

  /** Absolute paths of all files that were read, or looked for. */
  get files(): ReadonlySet<string> {
    const files = new Set([...this.#texts.keys(), ...this.#graphs.keys()]);
    for (const { files: modules } of this.#graphs.values()) {
      for (const [file, { links, missing }] of modules) {
        for (const each of [file, ...links]) files.add(each);
        // A package that is missing would be found in a folder of packages beside it.
        for (const each of missing) files.add(resolve(dirname(file), "node_modules", each));
      }
    }
    return files;
  }

  /** What was read last holds now: modules of plugins that no channel uses any more are let go of. */
  settle(): void {
    keepOnly(new Set([...this.#graphs.values()].flatMap(({ files }) => [...files.keys()])));
  }
}

function hashOf(file: string): string {
  try {
    return new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex");
  } catch {
    return "";
  }
}
