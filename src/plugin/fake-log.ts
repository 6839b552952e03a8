/** A log for tests, which keeps its lines. */
import type { Log, LogLevel } from "../log.ts";

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function createFakeLog(): { readonly log: Log; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const make = (context: Record<string, unknown>): Log => {
    const line = (level: LogLevel) => (message: string, fields?: Record<string, unknown>) =>
      void lines.push({ level, message, fields: { ...context, ...fields } });
    return {
      debug: line("debug"),
      info: line("info"),
      warn: line("warn"),
      error: line("error"),
      with: (fields) => make({ ...context, ...fields }),
    };
  };
  return { log: make({}), lines };
}
