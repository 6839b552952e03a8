/** One mistake in a config or a plugin, with the place that it is at. */
import { codeFrame, type Frame, type FrameColors } from "./code-frame.ts";
import { visibleText } from "./visible-text.ts";

export interface Place extends Omit<Frame, "note"> {
  /** From 1, in characters (Unicode code points). */
  readonly column: number;
}

export interface Diagnostic {
  /** Stable: `unknown-key`, `wrong-type`, `bad-duration` … */
  readonly code: string;
  /** What is wrong; may have several lines. */
  readonly message: string;
  /** The file, as the user named it. */
  readonly file: string;
  /** null when the mistake is the file as a whole. */
  readonly place: Place | null;
  /** What would be right: a suggestion, or where the other half of a clash is. */
  readonly help: string | null;
  /** What else there is to know, each a line of its own: where a plugin is used, what called what. */
  readonly notes?: readonly string[];
}

export interface FormatOptions {
  /** Write ANSI colours: for a terminal alone. */
  readonly color?: boolean;
}

/** Diagnostics that are printed; a line tells how many more there are. */
export const MAX_PRINTED = 100;

/**
 * Writes one diagnostic.
 *
 * @example
 * ```
 * error[unknown-key]: "histroy" is not a key of a channel
 *   --> tidewire.yaml:12:5
 * 12 |     histroy: 100
 *    |     ^^^^^^^ did you mean "history"?
 * ```
 */
export function formatDiagnostic(
  diagnostic: Diagnostic,
  { color = false }: FormatOptions = {},
): string {
  const { code, message, file, place, help, notes = [] } = diagnostic;
  const paint = (style: string) => (text: string) =>
    color ? `\u001b[${style}m${text}\u001b[0m` : text;
  const [red, bold, blue] = [paint("1;31"), paint("1"), paint("1;34")];
  const colors: FrameColors = { gutter: blue, caret: red };
  const where = place ? `:${place.line}:${place.column}` : "";
  const text = message.split("\n").map(visibleText).join("\n  ");
  const lines = [`${red(`error[${code}]`)}${bold(`: ${text}`)}`];
  lines.push(`  ${blue("-->")} ${visibleText(file)}${where}`);
  const note = help === null ? null : visibleText(help);
  if (place) lines.push(codeFrame({ ...place, note }, colors));
  else if (note) lines.push(`   ${blue("=")} ${note}`);
  for (const line of notes) lines.push(`   ${blue("=")} ${visibleText(line)}`);
  return lines.join("\n");
}

/** Writes all diagnostics of a config, the first hundred in full, and a line that sums up. */
export function formatDiagnostics(
  diagnostics: readonly Diagnostic[],
  options?: FormatOptions,
): string {
  const shown = diagnostics.slice(0, MAX_PRINTED);
  const parts = shown.map((diagnostic) => formatDiagnostic(diagnostic, options));
  const more = diagnostics.length - shown.length;
  if (more > 0) parts.push(`… and ${count(more, "more error")}, not shown`);
  const files = new Set(diagnostics.map(({ file }) => file));
  const where =
    files.size > 1 ? count(files.size, "file") : visibleText(diagnostics[0]?.file ?? "");
  parts.push(`${count(diagnostics.length, "error")} in ${where}`);
  return `${parts.join("\n\n")}\n`;
}

/** `1 error`, `3 errors`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
