/** Fills in `${VAR}`, `${VAR:-default}` and `${file:/run/secrets/x}`; `$${` is a plain `${`. */
import { resolve } from "node:path";
import { decodeText, ReadError, readBytes } from "./read-text.ts";
import { suggest } from "../suggest.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface InterpolationMistake {
  readonly code: string;
  readonly message: string;
  readonly help: string | null;
  /** Which `${` of the text it is, from 0. */
  readonly ordinal: number;
  /** UTF-16 units of the interpolation. */
  readonly length: number;
}

export interface Interpolated {
  readonly text: string;
  /** The text was one interpolation and nothing else. */
  readonly isWhole: boolean;
  /** A variable or a file was read, rather than a default. */
  readonly isExternal: boolean;
  readonly mistakes: readonly InterpolationMistake[];
}

/** A secret is small: a file beyond this is another file than was meant. */
const MAX_FILE_BYTES = 1024 * 1024;
export const OPENING = /\$?\$\{/g;
const BODY = /^(?:file:(?<path>.+)|(?<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?<fallback>.*))?)$/s;

/**
 * @param directory Absolute path of the folder that `${file:…}` starts from.
 * @param onFile Called with the absolute path of each file, whether it can be read or not.
 */
export function interpolate(
  text: string,
  env: Environment,
  directory: string,
  onFile: (file: string) => void = () => {},
): Interpolated {
  const mistakes: InterpolationMistake[] = [];
  let [out, at, ordinal, isExternal, isWhole] = ["", 0, 0, false, false];
  for (const opening of text.matchAll(OPENING)) {
    // Inside the body of the one before, whose mistake is told there.
    if (opening.index < at) continue;
    out += text.slice(at, opening.index);
    at = opening.index + opening[0].length;
    if (opening[0] === "$${") {
      out += "${";
      ordinal++;
      continue;
    }
    const end = closingBrace(text, at);
    const body = end === -1 ? text.slice(at) : text.slice(at, end);
    const length = body.length + (end === -1 ? 2 : 3);
    const filled = end === -1 ? unclosed : fill(body, env, directory, onFile);
    if ("code" in filled) mistakes.push({ ...filled, ordinal, length });
    else {
      out += filled.text;
      isExternal ||= filled.isExternal;
    }
    isWhole = opening.index === 0 && length === text.length;
    at = opening.index + length;
    ordinal += 1 + [...body.matchAll(OPENING)].length;
  }
  return { text: out + text.slice(at), isWhole, isExternal, mistakes };
}

const MAX_NESTED = 3;

/** Where the `${` that ends before `at` is closed, those within it skipped; -1 when it is not. */
function closingBrace(text: string, at: number): number {
  let depth = 1;
  for (let i = at; i < text.length; i++) {
    if (text.charAt(i) === "{" && text.charAt(i - 1) === "$") {
      // Deeper than anyone writes: to look further from each of many would take the square of the time.
      if (++depth > MAX_NESTED) break;
    } else if (text.charAt(i) === "}" && --depth === 0) return i;
  }
  // The inner one has the only brace there is: up to it something can be shown.
  return depth > 1 ? text.indexOf("}", at) : -1;
}

type Filled =
  | { readonly text: string; readonly isExternal: boolean }
  | { readonly code: string; readonly message: string; readonly help: string | null };

const unclosed: Filled = {
  code: "bad-interpolation",
  message: "a ${ is not closed",
  help: "close it with }, or write $${ for a plain ${",
};

function fill(
  body: string,
  env: Environment,
  directory: string,
  onFile: (file: string) => void,
): Filled {
  const { path, name, fallback } = BODY.exec(body)?.groups ?? {};
  if (path !== undefined) return fillFile(path, resolve(directory, path), onFile);
  if (name === undefined || fallback?.includes("${")) {
    return {
      code: "bad-interpolation",
      message: name
        ? "a ${…} can't stand within another"
        : `${quoteText(body)} is not the name of a variable`,
      help: "write ${NAME}, ${NAME:-default} or ${file:path}; $${ is a plain ${",
    };
  }
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  // As in a shell, ":-" also stands in for a variable that is set but empty.
  if (fallback !== undefined && !value) return { text: fallback, isExternal: false };
  if (value !== undefined) return { text: value, isExternal: true };
  return {
    code: "missing-variable",
    message: `the environment has no variable ${name}`,
    help: suggest(name, Object.keys(env)) ?? `set it, or give a default: \${${name}:-…}`,
  };
}

function fillFile(path: string, file: string, onFile: (file: string) => void): Filled {
  onFile(file);
  try {
    const text = decodeText(readBytes(file, MAX_FILE_BYTES)).replace(/\r?\n$/, "");
    return { text, isExternal: true };
  } catch (error) {
    if (!(error instanceof ReadError)) throw error;
    return {
      code: error.code,
      message: `the file ${quoteText(path)} ${error.message}`,
      help: null,
    };
  }
}
