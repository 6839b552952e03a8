/** Reads the stack of an error, to find the author's own lines in it. */
import { isOfPackage, type Sources } from "./source-text.ts";

export interface StackFrame {
  /** The function; empty at the top level of a file. */
  readonly name: string;
  /** Absolute path. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
}

/** The lines of a plugin's author that led to an error. */
export interface AuthorStack {
  /** The innermost first. */
  readonly frames: readonly StackFrame[];
  /** The npm package that the error comes from, when it does not come from the author's own code. */
  readonly package: string | null;
}

/** What of an error counts: it may have crossed a thread, and be an `Error` no more. */
export interface Thrown {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly stack?: unknown;
}

/** Frames that are read: a stack may be as long as its plugin wants. */
const MAX_FRAMES = 100;
const FRAME = /^\s+at (?:(?:async )?(.*?) \()?(.+?):(\d{1,9}):(\d{1,9})\)?$/;

/** The frames of an error's stack that are in files, innermost first. */
export function readStack(error: unknown): StackFrame[] {
  const frames: StackFrame[] = [];
  for (const line of stackLines(error)) {
    const [, name, path, row, column] = FRAME.exec(line) ?? [];
    if (path === undefined) continue;
    const file = path.replace(/^async /, "").replace(/^file:\/\//, "");
    frames.push({ name: name ?? "", file, line: Number(row), column: Number(column) });
  }
  return frames;
}

/** The author's own frames in an error's stack. */
export function authorStack(error: unknown, sources: Sources): AuthorStack {
  const all = readStack(error);
  const frames = all.filter(({ file }) => sources.text(file) !== null);
  // A call that is the last of its function leaves no frame: the package's may be all that there are.
  const end = all.findIndex(({ file }) =>
    frames[0] ? file === frames[0].file : !isOfPackage(file),
  );
  const inner = end === -1 ? all : all.slice(0, end);
  const foreign = inner.find(({ file }) => isOfPackage(file));
  return { frames, package: foreign ? packageOf(foreign.file) : null };
}

/** The lines of a stack that are frames. A message may have lines that look like some. */
function stackLines(error: unknown): readonly string[] {
  try {
    const { name, message, stack } = error as Thrown;
    if (typeof stack !== "string") return [];
    const head = `${String(name)}: ${String(message)}`;
    const text = stack.startsWith(head) ? stack.slice(head.length) : stack;
    return text
      .split("\n")
      .filter((line) => /^\s+at /.test(line))
      .slice(0, MAX_FRAMES);
  } catch {
    // Nothing thrown, or a getter of it throws.
    return [];
  }
}

/** The name of the npm package that a file belongs to. */
export function packageOf(file: string): string {
  const [first = "", second = ""] = file
    .split(/[/\\]node_modules[/\\]/)
    .at(-1)!
    .split(/[/\\]/);
  return first.startsWith("@") ? `${first}/${second}` : first;
}
