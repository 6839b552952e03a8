/** Reads what the type checker writes, one line an error as `tsc --pretty false` has it. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Diagnostic, Place } from "../diagnostic/diagnostic.ts";
import { HOOKS } from "../plugin/hooks.ts";
import { suggest } from "../suggest.ts";

const WITH_PLACE = /^(.+?)\((\d+),(\d+)\): error (TS\d+): (.*)$/;
const WITHOUT_PLACE = /^error (TS\d+): (.*)$/;

/** The checker's advice on what is missing; who has the executable alone has no other installer. */
const INSTALLS =
  /`(?:bun add|bun install|npm i|npm install)(?: -d| -D| --dev| --save-dev)? (\S+)`/g;

/** What carets are drawn under: a word, a text in quotes, or a number. */
const WORD =
  /[\p{ID_Start}$_][\p{ID_Continue}$]*|#[\p{ID_Continue}$]+|"[^"]*"|'[^']*'|`[^`]*`|\d+/uy;

/**
 * @param output What the type checker wrote to stdout.
 * @param cwd Absolute path of the folder that it ran in: its paths start there.
 */
export async function readTypeErrors(output: string, cwd: string): Promise<Diagnostic[]> {
  const found: {
    file: string;
    at: [line: number, column: number] | null;
    code: string;
    message: string[];
  }[] = [];
  for (const line of output.split(/\r?\n/)) {
    const placed = WITH_PLACE.exec(line);
    const global = placed ? null : WITHOUT_PLACE.exec(line);
    if (placed) {
      const [, file, at, column, code, message] = placed as unknown as string[];
      found.push({
        file: file!,
        at: [Number(at), Number(column)],
        code: code!,
        message: [message!],
      });
    } else if (global) {
      found.push({ file: "", at: null, code: global[1]!, message: [global[2]!] });
    } else if (/^\s+\S/.test(line)) {
      // The reason of the error before it, and the reason of that.
      found.at(-1)?.message.push(line.replace(/^ {2}/, ""));
    }
  }
  const sources = new Map<string, Promise<readonly string[]>>();
  return Promise.all(
    found.map(async ({ file, at, code, message }) => {
      if (!sources.has(file)) sources.set(file, linesOf(resolve(cwd, file)));
      return {
        code,
        message: message.join("\n").replaceAll(INSTALLS, '"tidewire plugin add $1"'),
        file: file === "" ? "the type checker" : file,
        place: at && placeOf(await sources.get(file)!, ...at),
        help: helpFor(code, message),
      };
    }),
  );
}

async function linesOf(file: string): Promise<readonly string[]> {
  return (await readFile(file, "utf8").catch(() => "")).split(/\r?\n/);
}

/** @param column From 1, in UTF-16 units. */
function placeOf(lines: readonly string[], line: number, column: number): Place {
  const text = lines[line - 1] ?? "";
  const index = column - 1;
  WORD.lastIndex = index;
  const length = WORD.exec(text)?.[0].length ?? 1;
  return { line, column: [...text.slice(0, index)].length + 1, text, index, length };
}

function helpFor(code: string, message: readonly string[]): string | null {
  if (code === "TS2307") return packageHelp(message[0]!);
  const unknown = unknownHook(message);
  if (unknown !== null) return unknown;
  // What `setup` returns is compared as a whole: which of the hooks it is about stands deep within.
  const [hook] = message.flatMap((line) => HOOK_NAMED.exec(line)?.[1] ?? []);
  return hook === undefined ? null : `${hook}: ${message.at(-1)!.trim()}`;
}

/**
 * What `setup` returns has nothing in common with hooks: the checker says that the one is not the other,
 * and not that a name is mistyped. Where another hook is right, it says nothing at all.
 */
function unknownHook(message: readonly string[]): string | null {
  const returned = message.flatMap((line) => NO_HOOKS.exec(line)?.[1] ?? []).at(-1);
  if (returned === undefined) return null;
  for (const [, name] of returned.matchAll(MEMBER)) {
    if ((HOOKS as readonly string[]).includes(name!)) return null;
    const meant = suggest(name!, HOOKS);
    if (meant) return `"${name}" is not a hook; ${meant}`;
  }
  return `setup returns hooks: ${HOOKS.join(", ")}`;
}

const NO_HOOKS =
  /^\s*Type '(\{.*\})' (?:is not assignable to type|has no properties in common with type) '(?:Awaitable<Hooks>|Hooks)'/;
const MEMBER = /(?:^\{|[;}]) (?:async )?(?:readonly )?(\w+)\??[(:<]/g;

const HOOK_NAMED = /^\s*(?:The types returned by|Types of property) '(\w+)/;

function packageHelp(message: string): string | null {
  const name = /^Cannot find module '([^']+)'/.exec(message)?.[1];
  if (!name || /^[./]|^(node|bun):|^tidewire(\/|$)/.test(name)) return null;
  const meant = suggest(name, ["tidewire", "tidewire/testing", "bun:test"]);
  if (meant) return meant;
  return `is it an npm package? "tidewire plugin add ${packageOf(name)}" fetches it`;
}

function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}
