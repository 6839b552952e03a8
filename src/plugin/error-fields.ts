/** What the log says of a plugin's error. */
import { formatDiagnostic, type Diagnostic } from "../diagnostic/diagnostic.ts";
import { LogBlock } from "../log.ts";
import { diagnoseLoadError, diagnoseStray, formatPlace } from "./diagnose.ts";
import { PluginError, PluginLoadError } from "./errors.ts";

/**
 * The fields of a log line: the error and, where its place in the source is known, `at`
 * (`plugins/round.ts:7:13`) and the code frame, which a terminal shows below the line.
 */
export function errorFields(error: unknown): Record<string, unknown> {
  const diagnostic = error instanceof PluginError ? error.diagnostic : null;
  return diagnostic ? { ...framed([diagnostic]), error } : { error };
}

/**
 * The fields of a line about an error that may be a plugin's: one that kept the server from starting or
 * loading anew, or one that nobody caught.
 *
 * @param directory Absolute path of the config's folder.
 */
export function failureFields(error: unknown, directory: string): Record<string, unknown> {
  if (error instanceof PluginError) {
    const { plugin, hook, channel } = error;
    return { plugin, hook, channel, ...errorFields(error) };
  }
  const diagnostics =
    error instanceof PluginLoadError
      ? diagnoseLoadError(error, directory)
      : [strayOf(error, directory)].filter((found) => found !== null);
  return diagnostics.length > 0 ? { ...framed(diagnostics), error } : { error };
}

function strayOf(error: unknown, directory: string): Diagnostic | null {
  try {
    return diagnoseStray(error, directory);
  } catch {
    // Anything can be thrown, also what throws when it is looked at.
    return null;
  }
}

function framed(diagnostics: readonly Diagnostic[]): Record<string, unknown> {
  const text = diagnostics.map((diagnostic) => formatDiagnostic(diagnostic)).join("\n\n");
  return { at: formatPlace(diagnostics[0]!), frame: new LogBlock(text) };
}
