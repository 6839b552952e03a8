/** What is told of a plugin's file whose top level awaits what never comes. */
import { PluginLoadError } from "./errors.ts";

/** @param limitMs Milliseconds that it had. */
export function loadTimeout(use: string, file: string, limitMs: number): PluginLoadError {
  const code = "load-timeout";
  const message = `it was not loaded within ${limitMs / 1000} s`;
  const help = "an await at its top level does not end";
  return new PluginLoadError(code, use, `${file}: ${message}; ${help}`, {
    mistakes: [{ code, message, file, place: null, help }],
  });
}
