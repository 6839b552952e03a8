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

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Creates a log. A line is one write, so lines of several writers do not mix. */
export function createLog(options: LogOptions, context: Record<string, unknown> = {}): Log {
  const { level: least, format, write, now = () => new Date() } = options;
  const line = (level: LogLevel) => (message: string, fields?: Record<string, unknown>) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
    const all = { ...context, ...fields };
    const time = now().toISOString();
    write(
      format === "json"
        ? `${safeJson({ time, level, message, ...all })}\n`
        : `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${message}${formatFields(all)}\n`,
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

function formatFields(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      if (value instanceof Error) return `\n  ${value.stack ?? value.message}`;
      return ` ${name}=${typeof value === "string" && /^[\w./:@-]+$/.test(value) ? value : safeJson(value)}`;
    })
    .join("");
}

function safeJson(value: unknown): string {
  const seen = new WeakSet<object>();
  return JSON.stringify(value, (_key, item: unknown) => {
    if (item instanceof Error) return { name: item.name, message: item.message, stack: item.stack };
    if (typeof item === "bigint") return String(item);
    if (typeof item === "object" && item !== null) {
      if (seen.has(item)) return "[seen above]";
      seen.add(item);
    }
    return item;
  });
}
