/** The log: lines of JSON for machines, readable text for a terminal. Always on stderr. */

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Log {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
  /** A log that adds these fields to every line. */
  with(fields: Record<string, unknown>): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "json" | "text";
  readonly write: (line: string) => void;
  readonly now?: () => Date;
}

/**
 * Text of several lines that says where an error is: JSON has it as a string, a terminal below the line, in
 * place of the error's stack. It has to be safe to print.
 */
export class LogBlock {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }

  toJSON(): string {
    return this.text;
  }
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Creates a log. A line is one write, so lines of several writers do not mix. */
export function createLog(options: LogOptions, context: Record<string, unknown> = {}): Log {
  const { write, now = () => new Date() } = options;
  const line = (level: LogLevel) => (message: string, fields?: Record<string, unknown>) => {
    // Looked at for each line: a reload may have changed them.
    const { level: least, format } = options;
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
    const all: Record<string, unknown> = { ...context, ...fields };
    const time = now().toISOString();
    write(
      format === "json"
        ? `${formatJson({ time, level, message }, all)}\n`
        : `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${escapeControls(message)}${formatFields(all)}\n`,
    );
  };
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    with: (fields) => createLog(options, { ...context, ...fields }),
  };
}

function formatJson(own: object, fields: Record<string, unknown>): string {
  // A field must not pass for the line's own time, level or message: it gets an underscore.
  const entries = Object.entries(fields).map(([name, value]) => [
    name in own ? `${name}_` : name,
    value,
  ]);
  return safeJson({ ...own, ...Object.fromEntries(entries) }, own);
}

/** What ends a line, steers a terminal, or turns the direction of what stands beside it. */
const STEERING = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** A message may quote a client: what it wrote must not end the line or steer the terminal. */
function escapeControls(text: string): string {
  return text.replace(STEERING, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** An error's lines, all of them indented: one within its message must not pass for a line of the log. */
function indent(text: string): string {
  const lines = text.split("\n");
  return lines.map((line) => `\n  ${escapeControls(line)}`).join("");
}

function formatFields(fields: Record<string, unknown>): string {
  const all = Object.values(fields);
  const blocks = all.filter((value) => value instanceof LogBlock);
  const shown = Object.entries(fields)
    .filter(([, value]) => value !== undefined && !(value instanceof LogBlock))
    .filter(([, value]) => blocks.length === 0 || !(value instanceof Error))
    .map(([name, value]) => {
      if (value instanceof Error) return indent(value.stack ?? value.message);
      return ` ${name}=${typeof value === "string" && /^[\w./:@-]+$/.test(value) ? value : escapeControls(safeJson(value))}`;
    });
  return [...shown, ...blocks.map(({ text }) => `\n${text}`)].join("");
}

/** @param fallback What is written of a value with a getter or a `toJSON` that throws: logging never does. */
function safeJson(value: unknown, fallback: object = {}): string {
  const seen = new WeakSet<object>();
  const replace = (_key: string, item: unknown) => {
    if (typeof item === "bigint") return String(item);
    if (typeof item !== "object" || item === null) return item;
    if (seen.has(item)) return "[seen above]";
    seen.add(item);
    if (!(item instanceof Error)) return item;
    const { name, message, stack, cause } = item;
    return { name, message, stack, cause };
  };
  try {
    return JSON.stringify(value, replace);
  } catch (error) {
    return JSON.stringify({ ...fallback, unprintable: String(error) });
  }
}
