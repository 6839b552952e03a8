/** Finds the package that `use: npm:<package>` names. Nothing is fetched: it is there, or it is an error. */
import { readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { PluginLoadError } from "./errors.ts";

/**
 * A folder beside the config that is looked into first, as though the import stood in a file of it: where
 * the config lies in an app's own project, the packages of plugins have their place there.
 */
export const PLUGINS_FOLDER = "plugins";

export interface PackageName {
  /** `chalk`, `@acme/loud`. */
  readonly name: string;
  /** What is imported of it: `.`, or a subpath such as `./extra`. */
  readonly subpath: string;
}

const SEGMENT = "[A-Za-z0-9~_-][A-Za-z0-9._~-]*";
const NAME = new RegExp(`^((?:@${SEGMENT}/)?${SEGMENT})(@[^/]*)?(/.*)?$`);

/** Whether `use` names an npm package rather than a file or a plugin that ships. */
export function isNpm(use: string): boolean {
  return use.startsWith("npm:");
}

/**
 * Reads `npm:name`, `npm:@scope/name` and `npm:name/subpath`.
 *
 * @throws {PluginLoadError} `bad-package` when it is none of these, or has a version.
 */
export function parsePackage(use: string): PackageName {
  const text = use.slice("npm:".length);
  const [, name, version, rest] = NAME.exec(text) ?? [];
  if (name === undefined || rest === "/" || rest?.split("/").includes("..")) {
    throw refuse(use, `"${use}" names no npm package`, `write npm:name, or npm:@scope/name`);
  }
  if (version !== undefined) {
    const message = `"${use}" has a version, which the lock file says and the config does not`;
    const help = `write npm:${name}${rest ?? ""}, and run "tidewire plugin add ${name}${version === "@" ? "" : version}"`;
    throw refuse(use, message, help);
  }
  return { name, subpath: `.${rest ?? ""}` };
}

/**
 * Finds the file to import: `exports` and `main` of the package decide, as for any import. It is looked
 * for as from a file in `plugins/` beside the config: there, beside the config, and further up.
 *
 * @param directory Absolute path of the folder that the config is in.
 * @returns Absolute path of a file.
 * @throws {PluginLoadError} `package-missing` when it is not installed; its help says what to run.
 *   `bad-package` when the package has no such file.
 */
export function findPackageFile(use: string, directory: string): string {
  const { name, subpath } = parsePackage(use);
  const from = foldersFrom(join(directory, PLUGINS_FOLDER)).find((folder) =>
    isFolder(join(folder, "node_modules", name)),
  );
  if (from === undefined) throw missing(use, name, directory);
  try {
    return Bun.resolveSync(name + subpath.slice(1), from);
  } catch (cause) {
    const home = join(from, "node_modules", name);
    const message = `${subpath === "." ? "nothing" : `no "${subpath}"`} can be imported of package "${name}", ${home}`;
    throw new PluginLoadError("bad-package", use, message, {
      cause,
      help: `its package.json says what can be, under "exports" or "main"`,
    });
  }
}

/** A folder and all that it is in, the nearest first. */
export function foldersFrom(folder: string): readonly string[] {
  const up = dirname(folder);
  return up === folder ? [folder] : [folder, ...foldersFrom(up)];
}

/** The ` --dir …` that a command needs when it is run from here, or nothing. */
function directoryOption(directory: string): string {
  const path = relative(process.cwd(), directory);
  return path === "" ? "" : ` --dir ${/\s/.test(path) ? JSON.stringify(path) : path}`;
}

function refuse(use: string, message: string, help: string): PluginLoadError {
  return new PluginLoadError("bad-package", use, message, { help });
}

function missing(use: string, name: string, directory: string): PluginLoadError {
  const where = directoryOption(directory);
  const isListed = [join(directory, PLUGINS_FOLDER), directory].some((folder) =>
    lists(join(folder, "package.json"), name),
  );
  const help = isListed
    ? `run "tidewire plugin install${where}": package.json lists it`
    : `run "tidewire plugin add ${name}${where}"`;
  const message = `the npm package "${name}" is not installed`;
  return new PluginLoadError("package-missing", use, message, { help });
}

function lists(manifest: string, name: string): boolean {
  try {
    const { dependencies } = JSON.parse(readFileSync(manifest, "utf8")) as Record<string, object>;
    return dependencies !== undefined && Object.hasOwn(dependencies, name);
  } catch {
    return false;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
