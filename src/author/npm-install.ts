/** Adds, installs and removes the npm packages of plugins, by the package installer in the executable. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { foldersFrom } from "../plugin/npm.ts";
import { runBun } from "./bun-command.ts";
import {
  lockedFolders,
  packageFolder,
  prepareFolder,
  readManifest,
  rememberFolder,
  writeSdk,
  type Manifest,
} from "./npm-folder.ts";

/** An installation that failed; the message tells what the installer said. */
export class InstallError extends Error {
  override readonly name = "InstallError";
}

export interface AddedPackage {
  readonly name: string;
  /** Its version; as it was given where a package has none. */
  readonly version: string;
}

export interface Installed {
  /** Absolute path of the folder that has package.json, bun.lock and node_modules. */
  readonly folder: string;
  readonly packages: readonly AddedPackage[];
  /** There are install scripts that were not run. */
  readonly hasBlockedScripts: boolean;
}

export interface AddOptions {
  /** Absolute path of the folder that the config is in. */
  readonly directory: string;
  /** What relative paths start from. */
  readonly cwd: string;
}

/**
 * Adds packages, pinned to the very version: `name`, `name@1.2.3`, `@scope/name`, a folder, a tarball.
 *
 * @throws {InstallError} When one can't be had: then everything is as it was before.
 */
export async function addPackages(
  specs: readonly string[],
  { directory, cwd }: AddOptions,
): Promise<Installed> {
  const folder = packageFolder(directory);
  const before = manifestOf(folder);
  const memory = rememberFolder(folder);
  const asked = specs.map((spec) => locate(spec, { folder, cwd }));
  try {
    prepareFolder(folder);
    const hasBlockedScripts = await install(["add", "--exact", ...asked], folder);
    const added = addedNames(before, manifestOf(folder), asked);
    const packages = added.map((name) => ({ name, version: versionOf(name, folder) }));
    return { folder, packages, hasBlockedScripts };
  } catch (error) {
    memory.restore();
    throw error;
  }
}

/**
 * Installs what the lock files beside a config say, and nothing else.
 *
 * @throws {InstallError} When there is no lock file, or it does not fit its package.json.
 */
export async function installPackages(directory: string): Promise<readonly Installed[]> {
  const folders = lockedFolders(directory);
  if (folders.length === 0) {
    throw new InstallError(
      `there is no bun.lock in ${directory}: no package was added yet; "tidewire plugin add <package>" adds one`,
    );
  }
  const installed: Installed[] = [];
  for (const folder of folders) {
    const { dependencies = {}, overrides = {} } = manifestOf(folder) ?? {};
    if ("tidewire" in overrides) writeSdk(folder);
    const hasBlockedScripts = await install(["install", "--frozen-lockfile"], folder);
    const packages = Object.keys(dependencies).map((name) => ({
      name,
      version: versionOf(name, folder),
    }));
    installed.push({ folder, packages, hasBlockedScripts });
  }
  return installed;
}

/**
 * Removes packages, and what they alone needed.
 *
 * @returns The folder that they were in.
 * @throws {InstallError} When one of them was never added.
 */
export async function removePackages(names: readonly string[], directory: string): Promise<string> {
  const folder = packageFolder(directory);
  const { dependencies = {}, overrides = {} } = manifestOf(folder) ?? {};
  for (const name of names) {
    if (Object.hasOwn(dependencies, name)) continue;
    const added = Object.keys(dependencies);
    const has = added.length > 0 ? `; it lists ${added.join(", ")}` : "";
    throw new InstallError(`${join(folder, "package.json")} does not list "${name}"${has}`);
  }
  if ("tidewire" in overrides) writeSdk(folder);
  await install(["remove", ...names], folder);
  return folder;
}

/** @returns Whether there are install scripts that were not run. */
async function install(args: readonly string[], folder: string): Promise<boolean> {
  const { code, stdout, stderr } = await runBun([...args, "--no-progress"], {
    cwd: folder,
    env: { NO_COLOR: "1", FORCE_COLOR: undefined },
  });
  if (code !== 0) throw new InstallError(whyOf(stderr, stdout));
  return /^Blocked \d+/m.test(stdout);
}

/** The installer's own sentences, without its account of how far it came. */
function whyOf(stderr: string, stdout: string): string {
  const lines = stderr.split("\n").filter((line) => /^(error|warn)(\(.*?\))?:/.test(line));
  const told = [...new Set(lines.map((line) => line.replace(/^(error|warn)(\(.*?\))?:\s*/, "")))];
  return (
    told.map(inWords).join("\n") ||
    stderr.trim() ||
    stdout.trim() ||
    "the installer failed without a word"
  );
}

/** `GET https://registry…/lodahs - 404` does not say that it is the name that is wrong. */
function inWords(sentence: string): string {
  const url = /^GET (\S+) - 404$/.exec(sentence)?.[1];
  if (url === undefined || !URL.canParse(url)) return sentence;
  const name = decodeURIComponent(new URL(url).pathname).split("/").slice(-2);
  const shown = name[0]?.startsWith("@") ? name.join("/") : name.at(-1);
  return `the registry has no package "${shown}": ${sentence}`;
}

function manifestOf(folder: string): Manifest | null {
  try {
    return readManifest(folder);
  } catch (error) {
    throw new InstallError(`${join(folder, "package.json")}: ${(error as Error).message}`);
  }
}

/** A path becomes one from the folder on, as package.json will have it; a name stays as it is. */
function locate(spec: string, { folder, cwd }: { folder: string; cwd: string }): string {
  // The installer would take it for an option of its own.
  if (spec.startsWith("-")) throw new InstallError(`"${spec}" is not a package`);
  const text = spec.startsWith("file:") ? spec.slice("file:".length) : spec;
  const isPath = text !== spec || /^\.{1,2}([/\\]|$)|^~[/\\]/.test(text) || isAbsolute(text);
  // `loud-1.0.0.tgz` could be nothing else.
  if (!isPath && !(/\.(tgz|tar\.gz)$/.test(text) && existsSync(resolve(cwd, text)))) return spec;
  const path = text.startsWith("~") ? join(homedir(), text.slice(1)) : resolve(cwd, text);
  if (!existsSync(path)) throw new InstallError(`${path} is not there`);
  const from = relative(folder, path).replaceAll(sep, "/");
  return from.startsWith("../") ? from : `./${from}`;
}

function addedNames(
  before: Manifest | null,
  after: Manifest | null,
  asked: readonly string[],
): readonly string[] {
  const old = before?.dependencies ?? {};
  return Object.entries(after?.dependencies ?? {})
    .filter(([name, wanted]) => {
      if (old[name] !== wanted) return true;
      const isNamed = asked.some((spec) => spec === name || spec.startsWith(`${name}@`));
      return isNamed || asked.some((spec) => wanted.endsWith(spec.replace(/^\.\//, "")));
    })
    .map(([name]) => name);
}

/** The version that is installed: in a workspace it may lie further up. */
function versionOf(name: string, folder: string): string {
  for (const up of foldersFrom(folder)) {
    const file = join(up, "node_modules", name, "package.json");
    if (!existsSync(file)) continue;
    const { version } = JSON.parse(readFileSync(file, "utf8")) as { version?: unknown };
    return typeof version === "string" ? version : "without a version";
  }
  return "not installed";
}
