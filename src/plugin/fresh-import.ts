/**
 * Imports files so that each one that changed on disk is evaluated again, and all that import it.
 *
 * The runtime keeps a module for as long as the process lives. Taken out of `require.cache` it is read
 * anew by the next import; who holds the old one keeps it.
 */
import { isScript, type ModuleGraph } from "./module-graph.ts";
import { isOfPackage } from "./source-text.ts";

/** What `imported` says of a file that may be half-way in: no file hashes to it. */
const HALF = "";

/** The hash of what each imported file held, by real path. */
const imported = new Map<string, string | null>();
/** Which files were seen to import a file. */
const importers = new Map<string, Set<string>>();
/** Entries of which an earlier version never came to its end, with how often: see `specifierOf`. */
const stuck = new Map<string, number>();

/**
 * Imports the entry of a graph that was read just now.
 *
 * @throws Whatever the import throws. The next one starts afresh then, with what the files hold by that
 *   time.
 */
export async function importFresh(graph: ModuleGraph): Promise<unknown> {
  const { entry, files } = graph;
  for (const [file, { imports }] of files) {
    for (const each of imports) {
      const known = importers.get(each);
      if (known) known.add(file);
      else importers.set(each, new Set([file]));
    }
  }
  const changed = [...files].filter(([file, { hash }]) => {
    return imported.has(file) && imported.get(file) !== hash;
  });
  for (const file of withImporters(changed.map(([path]) => path))) forget(file);
  // Until it is known to have worked.
  const fresh = [...files.keys()].filter((file) => !imported.has(file));
  for (const file of fresh) imported.set(file, HALF);
  try {
    const module: unknown = await import(specifierOf(entry));
    for (const file of fresh) imported.set(file, files.get(file)!.hash);
    return module;
  } catch (error) {
    await dropHalf(graph);
    throw error;
  }
}

/** Whether all files of the graph were imported as they are: an import evaluates none of them again. */
export function isImported({ entry, files }: ModuleGraph): boolean {
  if (stuck.has(entry) && !(specifierOf(entry) in require.cache)) return false;
  return [...files].every(([file, { hash }]) => imported.get(file) === hash);
}

/**
 * The entry's last import did not come to its end in time: an await at its top level does not. Such a
 * module can't be taken out, so that the next version goes by another name.
 */
export function gaveUp(entry: string): void {
  stuck.set(entry, (stuck.get(entry) ?? 0) + 1);
}

/** Lets go of the modules of all files but these, which nothing imports any more. */
export function keepOnly(files: ReadonlySet<string>): void {
  for (const file of imported.keys()) if (!files.has(file)) forget(file);
  for (const file of importers.keys()) if (!files.has(file)) importers.delete(file);
}

function specifierOf(entry: string): string {
  const times = stuck.get(entry);
  return times === undefined ? entry : `${entry}?again=${times}`;
}

/**
 * A module that was read and not evaluated, for another one failed, is neither in `require.cache` nor read
 * again. An import of its own evaluates it, or finds it broken: after either it can be let go of.
 */
async function dropHalf({ files }: ModuleGraph): Promise<void> {
  for (const file of files.keys()) {
    if (!isScript(file) || isOfPackage(file) || file in require.cache) continue;
    await import(file).catch(() => {});
  }
}

function withImporters(files: readonly string[]): ReadonlySet<string> {
  const all = new Set<string>();
  const waiting = [...files];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (all.has(file)) continue;
    all.add(file);
    waiting.push(...(importers.get(file) ?? []));
  }
  return all;
}

function forget(file: string): void {
  imported.delete(file);
  delete require.cache[specifierOf(file)];
  delete require.cache[file];
}
