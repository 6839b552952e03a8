/** Everything that a plugin's file imports, directly or not: what it takes for the plugin to be another. */
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { isOfPackage } from "./source-text.ts";

/** One file of a graph. */
export interface ModuleFile {
  /** Hash of its content; null when it is not there or can't be read. */
  readonly hash: string | null;
  /** Real paths of what it names in an import, a `require` or a `new URL(…, import.meta.url)`. */
  readonly imports: readonly string[];
  /** Paths that lead to one of these by a symbolic link. */
  readonly links: readonly string[];
  /** What it imports and nothing is found for: absolute paths, and names of packages as they are. */
  readonly missing: readonly string[];
}

export interface ModuleGraph {
  /** Real path of the plugin's file. */
  readonly entry: string;
  /** The entry and all that it reaches, by real path. */
  readonly files: ReadonlyMap<string, ModuleFile>;
  /** Another one when any of the files is. */
  readonly hash: string;
}

/** What is looked into for further imports; all else is data. */
const LOADERS: Readonly<Record<string, "tsx" | "ts">> = {
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
  ".jsx": "tsx",
  ".js": "tsx",
  ".mjs": "tsx",
  ".cjs": "tsx",
};

/** Endings that an import may leave out. */
const ENDINGS = ["", ".tsx", ".ts", ".jsx", ".mts", ".cts", ".js", ".mjs", ".cjs", ".json"];

const transpilers = {
  // What is imported for its types alone is not there at run time.
  ts: new Bun.Transpiler({ loader: "ts", trimUnusedImports: true }),
  tsx: new Bun.Transpiler({ loader: "tsx", trimUnusedImports: true }),
};

/** Files of packages, by path, with the size and times that they had: there may be thousands. */
const packageFiles = new Map<string, { readonly stamp: string; readonly file: ModuleFile }>();

/**
 * Reads a file and all that it imports, the files of npm packages and data such as JSON included. A file
 * that is missing or is no JavaScript is a part of the graph all the same: the author will repair it.
 *
 * What is only named at run time, such as `import(name)` or a path that is read, is not found.
 *
 * @param file Absolute path.
 */
export function readGraph(file: string): ModuleGraph {
  const files = new Map<string, ModuleFile>();
  // The runtime remembers for good where a link led to, and imports from there on by real paths.
  const entry = realPath(file);
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file)) continue;
    const read = isOfPackage(file) ? readPackageFile(file) : readModule(file);
    files.set(file, read);
    waiting.push(...read.imports);
  }
  const hasher = new Bun.CryptoHasher("sha256");
  for (const [path, { hash, missing }] of [...files].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    hasher.update(JSON.stringify([path, hash, missing]));
  }
  return { entry, files, hash: hasher.digest("hex") };
}

/** Whether a file is code, rather than data. */
export function isScript(file: string): boolean {
  return extname(file) in LOADERS;
}

function readPackageFile(path: string): ModuleFile {
  const stamp = stampOf(path);
  const known = packageFiles.get(path);
  if (stamp !== null && known?.stamp === stamp) return known.file;
  const file = readModule(path);
  if (stamp === null) packageFiles.delete(path);
  else packageFiles.set(path, { stamp, file });
  return file;
}

function stampOf(path: string): string | null {
  try {
    const { size, mtimeNs, ctimeNs, ino } = statSync(path, { bigint: true });
    return `${size} ${mtimeNs} ${ctimeNs} ${ino}`;
  } catch {
    return null;
  }
}

function readModule(path: string): ModuleFile {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch {
    return { hash: null, imports: [], links: [], missing: [] };
  }
  const hash = new Bun.CryptoHasher("sha256").update(content).digest("hex");
  const loader = LOADERS[extname(path)];
  if (!loader) return { hash, imports: [], links: [], missing: [] };
  const imports = new Set<string>();
  const links = new Set<string>();
  const missing = new Set<string>();
  for (const specifier of specifiersOf(content.toString(), loader)) {
    const found = find(specifier, path);
    if (found === null) continue;
    if (!found.isThere) {
      missing.add(found.path);
      continue;
    }
    const real = realPath(found.path);
    imports.add(real);
    if (real !== found.path) links.add(found.path);
  }
  return {
    hash,
    imports: [...imports],
    links: [...links],
    missing: [...missing].toSorted(),
  };
}

function specifiersOf(source: string, loader: "tsx" | "ts"): string[] {
  // Files beside the plugin that it starts a worker from, or reads.
  const urls = source.matchAll(/\bnew\s+URL\(\s*["'`](\.[^"'`$]+)["'`]\s*,\s*import\.meta\.url/g);
  const found = Array.from(urls, ([, specifier]) => specifier!);
  try {
    for (const { path } of transpilers[loader].scanImports(source)) found.push(path);
  } catch {
    // It does not parse: the import of it tells why.
  }
  return found;
}

/** @returns null for what is built in. */
function find(specifier: string, importer: string): { path: string; isThere: boolean } | null {
  const directory = dirname(importer);
  const isPath = /^(?:\.{0,2}[/\\]|\.{1,2}$|[A-Za-z]:\\)/.test(specifier);
  if (isPath) {
    // Looked up here, for the runtime remembers which files a folder had.
    const base = resolve(directory, specifier);
    for (const ending of ENDINGS) {
      if (isFile(base + ending)) return { path: base + ending, isThere: true };
    }
  } else {
    const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
    if (/^[a-z]+:/.test(specifier) || builtinModules.includes(specifier)) return null;
    if (specifier === "tidewire" || specifier === "bun") return null;
    // Never asked of the runtime where no folder has it: it might fetch the package.
    if (!isInstalled(name, directory) && !specifier.startsWith("#")) {
      return { path: specifier, isThere: false };
    }
  }
  try {
    return { path: Bun.resolveSync(specifier, directory), isThere: true };
  } catch {
    return { path: isPath ? resolve(directory, specifier) : specifier, isThere: false };
  }
}

function isInstalled(name: string, from: string): boolean {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "node_modules", name))) return true;
    if (dirname(folder) === folder) return false;
  }
}

/** The path itself where nothing is there. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
