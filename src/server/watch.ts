/** Watches the files that a server is made of, wherever they lie. */
import {
  existsSync,
  lstatSync,
  readlinkSync,
  statSync,
  watch as watchFolder,
  type FSWatcher,
} from "node:fs";
import { dirname, extname, join, parse, resolve, sep } from "node:path";
import { isScript } from "../plugin/module-graph.ts";

/** Milliseconds without another event after which files are looked at: an editor writes in several steps. */
const QUIET_MS = 60;
/** Milliseconds after which they are looked at though it does not get quiet: something may write all the time. */
const LONGEST_MS = 1000;
/** Links on the way to one file that are followed, as Linux does. */
const MAX_LINKS = 40;

export interface WatchOptions {
  /** Absolute path of the folder that folders above are not watched of, such as the config's. */
  readonly root: string;
  /** Something happened to what is watched, or beside it, and nothing more for a moment. */
  readonly onQuiet: () => void;
  /** Folders are there and can't be watched: what changes in them is not seen. Called once for each. */
  readonly onUnwatched?: (folders: readonly string[], error: Error) => void;
  readonly quietMs?: number;
  /** The system's way of watching one folder. */
  readonly watchFolder?: typeof watchFolder;
}

/** A folder that is watched; another one of the same name has another `id`. */
interface Watched {
  readonly id: string;
  readonly watcher: FSWatcher;
}

export class FileWatch {
  readonly #options: WatchOptions;
  readonly #folders = new Map<string, Watched>();
  readonly #unwatched = new Set<string>();
  #wanted: ReadonlySet<string> = new Set();
  /** The files, and the links on the way to them. */
  #paths: ReadonlySet<string> = new Set();
  #quiet: Timer | null = null;
  /** When the first of the events came that nobody was told of yet; milliseconds that only count up. */
  #sinceMs = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /**
   * Watches the folders of these files, and no others any more. Folders rather than files: many editors
   * put a new file in the place of the old one.
   *
   * @param files Absolute paths; they need not be there.
   */
  watch(files: Iterable<string>): void {
    this.#paths = new Set([...files].flatMap(withLinks));
    this.#wanted = new Set([...this.#paths].flatMap((file) => this.#foldersOf(file)));
    this.#refresh();
  }

  close(): void {
    this.watch([]);
    if (this.#quiet) clearTimeout(this.#quiet);
  }

  /** The folder of a file, and those between it and the root: one of them may be replaced. */
  #foldersOf(file: string): string[] {
    const { root } = this.#options;
    const folder = dirname(packageRoot(file) ?? file);
    const folders = [folder];
    let above = folder;
    while (above.startsWith(root + sep)) folders.push((above = dirname(above)));
    // What is not there comes up in the folder above it.
    for (let one = folder; !existsSync(one) && dirname(one) !== one;) {
      folders.push((one = dirname(one)));
    }
    return folders;
  }

  #refresh(): void {
    for (const [folder, { id, watcher }] of this.#folders) {
      if (this.#wanted.has(folder) && idOf(folder) === id) continue;
      watcher.close();
      this.#folders.delete(folder);
    }
    const unwatched: string[] = [];
    let error: Error | null = null;
    for (const folder of this.#wanted) {
      if (this.#folders.has(folder)) continue;
      const failure = this.#add(folder);
      if (failure === null || this.#unwatched.has(folder)) continue;
      this.#unwatched.add(folder);
      unwatched.push(folder);
      error = failure;
    }
    if (error) this.#options.onUnwatched?.(unwatched, error);
  }

  /** @returns Why it can't be watched, though it is there; else null. */
  #add(folder: string): Error | null {
    const id = idOf(folder);
    if (id === null) return null;
    const { watchFolder: open = watchFolder } = this.#options;
    try {
      const watcher = open(folder, (_event, name) => this.#happened(folder, name));
      // The folder went away: what is above it tells when it is there again.
      watcher.on("error", () => this.#changed());
      this.#folders.set(folder, { id, watcher });
      return null;
    } catch (error) {
      // Where it went away just now the folder above it tells.
      return existsSync(folder) ? (error as Error) : null;
    }
  }

  /** A database or a log that grows beside the config is none of what a server is made of. */
  #happened(folder: string, name: string | Buffer | null): void {
    const path = name === null ? null : join(folder, String(name));
    if (path === null || this.#paths.has(path) || this.#wanted.has(path)) return this.#changed();
    // What is imported without its ending may come to be, or be found before what is found now.
    const ending = extname(path);
    if (ending === "" || ending === ".json" || isScript(path)) this.#changed();
  }

  #changed(): void {
    const { quietMs = QUIET_MS } = this.#options;
    const now = performance.now();
    if (this.#quiet) clearTimeout(this.#quiet);
    else this.#sinceMs = now;
    this.#quiet = setTimeout(
      () => {
        this.#quiet = null;
        this.#refresh();
        this.#options.onQuiet();
      },
      Math.min(quietMs, this.#sinceMs + LONGEST_MS - now),
    );
  }
}

/** A file and the links on the way to it, each of which may come to lead elsewhere. */
function withLinks(file: string): string[] {
  const paths = [file];
  let path = file;
  for (let link = firstLink(path); link !== null && paths.length <= MAX_LINKS;) {
    paths.push(link.at);
    path = resolve(dirname(link.at), link.target) + path.slice(link.at.length);
    link = firstLink(path);
  }
  if (path !== file) paths.push(path);
  return paths;
}

function firstLink(path: string): { readonly at: string; readonly target: string } | null {
  const { root } = parse(path);
  let at = root;
  for (const name of path.slice(root.length).split(sep)) {
    at = join(at, name);
    try {
      if (lstatSync(at).isSymbolicLink()) return { at, target: readlinkSync(at) };
    } catch {
      return null;
    }
  }
  return null;
}

/** A file in the folder that a package is installed in: that changes whenever the package does. */
function packageRoot(file: string): string | null {
  const found = /^(.*[/\\]node_modules[/\\](?:@[^/\\]+[/\\])?[^/\\]+)/.exec(file);
  return found && join(found[1]!, "package.json");
}

function idOf(folder: string): string | null {
  try {
    const { ino, dev } = statSync(folder);
    return `${dev} ${ino}`;
  } catch {
    return null;
  }
}
