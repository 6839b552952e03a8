/** Finds what a mistake is about in a plugin's source. Where there is doubt, nothing is found. */
import type { Place } from "../diagnostic/diagnostic.ts";
import { codeOnly } from "./source-code.ts";
import { placeOf } from "./source-place.ts";

/** Characters before and after a word that tell what it is: no more, so that the work has a bound. */
const LOOK = 500;
/** Characters of a class that are looked through for its brace. */
const MAX_CLASS = 20_000;

/**
 * Finds the one place that defines a property: `name() {`, `name: …`, `x.name = …`; where there is none,
 * the one function or constant of that name.
 *
 * @returns null when there is no such place, or more than one.
 */
export function findProperty(text: string, name: string): Place | null {
  const code = codeOnly(text);
  const properties: number[] = [];
  const shorthands: number[] = [];
  const bindings: number[] = [];
  for (const quote of [`"${name}"`, `'${name}'`]) {
    for (let at = text.indexOf(quote); at >= 0; at = text.indexOf(quote, at + 1)) {
      const before = code.slice(Math.max(0, at - LOOK), at).trimEnd();
      // What is no code, such as a comment, has become spaces.
      const isKey = code[at] === quote[0] && /[{,]$/.test(before);
      if (isKey && /^\s*[:(]/.test(code.slice(at + quote.length, at + quote.length + LOOK)))
        properties.push(at + 1);
    }
  }
  const word = new RegExp(`(?<![\\w$])${RegExp.escape(name)}(?![\\w$])`, "g");
  for (const { index } of code.matchAll(word)) {
    const before = code.slice(Math.max(0, index - LOOK), index).trimEnd();
    const after = code.slice(index + name.length, index + name.length + LOOK).trimStart();
    if (isProperty(before, after) || isField(code, index, after)) properties.push(index);
    else if (/\bfunction\s*\*?$|\b(?:const|let|var)$/.test(before)) bindings.push(index);
    else if (/[{,]$/.test(before) && /^[,}]/.test(after)) shorthands.push(index);
  }
  for (const found of [properties, bindings, shorthands]) {
    if (found.length > 1) return null;
    if (found.length === 1) return placeOf(text, found[0]!, name.length);
  }
  return null;
}

function isProperty(before: string, after: string): boolean {
  if (before.endsWith(".") && !before.endsWith("..."))
    return /^=[^=>]/.test(after) && !/\?\.$/.test(before);
  // `constructor(private most: number)` makes a property.
  if (/\b(?:private|protected|public|readonly)$/.test(before) && /^[:=,)?]/.test(after))
    return true;
  const isKey = /[{,]$/.test(before) && /^:/.test(after);
  if (isKey) return true;
  const starts = /[{},;]$|\b(?:async|public|override)$|(?:[{},;]|\basync)\s*\*$/.test(before);
  if (!starts || !/^[(<]/.test(after)) return false;
  return /^\s*[{:]/.test(afterParameters(after));
}

/** `name = …;` or `name;` right in the braces of a class. */
function isField(code: string, index: number, after: string): boolean {
  if (!/^(?:=[^=>]|;)/.test(after)) return false;
  let depth = 0;
  for (let at = index - 1; at >= Math.max(0, index - MAX_CLASS); at--) {
    if (code[at] === "}") depth++;
    else if (code[at] !== "{" || depth-- > 0) continue;
    else return /\bclass\b[^{}()=;]*$/.test(code.slice(Math.max(0, at - LOOK), at));
  }
  return false;
}

/** What follows the parameters of a method. */
function afterParameters(code: string): string {
  const open = code.indexOf("(");
  let depth = 0;
  for (let at = open; at >= 0 && at < code.length; at++) {
    if (code[at] === "(") depth++;
    else if (code[at] === ")" && --depth === 0) return code.slice(at + 1);
  }
  return "";
}

/** Finds the one call of a function or method of this name; nothing when there are more. */
export function findCall(text: string, name: string): Place | null {
  const call = new RegExp(`(?<![\\w$])${RegExp.escape(name)}(?=\\s*\\()`, "g");
  const found = [...codeOnly(text).matchAll(call)];
  return found.length === 1 ? placeOf(text, found[0]!.index, name.length) : null;
}

/** Finds `export default`. */
export function findDefaultExport(text: string): Place | null {
  return findCode(text, /(?<![\w$.])export\s+default(?![\w$])/);
}

/** Finds what was probably meant to be the default export. */
export function findLikelyExport(text: string): Place | null {
  return (
    findCode(text, /(?<![\w$.])(?:module\.)?exports(?=\s*[.=[])/) ??
    findCode(
      text,
      /(?<![\w$.])export\s+(?:const|let|var)\s+[\w$]+(?=[^=;]*=\s*definePlugin\s*[(<])/,
    ) ??
    findCode(text, /(?<![\w$.])definePlugin(?=\s*[(<])/)
  );
}

/** Finds `exports` of CommonJS. */
export function findCommonJs(text: string): Place | null {
  return findCode(text, /(?<![\w$.])(?:module\.)?exports(?=\s*[.=[])/);
}

/** Finds the specifier of an import, with its quotes. */
export function findImport(text: string, specifier: string): Place | null {
  const code = codeOnly(text);
  const pattern = new RegExp(`(["'\`])${RegExp.escape(specifier)}\\1`, "g");
  for (const { index, 0: found } of text.matchAll(pattern)) {
    const isImport = /(?:\bfrom|\bimport|\b(?:import|require|resolve)\s*\()$/.test(
      code.slice(0, index).trimEnd(),
    );
    if (isImport) return placeOf(text, index, found.length);
  }
  return null;
}

/** Finds a name in the braces of an `import { … } from` or `export { … } from`. */
export function findImportedName(
  text: string,
  name: string,
  isFrom: (specifier: string) => boolean,
): Place | null {
  const code = codeOnly(text);
  for (const { index, 0: clause } of code.matchAll(
    /(?<![\w$.])(?:import|export)\b[^;"'`()=]*?\bfrom\s*(?=["'])/g,
  )) {
    const start = index + clause.length;
    const specifier = text.slice(start + 1, text.indexOf(text[start]!, start + 1));
    if (!isFrom(specifier)) continue;
    const word = new RegExp(`(?<![\\w$])${RegExp.escape(name)}(?![\\w$])`).exec(clause);
    if (word) return placeOf(text, index + word.index, name.length);
  }
  return null;
}

function findCode(text: string, pattern: RegExp): Place | null {
  const found = pattern.exec(codeOnly(text));
  return found && placeOf(text, found.index, found[0].length);
}
