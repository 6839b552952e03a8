/** Lets errors point at the author's lines: the plugin's and the test's, and none of the harness. */
import { basename, resolve, sep } from "node:path";
import { ResultError } from "../../channel/errors.ts";
import { PluginError } from "../../plugin/errors.ts";

/**
 * What is no author's: the program's source, or, in the executable, the one file that holds the harness
 * with all that it imports. Of that the runner would show lines of a hundred thousand characters.
 */
const OWN =
  basename(import.meta.path) === "call-site.ts"
    ? resolve(import.meta.dir, "../..") + sep
    : import.meta.path;

const FRAME = /^\s+at (?:.* \()?(?:async )?(?:file:\/\/)?(.+?):\d+:\d+\)?$/;

/**
 * Runs a call of the harness; an error that is its own gets the stack of whoever called it, and one of the
 * plugin that of the plugin's lines and then the caller's.
 *
 * @param call The function that the author called: it and what it calls are left out of the stack.
 * @param work Is given the caller's frames, for what goes wrong later.
 */
export async function fromCaller<T>(
  call: Function,
  work: (caller: readonly string[]) => Promise<T>,
): Promise<T> {
  const site = { name: "", message: "", stack: "" };
  Error.captureStackTrace(site, call);
  const caller = framesOf(site);
  try {
    return await work(caller);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error instanceof PluginError) showAuthors(error, caller);
    else setFrames(error, caller);
    throw error;
  }
}

/**
 * Leaves only the author's lines in the stack of an error, and of what caused it.
 *
 * @param caller Frames that come after them.
 */
export function showAuthors(error: unknown, caller: readonly string[] = []): void {
  const seen = new Set<unknown>();
  for (let one = error; one instanceof Error && !seen.has(one); one = one.cause) {
    seen.add(one);
    const own = framesOf(one);
    const after = one === error ? caller.filter((frame) => !own.includes(frame)) : [];
    setFrames(one, [...own, ...after]);
    // It says what its effect says already, and comes from no line of the author's.
    if (one.cause instanceof ResultError) Reflect.deleteProperty(one, "cause");
  }
}

function setFrames(error: Error, frames: readonly string[]): void {
  const stack = [`${error.name}: ${error.message}`, ...frames].join("\n");
  // An author's error may be frozen.
  Reflect.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
}

/** The lines of a stack that are frames of the author's files. */
function framesOf({ name, message, stack = "" }: Error): readonly string[] {
  const head = `${name}: ${message}`;
  const text = stack.startsWith(head) ? stack.slice(head.length) : stack;
  return text.split("\n").filter((line) => {
    const file = FRAME.exec(line)?.[1];
    return file !== undefined && /[/\\]/.test(file) && !isOwn(file);
  });
}

function isOwn(file: string): boolean {
  return file.startsWith(OWN) && !file.endsWith(".test.ts");
}
