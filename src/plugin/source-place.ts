/** Turns a place in a plugin's source into what a code frame shows. */
import type { Place } from "../diagnostic/diagnostic.ts";

/** The place of `length` UTF-16 units from an offset in a text; no further than the end of its line. */
export function placeOf(text: string, offset: number, length: number): Place {
  const before = text.slice(0, offset);
  const line = before.split("\n").length;
  const start = before.lastIndexOf("\n") + 1;
  const end = text.indexOf("\n", offset);
  const lineText = text.slice(start, end === -1 ? undefined : end).replace(/\r$/, "");
  return onLine(line, lineText, offset - start, length);
}

/** Of `f().a`, `f()!.a` and `(f() as T).a` the end of the call is told, where `a` is meant. */
const BEFORE_PROPERTY = /^[)\]]*(?:\s+as\s+[\w$.<>[\]| ]+\))?[!?]?\.(?=[\p{ID_Start}$_#])/u;

/**
 * The word at a line and column, both from 1, columns in UTF-16 units: as a stack and Bun's messages tell
 * them. A column that is at no word gives the whole line: where Bun has folded a constant the column is
 * off, the line is not.
 *
 * @returns null when the text has no such line.
 */
export function placeAt(text: string, line: number, column: number): Place | null {
  const lineText = text.split("\n")[line - 1]?.replace(/\r$/, "");
  if (lineText === undefined) return null;
  const told = Math.max(0, column - 1);
  const index = told + (BEFORE_PROPERTY.exec(lineText.slice(told))?.[0].length ?? 0);
  const word = /^[\p{ID_Start}$_#@][\p{ID_Continue}$]*/u.exec(lineText.slice(index));
  const isWithin = index > 0 && /[\p{ID_Continue}$]/u.test(lineText[index - 1]!);
  if (word && !isWithin) return onLine(line, lineText, index, word[0].length);
  const from = lineText.length - lineText.trimStart().length;
  return onLine(line, lineText, from, lineText.trim().length);
}

/** The place at a line and column exactly, where they are known to be right. */
export function placeExactly(line: number, lineText: string, column: number, length = 1): Place {
  return onLine(line, lineText, Math.max(0, column - 1), length);
}

function onLine(line: number, text: string, index: number, length: number): Place {
  const marked = Math.max(1, Math.min(length, text.length - index));
  const column = Array.from(text.slice(0, index)).length + 1;
  return { line, column, text, index, length: marked };
}
