/** Finds a plugin by what a config's `use:` says, imports it and checks what it exports. */
import { stat } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { checkPlugin } from "./check-plugin.ts";
import { LATE, systemClock, within, type Clock } from "./clock.ts";
import { closestWord } from "../suggest.ts";
import { PluginLoadError } from "./errors.ts";
import { gaveUp, importFresh, isImported } from "./fresh-import.ts";
import { explainImportFailure } from "./import-failure.ts";
import { closestFile } from "./import-suggestion.ts";
import { probe } from "./isolate/probe.ts";
import { loadTimeout } from "./load-timeout.ts";
import { readGraph, type ModuleGraph } from "./module-graph.ts";
import * as sdk from "./sdk.ts";
import { findPackageFile, isNpm } from "./npm.ts";
import { importShipped, SHIPPED_NAMES } from "./shipped.ts";
import { Sources } from "./source-text.ts";

export interface LoadedPlugin {
  /** As the config names it. */
  readonly use: string;
  /** Absolute path of its file; null for one that ships. */
  readonly file: string | null;
  readonly plugin: sdk.Plugin;
  /**
   * Another one when the file is another, or anything that it imports; null for one that ships. Not there
   * for a plugin that is given as an object, which is the same as long as the object is.
   */
  readonly version?: string | null;
  /** What its files said when they were loaded: empty for one that ships. */
  readonly sources: Sources;
}

/** Milliseconds that a file's top level may take: one that awaits what never comes must not hang the start. */
const LOAD_LIMIT_MS = 30_000;

/** What is done about a file that may hang the thread that loads it; not for one that is loaded already. */
export interface LoadGuard {
  /** Evaluated in a thread of its own first, and not here when it does not come to an end there. */
  readonly isProbed?: boolean;
  /** Called before the file is evaluated; disposed of after. */
  readonly during?: (file: string) => Disposable;
}

/**
 * Loads a plugin. A file is evaluated once, however often it is used, and again when it changed, or
 * anything that it imports. One that has not been loaded in this version is guarded: see `LoadGuard`.
 *
 * @param use A bare name that ships, a path (`./round.ts`, `../round.ts`, `/srv/round.ts`), or an npm
 *   package that is installed: `npm:some-plugin`.
 * @param directory Absolute path of the folder that a relative path starts from.
 * @throws {PluginLoadError} When there is no such plugin, or its file can't be used as one.
 */
export async function loadPlugin(
  use: string,
  directory: string,
  clock: Clock = systemClock,
  guard: LoadGuard = {},
): Promise<LoadedPlugin> {
  if (!isPath(use) && !isNpm(use)) {
    const shipped = importShipped(use);
    if (!shipped) throw unknownPlugin(use);
    const plugin = checkPlugin(await shipped, use, use);
    return { use, file: null, plugin, version: null, sources: Sources.none };
  }
  const file = isNpm(use) ? findPackageFile(use, directory) : resolve(directory, use);
  await checkFile(use, file, directory);
  provideSdk();
  const graph = guard.isProbed ? await probedGraph(use, file, clock) : readGraph(file);
  using _ = isImported(graph) ? undefined : guard.during?.(file);
  const module = await within(importFile(use, graph), LOAD_LIMIT_MS, clock);
  if (module === LATE) {
    gaveUp(graph.entry);
    throw loadTimeout(use, file, LOAD_LIMIT_MS);
  }
  const sources = Sources.of(file);
  const plugin = checkPlugin(module, use, file, sources);
  return { use, file, plugin, version: graph.hash, sources };
}

/** Absolute path of the file that `use` means, which may not be there; null where there is none to name. */
export function pluginFile(use: string, directory: string): string | null {
  if (isPath(use)) return resolve(directory, use);
  if (!isNpm(use)) return null;
  try {
    return findPackageFile(use, directory);
  } catch {
    return null;
  }
}

/** Whether `use` is a path rather than the name of a plugin that ships. */
function isPath(use: string): boolean {
  return /^\.\.?[/\\]/.test(use) || isAbsolute(use);
}

/** The graph of a file that came to its end in a thread of its own, as it was then. */
async function probedGraph(use: string, file: string, clock: Clock): Promise<ModuleGraph> {
  for (let graph = readGraph(file); ;) {
    if (isImported(graph)) return graph;
    await probe(use, file, LOAD_LIMIT_MS, clock);
    const now = readGraph(file);
    if (now.hash === graph.hash) return graph;
    // It was written meanwhile: what would be imported is not what was tried.
    graph = now;
  }
}

/** Imports a file, and no more: in a thread that is there to see whether it comes to its end. */
export async function evaluate(file: string): Promise<void> {
  provideSdk();
  await import(file);
}

async function importFile(use: string, graph: ModuleGraph): Promise<unknown> {
  try {
    return await importFresh(graph);
  } catch (error) {
    throw explainImportFailure(use, graph.entry, error);
  }
}

async function checkFile(use: string, file: string, directory: string): Promise<void> {
  // Bun takes what follows a "?" for a query and looks for the file before it.
  if (file.includes("?")) {
    throw new PluginLoadError("bad-path", use, `${file} can't be imported: its path has a "?"`);
  }
  const found = await stat(file).catch(() => null);
  if (!found) {
    const closest = closestFile(use, join(directory, "tidewire.yaml"));
    throw new PluginLoadError(
      "file-not-found",
      use,
      `plugin "${use}" is not there: no file ${file}`,
      { help: closest === null ? null : `did you mean "${closest}"?` },
    );
  }
  if (!found.isFile()) {
    throw new PluginLoadError(
      "bad-path",
      use,
      `plugin "${use}" is not a file: ${file} ${found.isDirectory() ? "is a folder; name the file in it" : "is something else"}`,
    );
  }
}

function unknownPlugin(use: string): PluginLoadError {
  const suggestion = closestWord(use, SHIPPED_NAMES);
  const hint = suggestion
    ? `; did you mean "${suggestion}"?`
    : /[/\\.]/.test(use)
      ? `; a file's path starts with "./": did you mean "./${use}"?`
      : ".";
  return new PluginLoadError(
    "unknown-plugin",
    use,
    `no plugin "${use}" ships${hint} Those that ship: ${SHIPPED_NAMES.join(", ")}.`,
    { suggestion },
  );
}

let provided = false;

/**
 * Lets files on disk import "tidewire": in the executable there is no such package to be found, and
 * from source only this project's own files would find it. It goes before `node_modules` and `paths`
 * of a tsconfig.json, so a plugin always has the sdk of the server that it runs in.
 */
function provideSdk(): void {
  if (provided) return;
  provided = true;
  provideModule("tidewire", sdk);
}

/**
 * Lets files on disk import a module of the program by this name.
 *
 * @param exports Its module object.
 */
export function provideModule(name: string, exports: object): void {
  if (name === "tidewire") provided = true;
  Bun.plugin({
    name,
    setup(build) {
      build.module(name, () => ({ exports: { ...exports }, loader: "object" }));
    },
  });
}
