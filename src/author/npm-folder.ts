/** Where the npm packages of plugins are kept: a package.json, its lock file and node_modules. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { foldersFrom, PLUGINS_FOLDER } from "../plugin/npm.ts";
import { VERSION } from "../version.ts";

/** Lock files of those who keep an app's packages in another way. */
const FOREIGN_LOCKS = ["package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"];
const LOCK = "bun.lock";

/**
 * What an installation takes for the package "tidewire". The server gives plugins its own sdk, whatever
 * a registry has under that name, and nobody else's package is to be installed in its place.
 */
const SDK_FOLDER = ".tidewire/sdk";
const SDK = {
  name: "tidewire",
  version: VERSION,
  private: true,
  description: "Stands for what the Tidewire server gives to plugins. Written by: tidewire plugin",
};

/** A package.json, as far as it is of interest here. */
export interface Manifest {
  readonly [key: string]: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly overrides?: Readonly<Record<string, unknown>>;
}

/**
 * The folder that packages are added to: the config's own, so that plugins beside it and an editor find
 * them too. `plugins/` beside the config where that has a package.json, and where the config lies in a
 * project whose packages npm, yarn or pnpm keep: that one is left alone.
 *
 * @param directory Absolute path of the folder that the config is in.
 */
export function packageFolder(directory: string): string {
  const own = join(directory, PLUGINS_FOLDER);
  if (existsSync(join(own, "package.json"))) return own;
  if (!existsSync(join(directory, "package.json"))) return directory;
  for (const folder of foldersFrom(directory)) {
    if (existsSync(join(folder, LOCK)) || existsSync(join(folder, "bun.lockb"))) return directory;
    if (FOREIGN_LOCKS.some((lock) => existsSync(join(folder, lock)))) return own;
  }
  return directory;
}

/** Folders with packages of their own, by their lock file: the config's, and `plugins/` beside it. */
export function lockedFolders(directory: string): readonly string[] {
  return [directory, join(directory, PLUGINS_FOLDER)].filter((folder) =>
    existsSync(join(folder, LOCK)),
  );
}

/**
 * The package.json of a folder.
 *
 * @returns null where there is none.
 * @throws {SyntaxError} When it is no JSON object.
 */
export function readManifest(folder: string): Manifest | null {
  const file = join(folder, "package.json");
  if (!existsSync(file)) return null;
  const manifest: unknown = JSON.parse(readFileSync(file, "utf8"));
  if (typeof manifest === "object" && manifest !== null && !Array.isArray(manifest)) {
    return manifest as Manifest;
  }
  throw new SyntaxError("it is no JSON object");
}

/**
 * Makes a folder ready for an installation: it has a package.json, which says what "tidewire" is.
 *
 * @throws {SyntaxError} When its package.json is no JSON.
 */
export function prepareFolder(folder: string): void {
  const manifest = readManifest(folder) ?? { private: true };
  mkdirSync(folder, { recursive: true });
  const overrides = { tidewire: `file:./${SDK_FOLDER}`, ...manifest.overrides };
  if (!manifest.overrides || !("tidewire" in manifest.overrides)) {
    const text = `${JSON.stringify({ ...manifest, overrides }, null, 2)}\n`;
    writeFileSync(join(folder, "package.json"), text);
  }
  if (overrides.tidewire === `file:./${SDK_FOLDER}`) writeSdk(folder);
}

/** A fresh checkout may lack it: nothing that is in it is anybody's work. */
export function writeSdk(folder: string): void {
  const path = join(folder, SDK_FOLDER);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "package.json"), `${JSON.stringify(SDK, null, 2)}\n`);
}

/** Remembers the files that an installation writes, so that one that fails leaves nothing behind. */
export function rememberFolder(folder: string): { restore(): void } {
  const before = ["package.json", LOCK].map((name) => {
    const file = join(folder, name);
    return { file, text: existsSync(file) ? readFileSync(file) : null };
  });
  const made = [folder, join(folder, "node_modules"), join(folder, ".tidewire")].filter(
    (path) => !existsSync(path),
  );
  return {
    restore() {
      for (const { file, text } of before) {
        if (text === null) rmSync(file, { force: true });
        else writeFileSync(file, text);
      }
      for (const path of made) rmSync(path, { recursive: true, force: true });
    },
  };
}
