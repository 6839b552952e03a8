/** Makes an error that a plugin's author can act on out of what a failed `import()` throws. */
import { dirname, relative } from "node:path";
import type { Place } from "../diagnostic/diagnostic.ts";
import { describe, PluginLoadError, type SourceMistake, type SourcePlace } from "./errors.ts";
import { findImport, findImportedName } from "./find-in-source.ts";
import { exportsOf, suggestExport, suggestModule } from "./import-suggestion.ts";
import { placeAt, placeExactly } from "./source-place.ts";
import { isOfPackage, Sources } from "./source-text.ts";
import { authorStack, packageOf, readStack } from "./stack.ts";

/**
 * Explains why importing `file` failed.
 *
 * Bun throws a `BuildMessage` for a syntax error, an `AggregateError` of them for several, a
 * `ResolveMessage` for an import that leads nowhere, and whatever the file itself throws.
 */
export function explainImportFailure(use: string, file: string, error: unknown): PluginLoadError {
  const gone = goneFile(error, file);
  if (gone) return failure("unresolved-import", use, [gone], error);
  const syntax = syntaxErrors(error, file);
  if (syntax.length > 0) return failure("syntax", use, syntax, error);
  const sources = Sources.of(file);
  if (error instanceof ResolveMessage) {
    const referrer = error.referrer || file;
    const mistake = unresolved(referrer, error.specifier, sources);
    return failure("unresolved-import", use, [mistake], error);
  }
  const missing = /^Export named '(.+)' not found in module '(.+)'\.$/s.exec(describe(error));
  if (error instanceof SyntaxError && missing) {
    const mistake = missingExport(file, missing[1]!, missing[2]!, sources);
    return failure("unresolved-import", use, [mistake], error);
  }
  return failure("load-failed", use, [thrown(file, error, sources)], error);
}

function failure(
  code: PluginLoadError["code"],
  use: string,
  mistakes: readonly SourceMistake[],
  cause: unknown,
): PluginLoadError {
  const message = mistakes.map(sentence).join("\n");
  const { file, place } = mistakes[0]!;
  return new PluginLoadError(code, use, message, { place: toSource(file, place), mistakes, cause });
}

/** A mistake as one line: where, what, and what would be right. */
function sentence({ file, place, message, help }: SourceMistake): string {
  const where = place ? `${file}:${place.line}:${place.index + 1}` : file;
  return `${where}: ${message}${help === null ? "" : `; ${help}`}`;
}

function toSource(file: string, place: Place | null): SourcePlace | null {
  if (!place) return null;
  return { file, line: place.line, column: place.index + 1, lineText: place.text };
}

function syntaxErrors(error: unknown, fallback: string): SourceMistake[] {
  if (error instanceof AggregateError) {
    return error.errors.flatMap((each) => syntaxErrors(each, fallback));
  }
  if (!(error instanceof BuildMessage)) return [];
  const { position, message } = error;
  const base = { code: "syntax", message, help: null };
  if (!position) return [{ ...base, file: fallback, place: null }];
  const { file, line, column, lineText, length } = position;
  return [{ ...base, file, place: placeExactly(line, lineText, column, length) }];
}

/** A file that was there at an earlier import: Bun still knows where it was, and can't read it. */
function goneFile(error: unknown, entry: string): SourceMistake | null {
  const path = /^ENOENT reading "(.+)"$/s.exec(describe(error))?.[1];
  if (path === undefined) return null;
  const sources = Sources.of(entry);
  for (const file of sources.files) {
    const text = sources.text(file) ?? "";
    for (const specifier of specifiersOf(file, path)) {
      if (findImport(text, specifier)) return unresolved(file, specifier, sources);
    }
  }
  return {
    code: "unresolved-import",
    message: `the file ${path}, which it imports, is gone`,
    file: entry,
    place: null,
    help: null,
  };
}

/** The ways in which `file` may name `path`. */
function specifiersOf(file: string, path: string): string[] {
  const way = relative(dirname(file), path).replaceAll("\\", "/");
  const dotted = way.startsWith(".") ? way : `./${way}`;
  return [dotted, dotted.replace(/\.[cm]?[jt]sx?$/, ""), dotted.replace(/\.ts$/, ".js"), path];
}

/** Bun does not say where an import stands that leads nowhere. */
function unresolved(file: string, specifier: string, sources: Sources): SourceMistake {
  const text = sources.text(file);
  return {
    code: "unresolved-import",
    message: `can't find "${specifier}"`,
    file,
    place: text === null ? null : findImport(text, specifier),
    help: suggestModule(specifier, file),
  };
}

/** Bun does not say which file has the import: it is looked for in all of the plugin's. */
function missingExport(
  file: string,
  name: string,
  module: string,
  sources: Sources,
): SourceMistake {
  const known = exportsOf(module, sources);
  const isFrom = (from: string) => (specifier: string) =>
    specifier === module || resolves(specifier, from, module);
  const found = sources.files.flatMap((path) => {
    const place = findImportedName(sources.text(path) ?? "", name, isFrom(path));
    return place ? [{ path, place }] : [];
  })[0];
  const shown = module === "tidewire" || !found ? module : specifierOf(found.place, module);
  return {
    code: "unresolved-import",
    message: `"${shown}" has no export "${name}"`,
    file: found?.path ?? file,
    place: found?.place ?? null,
    help: suggestExport(name, known),
  };
}

function resolves(specifier: string, from: string, module: string): boolean {
  try {
    return Bun.resolveSync(specifier, from.replace(/[^/\\]*$/, "")) === module;
  } catch {
    return false;
  }
}

/** The module as the import writes it, when that stands on the same line. */
function specifierOf({ text, index }: Place, module: string): string {
  return /\bfrom\s*["']([^"']+)["']/.exec(text.slice(index))?.[1] ?? module;
}

function thrown(file: string, error: unknown, sources: Sources): SourceMistake {
  const { frames, package: from } = authorStack(error, sources);
  const inner = frames[0];
  const kind = error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
  const base = {
    code: "load-failed",
    message: `the file threw when it was loaded: ${kind}${describe(error)}`,
    help: from === null ? null : `thrown in the npm package "${from}"`,
  };
  if (inner) {
    const text = sources.text(inner.file)!;
    return { ...base, file: inner.file, place: placeAt(text, inner.line, inner.column) };
  }
  // A package that throws when it is loaded has none of the author's lines in its stack.
  const foreign = readStack(error).find((frame) => isOfPackage(frame.file));
  if (!foreign) return { ...base, file, place: null };
  const name = packageOf(foreign.file);
  const help = `thrown in the npm package "${name}"`;
  for (const path of sources.files) {
    const place = findImport(sources.text(path) ?? "", name);
    if (place) return { ...base, help, file: path, place };
  }
  return { ...base, help, file, place: null };
}
