/** Tells where in a plugin's source a mistake is, as the config tells of its own. */
import { ChannelError, ResultError } from "../channel/errors.ts";
import type { Diagnostic, Place } from "../diagnostic/diagnostic.ts";
import { displayPath } from "./display-path.ts";
import {
  describe,
  HookResultError,
  PluginError,
  type PluginErrorCode,
  type PluginLoadError,
} from "./errors.ts";
import { findCall, findDefaultExport, findProperty } from "./find-in-source.ts";
import { findInlinedUse } from "./inlined-use.ts";
import { placeAt } from "./source-place.ts";
import { Sources } from "./source-text.ts";
import { authorStack, type AuthorStack } from "./stack.ts";

/** Where a plugin comes from. */
export interface PluginOrigin {
  readonly sources: Sources;
  /** Absolute path of the config's folder: files below it are named relative to it. */
  readonly directory: string;
  /** The place of its `use:`, such as `tidewire.yaml:12:14`; null where it is not from a config. */
  readonly usedAt: string | null;
}

const CODES: Readonly<Partial<Record<PluginErrorCode, string>>> = {
  failed: "plugin-failed",
  timeout: "plugin-timeout",
};

/** What a plugin does not define, but calls. */
const CALLED: ReadonlySet<string> = new Set(["emit", "publish"]);

/** Callers of the line that threw that are named. */
const MAX_CALLERS = 3;
/** Causes of causes that are named. */
const MAX_CAUSES = 3;

/** The mistakes in the files of a plugin that can't be loaded; none where they are not to blame. */
export function diagnoseLoadError(error: PluginLoadError, directory: string): Diagnostic[] {
  return error.mistakes.map((mistake) => ({
    ...mistake,
    file: displayPath(mistake.file, directory),
  }));
}

/**
 * The place of what a plugin did wrong: the author's line that threw, or else where the hook is defined.
 *
 * @returns null for a plugin that ships, or one whose files are not known.
 */
export function diagnosePluginError(error: PluginError, origin: PluginOrigin): Diagnostic | null {
  const { sources, directory, usedAt } = origin;
  const [main] = sources.files;
  if (main === undefined) return null;
  const cause = error.cause;
  const stack = authorStack(cause, sources);
  const found = placeOfThrow(stack, sources, cause) ?? placeOfDefinition(error, sources);
  const { problem, help } = partsOf(cause);
  const notes = [
    ...callers(stack, directory),
    ...causes(cause, origin),
    ...(stack.package === null ? [] : [`thrown in the npm package "${stack.package}"`]),
    ...(usedAt === null ? [] : [`used at ${usedAt}`]),
  ];
  return {
    code: CODES[error.code] ?? error.code,
    message: `plugin "${error.plugin}", ${error.hook}, channel "${error.channel}": ${problem}`,
    file: displayPath(found?.file ?? main, directory),
    place: found?.place ?? null,
    help,
    notes,
  };
}

/** `plugins/round.ts:7:13`, as editors read it; the file alone where the place is not known. */
export function formatPlace({ file, place }: Diagnostic): string {
  return place ? `${file}:${place.line}:${place.column}` : file;
}

interface Found {
  readonly file: string;
  readonly place: Place;
}

function placeOfThrow(
  { frames: [frame] }: AuthorStack,
  sources: Sources,
  error: unknown,
): Found | null {
  const text = frame && sources.text(frame.file);
  if (!text) return null;
  const place =
    findInlinedUse(text, frame.line, describe(error)) ?? placeAt(text, frame.line, frame.column);
  return place && { file: frame.file, place };
}

/** Where the property stands that is wrong, or the hook that returned what is wrong. */
function placeOfDefinition({ cause, hook }: PluginError, sources: Sources): Found | null {
  const property = cause instanceof HookResultError ? cause.property : null;
  const found: Found[] = [];
  for (const file of sources.files) {
    const text = sources.text(file);
    const find = CALLED.has(hook) ? findCall : findProperty;
    const place = text === null ? null : find(text, property ?? hook);
    if (place) found.push({ file, place });
  }
  if (found.length === 1) return found[0]!;
  if (hook !== "setup" || property !== null) return null;
  const [main] = sources.files;
  const text = main === undefined ? null : sources.text(main);
  const place = text === null ? null : findDefaultExport(text);
  return place && { file: main!, place };
}

function partsOf(cause: unknown): { readonly problem: string; readonly help: string | null } {
  if (cause instanceof ResultError) return cause;
  const isOurs = cause instanceof ChannelError || cause instanceof PluginError;
  const name = cause instanceof Error && !isOurs && cause.message ? nameOf(cause) : "Error";
  return { problem: `${name === "Error" ? "" : `${name}: `}${describe(cause)}`, help: null };
}

function nameOf(error: Error): string {
  const { name } = error;
  return typeof name === "string" && name !== "" ? name : "Error";
}

function callers({ frames: [first, ...rest] }: AuthorStack, directory: string): string[] {
  if (!first) return [];
  return rest.slice(0, MAX_CALLERS).map(({ name, file, line, column }) => {
    const where = `${displayPath(file, directory)}:${line}:${column}`;
    return `called from ${name === "" ? where : `${name}, ${where}`}`;
  });
}

/** What led to an error, as it says itself: each with the author's line that it came from. */
function causes(error: unknown, { sources, directory }: PluginOrigin): string[] {
  const notes: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined && cause !== null && notes.length < MAX_CAUSES) {
    const [frame] = authorStack(cause, sources).frames;
    const where = frame
      ? ` at ${displayPath(frame.file, directory)}:${frame.line}:${frame.column}`
      : "";
    notes.push(`caused by ${partsOf(cause).problem}${where}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return notes;
}

/**
 * The place of an error that no hook is known of: a promise that nobody awaits, a timer's callback.
 *
 * @returns null when no line of a plugin is in its stack.
 */
export function diagnoseStray(error: unknown, directory: string): Diagnostic | null {
  for (const sources of Sources.all()) {
    const diagnostic = diagnoseThrown(error, sources, directory);
    if (diagnostic) return diagnostic;
  }
  return null;
}

/** The place of what a plugin's own code threw; null when none of its lines is in the stack. */
export function diagnoseThrown(
  error: unknown,
  sources: Sources,
  directory: string,
): Diagnostic | null {
  const stack = authorStack(error, sources);
  const found = placeOfThrow(stack, sources, error);
  return (
    found && {
      code: "plugin-failed",
      message: partsOf(error).problem,
      file: displayPath(found.file, directory),
      place: found.place,
      help: null,
      notes: callers(stack, directory),
    }
  );
}
