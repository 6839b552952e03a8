/** What can go wrong with a plugin: while it is loaded, set up, or in one of its hooks. */
import { ResultError } from "../channel/errors.ts";
import type { Diagnostic, Place } from "../diagnostic/diagnostic.ts";

export type PluginLoadErrorCode =
  | "unknown-plugin"
  | "file-not-found"
  | "bad-path"
  | "syntax"
  | "unresolved-import"
  | "load-failed"
  | "load-timeout"
  | "bad-package"
  | "package-missing"
  | "no-default-export"
  | "not-a-plugin";

/** One mistake in the files of a plugin, with the place that it is at. */
export interface SourceMistake {
  readonly code: string;
  /** What is wrong, without where. */
  readonly message: string;
  /** Absolute path. */
  readonly file: string;
  /** null when it is the file as a whole, or the place is not known for certain. */
  readonly place: Place | null;
  readonly help: string | null;
  readonly notes?: readonly string[];
}

/** A place in a plugin's source. */
export interface SourcePlace {
  /** Absolute path. */
  readonly file: string;
  /** One-based. */
  readonly line: number;
  /** One-based. */
  readonly column: number;
  /** The line itself, where it is known. */
  readonly lineText?: string | undefined;
}

/** A plugin that can't be loaded. The message is complete: it says what, where, and what would be right. */
export class PluginLoadError extends Error {
  readonly code: PluginLoadErrorCode;
  /** The plugin as the config names it. */
  readonly use: string;
  readonly place: SourcePlace | null;
  /** For `unknown-plugin`: the name that was probably meant. */
  readonly suggestion: string | null;
  /** What to do about it, where the message does not say so itself. */
  readonly help: string | null;
  /** What is wrong in its files; empty where the mistake is none of theirs, but the config's. */
  readonly mistakes: readonly SourceMistake[];

  constructor(
    code: PluginLoadErrorCode,
    use: string,
    message: string,
    details: {
      place?: SourcePlace | null;
      suggestion?: string | null;
      help?: string | null;
      mistakes?: readonly SourceMistake[];
      cause?: unknown;
    } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "PluginLoadError";
    this.code = code;
    this.use = use;
    this.place = details.place ?? null;
    this.suggestion = details.suggestion ?? null;
    this.help = details.help ?? null;
    this.mistakes = details.mistakes ?? [];
  }
}

/**
 * `failed`: the plugin threw. `timeout`: it took too long. `bad-hooks`: `setup` returned what is no set
 * of hooks. `bad-result`: a hook returned what it must not. `no-authorize`: no plugin guards a channel
 * that is to be guarded.
 */
export type PluginErrorCode = "failed" | "timeout" | "bad-hooks" | "bad-result" | "no-authorize";

/** A plugin that failed in `setup` or in a hook. Its stack is the one of the plugin's own error. */
export class PluginError extends Error {
  readonly code: PluginErrorCode;
  readonly plugin: string;
  /** The hook, or `setup`. */
  readonly hook: string;
  readonly channel: string;
  /** Where it is in the plugin's source, for a person; set when the error is told to one. */
  diagnostic: Diagnostic | null = null;

  constructor(
    code: PluginErrorCode,
    where: { readonly plugin: string; readonly hook: string; readonly channel: string },
    cause: unknown,
  ) {
    const { plugin, hook, channel } = where;
    const message = `plugin "${plugin}", ${hook}, channel "${channel}": ${describe(cause)}`;
    super(message, { cause });
    this.name = "PluginError";
    // Not a part of what is logged of an error.
    Object.defineProperty(this, "diagnostic", { enumerable: false, writable: true });
    this.code = code;
    this.plugin = plugin;
    this.hook = hook;
    this.channel = channel;
    // Where the wrapper stood helps nobody; a log that prints the stack alone must show the author's lines.
    const stack = cause instanceof Error ? framesOf(cause) : "";
    if (stack) this.stack = `PluginError: ${message}\n${stack}`;
  }
}

/** Makes a `PluginError` of anything thrown, unless it is one already. */
export function toPluginError(
  cause: unknown,
  where: { readonly plugin: string; readonly hook: string; readonly channel: string },
): PluginError {
  if (cause instanceof PluginError) return cause;
  return new PluginError(cause instanceof ResultError ? "bad-result" : "failed", where, cause);
}

/** A hook, or `setup`, returned what it must not. */
export class HookResultError extends ResultError {
  /** The property that is wrong of what `setup` returned; null when it is all of it. */
  readonly property: string | null;

  constructor(problem: string, help: string | null = null, property: string | null = null) {
    super(problem, help);
    this.name = "HookResultError";
    this.property = property;
  }
}

/** A thrown value as one sentence. Anything can be thrown, also what can't be turned into a string. */
export function describe(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return thrown.message || describeUnsaid(thrown);
    if (thrown === null || thrown === undefined) return `${thrown} was thrown, and no error`;
    return typeof thrown === "object" ? describeObject(thrown) : String(thrown);
  } catch {
    return `a ${typeof thrown} was thrown`;
  }
}

/** `Promise.any` throws an error that says nothing itself. */
function describeUnsaid(error: Error): string {
  if (!(error instanceof AggregateError) || error.errors.length === 0) return error.name;
  return `${error.name} of ${error.errors.slice(0, MAX_TOLD).map(describe).join("; ")}`;
}

function describeObject(thrown: object): string {
  const { message } = thrown as { message?: unknown };
  if (typeof message === "string" && message !== "") return message;
  const text = String(thrown);
  if (text !== "[object Object]") return text;
  return Bun.inspect(thrown, { depth: 1, compact: true }).replace(/\s+/g, " ").slice(0, MAX_TEXT);
}

/** Errors of an `AggregateError` that are told of. */
const MAX_TOLD = 3;
/** Characters of a thrown object that are told. */
const MAX_TEXT = 200;

function framesOf(error: Error): string {
  const stack = typeof error.stack === "string" ? error.stack : "";
  const at = stack.search(/^\s+at /m);
  return at === -1 ? "" : stack.slice(at);
}
