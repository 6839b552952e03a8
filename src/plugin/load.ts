/** Finds a plugin by what a config's `use:` says, imports it and checks what it exports. */
import { stat } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { checkPlugin } from "./check-plugin.ts";
import { LATE, systemClock, within, type Clock } from "./clock.ts";
import { closestWord } from "../suggest.ts";
import { PluginLoadError } from "./errors.ts";
import { explainImportFailure } from "./import-failure.ts";
import * as sdk from "./sdk.ts";
import { importShipped, SHIPPED_NAMES } from "./shipped.ts";

export interface LoadedPlugin {
  /** As the config names it. */
  readonly use: string;
  /** Absolute path of its file; null for one that ships. */
  readonly file: string | null;
  readonly plugin: sdk.Plugin;
}

/** Milliseconds that a file's top level may take: one that awaits what never comes must not hang the start. */
const LOAD_LIMIT_MS = 30_000;

/**
 * Loads a plugin. A file is evaluated once in a process, however often it is used.
 *
 * @param use A bare name that ships, or a path: `./round.ts`, `../round.ts`, `/srv/round.ts`.
 * @param directory Absolute path of the folder that a relative path starts from.
 * @throws {PluginLoadError} When there is no such plugin, or its file can't be used as one.
 */
export async function loadPlugin(
  use: string,
  directory: string,
  clock: Clock = systemClock,
): Promise<LoadedPlugin> {
  if (!isPath(use)) {
    const shipped = importShipped(use);
    if (!shipped) throw unknownPlugin(use);
    return { use, file: null, plugin: checkPlugin(await shipped, use, use) };
  }
  const file = resolve(directory, use);
  await checkFile(use, file);
  provideSdk();
  const module = await within(importFile(use, file), LOAD_LIMIT_MS, clock);
  if (module === LATE) {
    throw new PluginLoadError(
      "load-timeout",
      use,
      `${file} was not loaded within ${LOAD_LIMIT_MS / 1000} s; an await at its top level does not end`,
    );
  }
  return { use, file, plugin: checkPlugin(module, use, file) };
}

/** Whether `use` is a path rather than the name of a plugin that ships. */
export function isPath(use: string): boolean {
  return /^\.\.?[/\\]/.test(use) || isAbsolute(use);
}

async function importFile(use: string, file: string): Promise<unknown> {
  try {
    return await import(file);
  } catch (error) {
    throw await explainImportFailure(use, file, error);
  }
}

async function checkFile(use: string, file: string): Promise<void> {
  // Bun takes what follows a "?" for a query and looks for the file before it.
  if (file.includes("?")) {
    throw new PluginLoadError("bad-path", use, `${file} can't be imported: its path has a "?"`);
  }
  const found = await stat(file).catch(() => null);
  if (!found) {
    throw new PluginLoadError(
      "file-not-found",
      use,
      `plugin "${use}" is not there: no file ${file}`,
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
  Bun.plugin({
    name: "tidewire",
    setup(build) {
      build.module("tidewire", () => ({ exports: { ...sdk }, loader: "object" }));
    },
  });
}
