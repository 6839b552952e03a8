/** Says what was probably meant by an import that leads nowhere. */
import { readdirSync } from "node:fs";
import { builtinModules } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { closestWord } from "../suggest.ts";
import * as sdk from "./sdk.ts";
import type { Sources } from "./source-text.ts";

/** Entries of a folder that are looked through. */
const MAX_ENTRIES = 1000;
const SOURCE = /\.[cm]?[jt]sx?$|\.json$/;

/** What to do about a module that is not there. */
export function suggestModule(specifier: string, referrer: string): string {
  if (/^(\.|\/)/.test(specifier)) {
    const closest = closestFile(specifier, referrer);
    return closest === null ? "the path is relative to this file" : `did you mean "${closest}"?`;
  }
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const known = closestWord(name, ["tidewire", ...builtinModules.filter((m) => !/[/_]/.test(m))]);
  const add = `run "tidewire plugin add ${name}"`;
  return known === null ? add : `did you mean "${known}"? To add the npm package, ${add}`;
}

/**
 * A file near to where a relative path leads: of another ending, or of a name that is close.
 *
 * @param referrer Absolute path of the file that has the path; it is not suggested itself.
 */
export function closestFile(specifier: string, referrer: string): string | null {
  const wanted = resolve(dirname(referrer), specifier);
  const folder = dirname(wanted);
  let names: string[];
  try {
    names = readdirSync(folder)
      .slice(0, MAX_ENTRIES)
      .filter((name) => SOURCE.test(name));
  } catch {
    return null;
  }
  const own = basename(referrer);
  if (folder === dirname(referrer)) names = names.filter((name) => name !== own);
  const stem = basename(wanted, extname(wanted));
  const same = names.find((name) => basename(name, extname(name)) === stem);
  // Of two short names each is close to the other.
  const found = same ?? (stem.length < 3 ? null : closestWord(basename(wanted), names));
  if (!found) return null;
  const start = specifier.slice(0, specifier.lastIndexOf("/") + 1);
  return join(start, found)
    .replaceAll("\\", "/")
    .replace(/^(?![./])/, "./");
}

/** The names that a module exports; null where that is not known. */
export function exportsOf(module: string, sources: Sources): readonly string[] | null {
  if (module === "tidewire") return Object.keys(sdk).toSorted();
  const text = sources.text(module);
  if (text === null) return null;
  try {
    return new Bun.Transpiler({ loader: "tsx" }).scan(text).exports;
  } catch {
    return null;
  }
}

/** What to write instead of a name that is not exported. */
export function suggestExport(name: string, known: readonly string[] | null): string | null {
  const closest = known && closestWord(name, known);
  if (closest) return `did you mean "${closest}"?`;
  const has = known && known.length > 0 ? `it exports ${known.join(", ")}` : null;
  // Only types have gone when a file is run: an import that says so goes with them.
  const isType = /^[A-Z]/.test(name) ? `a type is exported with "export type { ${name} }"` : null;
  return [has, isType].filter((part) => part !== null).join("; ") || null;
}
