/** Shows a line of a file with a caret run under the words that matter. */
import { visibleText } from "./visible-text.ts";

export interface Frame {
  /** Number of the line, from 1. */
  readonly line: number;
  /** The whole line, without its line end. */
  readonly text: string;
  /** Where in `text` the carets start, in UTF-16 units. */
  readonly index: number;
  /** UTF-16 units that get carets; at least one caret is drawn. */
  readonly length: number;
  /** Stands after the carets. */
  readonly note?: string | null | undefined;
}

/** How the parts of a frame are coloured. */
export interface FrameColors {
  readonly gutter: (text: string) => string;
  readonly caret: (text: string) => string;
}

const PLAIN: FrameColors = { gutter: (text) => text, caret: (text) => text };

/** Longer lines are cut to this many UTF-16 units around the caret. */
const MAX_WIDTH = 120;
const TAB = "    ";

/**
 * Writes the frame: the line, and the carets below it. Tabs and wide letters keep the carets in place.
 *
 * @example
 * ```
 * 12 |     histroy: 100
 *    |     ^^^^^^^ did you mean "history"?
 * ```
 */
export function codeFrame(frame: Frame, colors: FrameColors = PLAIN): string {
  const { text, note } = frame;
  const index = Math.min(frame.index, text.length);
  const { from, to } = window(text, index, frame.length);
  const before = (from > 0 ? "…" : "") + show(text.slice(from, index));
  const marked = show(text.slice(index, Math.min(index + frame.length, to)));
  const after =
    show(text.slice(Math.min(index + frame.length, to), to)) + (to < text.length ? "…" : "");
  const number = String(frame.line).padStart(2);
  const carets = "^".repeat(Math.max(1, Bun.stringWidth(marked)));
  const shown = before + marked + after;
  return [
    colors.gutter(`${number} |`) + (shown === "" ? "" : ` ${shown}`),
    colors.gutter(`${" ".repeat(number.length)} |`) +
      ` ${" ".repeat(Bun.stringWidth(before))}${colors.caret(note ? `${carets} ${note}` : carets)}`,
  ].join("\n");
}

function show(text: string): string {
  return visibleText(text.replaceAll("\t", TAB));
}

/** The part of a long line that is shown. */
function window(text: string, index: number, length: number): { from: number; to: number } {
  if (text.length <= MAX_WIDTH) return { from: 0, to: text.length };
  const marked = Math.min(length, MAX_WIDTH / 2);
  const middle = index + Math.floor(marked / 2);
  const from = Math.max(0, Math.min(middle - MAX_WIDTH / 2, text.length - MAX_WIDTH));
  return { from: whole(text, from), to: whole(text, from + MAX_WIDTH) };
}

/** Moves a cut that would fall inside a surrogate pair. */
function whole(text: string, at: number): number {
  return /[\udc00-\udfff]/.test(text.charAt(at)) ? at + 1 : at;
}
