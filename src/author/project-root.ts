/** Finds the folder that an author works in. */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/** What says that Tidewire is at home in a folder; a `.tidewire` without types is that of npm packages. */
const SURE = ["tidewire.yaml", ".tidewire/version"];
/** What says so where there is nothing sure above. */
const LIKELY = ["tsconfig.json", "package.json"];

/**
 * Looks in a folder and those above it, up to the root of the Git repository.
 *
 * @param from Absolute path.
 * @returns The nearest folder with a config or the types in `.tidewire`; else the nearest with a tsconfig.json or
 *   package.json; else `from`.
 */
export async function projectRoot(from: string): Promise<string> {
  let likely: string | null = null;
  for (const folder of upwards(from)) {
    if (await hasAny(folder, SURE)) return folder;
    if (likely === null && (await hasAny(folder, LIKELY))) likely = folder;
    if (await exists(join(folder, ".git"))) break;
  }
  return likely ?? from;
}

/**
 * Where packages belong: beside the config, wherever within the project somebody is.
 *
 * @param from Absolute path.
 * @returns The nearest folder with a tidewire.yaml, up to the root of the Git repository; else `from`.
 */
export async function configFolder(from: string): Promise<string> {
  for (const folder of upwards(from)) {
    if (await exists(join(folder, "tidewire.yaml"))) return folder;
    if (await exists(join(folder, ".git"))) break;
  }
  return from;
}

/** The nearest folder, `from` or above, in which there is something of this name. */
export async function nearest(from: string, name: string): Promise<string | null> {
  for (const folder of upwards(from)) if (await exists(join(folder, name))) return folder;
  return null;
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

function* upwards(from: string): Generator<string> {
  yield from;
  if (dirname(from) !== from) yield* upwards(dirname(from));
}

async function hasAny(folder: string, names: readonly string[]): Promise<boolean> {
  for (const name of names) if (await exists(join(folder, name))) return true;
  return false;
}
