/** Corrects the place of an error in a constant that Bun has put where it is used. */
import type { Place } from "../diagnostic/diagnostic.ts";
import { codeOnly } from "./source-code.ts";
import { placeOf } from "./source-place.ts";

/** Characters after the constant in which its use is looked for. */
const REACH = 4000;

/**
 * Bun replaces a constant that is used once by its value. What then fails at the use,
 * `null is not an object (evaluating 'find().price')`, is told at the constant's line, which has no `price`.
 *
 * @param line From 1: the line that is told.
 * @returns The use, where it is certain; null where the line may well be the right one.
 */
export function findInlinedUse(text: string, line: number, message: string): Place | null {
  const property = /\(evaluating '[^]*\.([\w$]+)(?:\([^]*\))?'\)$/.exec(message)?.[1];
  if (property === undefined) return null;
  const code = codeOnly(text);
  let start = 0;
  for (let at = 1; at < line && start >= 0; at++) start = code.indexOf("\n", start) + 1 || -1;
  if (start < 0) return null;
  const statement = code.slice(start, start + REACH);
  const told = statement.split("\n", 1)[0]!;
  const name = /^\s*(?:const|let|var)\s+([\w$]+)\s*[:=]/.exec(told)?.[1];
  if (name === undefined || new RegExp(`\\.\\s*${RegExp.escape(property)}\\b`).test(told))
    return null;
  const after = statement.slice(told.length);
  const use = new RegExp(
    `(?<![\\w$.])${RegExp.escape(name)}\\s*[!?]?\\.\\s*${RegExp.escape(property)}(?![\\w$])`,
    "g",
  );
  const found = [...after.matchAll(use)];
  if (found.length !== 1) return null;
  const [{ index, 0: matched }] = found as [RegExpExecArray];
  const offset = start + told.length + index + matched.length - property.length;
  return placeOf(text, offset, property.length);
}
