/** The text of a plugin's files as it was when they were loaded: what a code frame shows is what runs. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, extname, resolve } from "node:path";

/** Files of one plugin that are kept: its own, not those of npm packages. */
const MAX_FILES = 64;
/** Bytes of one file. A longer one is no code that a person wrote, and gets no frame. */
const MAX_BYTES = 512 * 1024;

interface Source {
  readonly text: string;
  /** Bun's record of the module that the text was evaluated as; undefined where it was not, here. */
  readonly module: unknown;
}

/** Texts of modules that are loaded: a file that changed since still has the text that it was loaded as. */
const loaded = new WeakMap<object, string>();

/** Those that are in use, by the plugin's own file. */
const inUse = new Map<string, WeakRef<Sources>>();

export class Sources {
  /** Of a plugin that ships. */
  static readonly none = new Sources(new Map());
  readonly #sources: ReadonlyMap<string, Source>;
  readonly #isChecked: boolean;

  private constructor(sources: ReadonlyMap<string, Source>, isChecked = false) {
    this.#sources = sources;
    this.#isChecked = isChecked;
  }

  /**
   * Reads a plugin's file and what it imports by relative paths, at most 64 files of 512 KiB. Never
   * throws: what can't be read has no frame. To be called right after the import.
   */
  static of(file: string): Sources {
    const sources = new Map<string, Source>();
    const waiting = [file];
    for (let next = waiting.pop(); next && sources.size < MAX_FILES; next = waiting.pop()) {
      const path = realPath(next);
      if (path === null || sources.has(path) || isOfPackage(path)) continue;
      const module = require.cache[path];
      const text = (module && loaded.get(module)) ?? read(path);
      if (text === null) continue;
      if (module) loaded.set(module, text);
      sources.set(path, { text, module });
      waiting.push(...relativeImports(path, text));
    }
    const made = new Sources(sources);
    const [main] = made.files;
    if (main !== undefined) inUse.set(main, new WeakRef(made));
    return made;
  }

  /** Those of all plugins that are in use now. */
  static *all(): Iterable<Sources> {
    for (const [file, reference] of inUse) {
      const sources = reference.deref();
      if (sources) yield sources;
      else inUse.delete(file);
    }
  }

  /**
   * The same for a plugin in a worker thread, which reads its files anew when it is started again: what
   * was loaded here may be another text than what runs there, unless the file is still as it was.
   */
  ofWorker(): Sources {
    return new Sources(this.#sources, true);
  }

  /** Absolute paths, the plugin's own file first. */
  get files(): readonly string[] {
    return [...this.#sources.keys()];
  }

  /**
   * The text of a file of this plugin; null for any other file. Null too when the file was loaded anew
   * since: Bun then tells the lines of the old code by the source map of the new, so they are wrong.
   */
  text(file: string): string | null {
    const source = this.#sources.get(file);
    if (!source || require.cache[file] !== source.module) return null;
    return this.#isChecked && read(file) !== source.text ? null : source.text;
  }
}

/** Whether a file belongs to an npm package. */
export function isOfPackage(file: string): boolean {
  return /[/\\]node_modules[/\\]/.test(file);
}

function realPath(file: string): string | null {
  try {
    return realpathSync(file);
  } catch {
    return null;
  }
}

function read(file: string): string | null {
  try {
    const { size } = statSync(file);
    return size > MAX_BYTES ? null : readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** Where the relative imports of a file lead, as far as there is something. */
function relativeImports(file: string, text: string): string[] {
  const transpiler = /\.[cm]?[jt]sx?$/.test(file) ? transpilers[loaderOf(file)] : null;
  if (!transpiler) return [];
  try {
    return transpiler.scanImports(text).flatMap(({ path }) => {
      if (!/^\.{0,2}\//.test(path)) return [];
      try {
        return [Bun.resolveSync(path, dirname(file))];
      } catch {
        return [resolve(dirname(file), path)];
      }
    });
  } catch {
    // A syntax error, which has a place of its own.
    return [];
  }
}

function loaderOf(file: string): "ts" | "tsx" {
  return extname(file).endsWith("x") || /js$/.test(file) ? "tsx" : "ts";
}

const transpilers = {
  ts: new Bun.Transpiler({ loader: "ts" }),
  tsx: new Bun.Transpiler({ loader: "tsx" }),
};
