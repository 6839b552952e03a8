/** A log that keeps its lines. */
import type { Log, LogLevel } from "../../log.ts";

/** A line that a plugin, or the runtime on its behalf, has logged. */
export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** The plugin's name. */
  readonly plugin: string;
}

/** @param lines Where its lines go. */
export function createRecordedLog(lines: LogLine[]): Log {
  const make = (context: Record<string, unknown>): Log => {
    const line = (level: LogLevel) => (message: string, own?: Record<string, unknown>) => {
      // Every line has these two; the author's own fields are what a test is about.
      const { plugin = "", channel: _, ...fields } = { ...context, ...own };
      lines.push({ level, message, fields, plugin: String(plugin) });
    };
    return {
      debug: line("debug"),
      info: line("info"),
      warn: line("warn"),
      error: line("error"),
      with: (fields) => make({ ...context, ...fields }),
    };
  };
  return make({});
}
