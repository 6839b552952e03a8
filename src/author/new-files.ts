/** Writes files where there are none yet. */
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Files } from "./carried-types.ts";

export interface NewFiles {
  /** Paths below the folder, in order. */
  readonly created: readonly string[];
  /** Those that were there: they are as they were. */
  readonly kept: readonly string[];
}

/**
 * @param root Absolute path of the folder; it and those within it are made.
 * @throws {Error} When one can't be written; its code is that of the system: `EACCES`, `ENOTDIR` …
 */
export async function writeNewFiles(root: string, files: Files): Promise<NewFiles> {
  const created: string[] = [];
  const kept: string[] = [];
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, path);
    await mkdir(dirname(file), { recursive: true });
    (await writeNew(file, text)) ? created.push(path) : kept.push(path);
  }
  return { created, kept };
}

/** @returns false when there is something of this name, be it a link to nowhere. */
async function writeNew(file: string, text: string): Promise<boolean> {
  let handle;
  try {
    handle = await open(file, "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
  return true;
}
