/** Watches the files that a server is made of, wherever they lie. */
import { existsSync, statSync, watch, type FSWatcher } from "node:fs";
import { dirname, join, sep } from "node:path";

/** Milliseconds without another event after which files are looked at: an editor writes in several steps. */
const QUIET_MS = 60;

export interface WatchOptions {
  /** Absolute path of the folder that folders above are not watched of, such as the config's. */
  readonly root: string;
  /** Something happened in one of the folders, and nothing more for a moment. */
  readonly onQuiet: () => void;
  readonly quietMs?: number;
}

/** A folder that is watched; another one of the same name has another `id`. */
interface Watched {
  readonly id: string;
  readonly watcher: FSWatcher;
}

export class FileWatch {
  readonly #options: WatchOptions;
  readonly #folders = new Map<string, Watched>();
  #wanted: ReadonlySet<string> = new Set();
  #quiet: Timer | null = null;

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
    this.#wanted = new Set([...files].flatMap((file) => this.#foldersOf(file)));
    this.#refresh();
  }

  close(): void {
    this.#wanted = new Set();
    this.#refresh();
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
    for (const folder of this.#wanted) if (!this.#folders.has(folder)) this.#add(folder);
  }

  #add(folder: string): void {
    const id = idOf(folder);
    if (id === null) return;
    try {
      const watcher = watch(folder, () => this.#changed());
      // The folder went away: what is above it tells when it is there again.
      watcher.on("error", () => this.#changed());
      this.#folders.set(folder, { id, watcher });
    } catch {
      // It went away just now, or the system watches no more folders for this user.
    }
  }

  #changed(): void {
    if (this.#quiet) clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.#refresh();
      this.#options.onQuiet();
    }, this.#options.quietMs ?? QUIET_MS);
  }
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
