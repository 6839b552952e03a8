/** Makes an error that a plugin's author can act on out of what a failed `import()` throws. */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, PluginLoadError, type SourcePlace } from "./errors.ts";
import * as sdk from "./sdk.ts";

/**
 * Explains why importing `file` failed.
 *
 * Bun throws a `BuildMessage` for a syntax error, an `AggregateError` of them for several, a
 * `ResolveMessage` for an import that leads nowhere, and whatever the file itself throws.
 */
export async function explainImportFailure(
  use: string,
  file: string,
  error: unknown,
): Promise<PluginLoadError> {
  const syntax = syntaxErrors(error);
  if (syntax.length > 0) {
    const lines = syntax.map(
      ({ place, message }) => `${place ? `${format(place)}: ` : `${file}: `}${message}`,
    );
    const { place } = syntax[0]!;
    return new PluginLoadError("syntax", use, lines.join("\n"), { place, cause: error });
  }
  if (error instanceof ResolveMessage) {
    const { specifier } = error;
    const referrer = error.referrer || file;
    const place = await findImport(referrer, specifier);
    const message = `${place ? format(place) : referrer}: can't find "${specifier}"${whereToLook(specifier, referrer)}`;
    return new PluginLoadError("unresolved-import", use, message, { place, cause: error });
  }
  const missing = /^Export named '(.+)' not found in module '(.+)'\.$/.exec(describe(error));
  if (error instanceof SyntaxError && missing) {
    const [, name, module] = missing;
    const has =
      module === "tidewire" ? `; "tidewire" exports ${Object.keys(sdk).sort().join(", ")}` : "";
    const message = `${file}: "${module}" has no export "${name}"${has}`;
    return new PluginLoadError("unresolved-import", use, message, { cause: error });
  }
  return new PluginLoadError("load-failed", use, `${file} threw when loaded: ${describe(error)}`, {
    cause: error,
  });
}

function syntaxErrors(error: unknown): { place: SourcePlace | null; message: string }[] {
  if (error instanceof AggregateError) return error.errors.flatMap(syntaxErrors);
  if (!(error instanceof BuildMessage)) return [];
  const { position, message } = error;
  if (!position) return [{ place: null, message }];
  const { file, line, column, lineText } = position;
  return [{ place: { file, line, column, lineText }, message }];
}

/** Bun does not say where an import stands that leads nowhere: its first mention in quotes is it. */
async function findImport(file: string, specifier: string): Promise<SourcePlace | null> {
  const text = await readFile(file, "utf8").catch(() => "");
  const lines = text.split(/\r?\n/);
  for (const quote of [`"${specifier}"`, `'${specifier}'`]) {
    const index = lines.findIndex((line) => line.includes(quote));
    if (index === -1) continue;
    const lineText = lines[index]!;
    return { file, line: index + 1, column: lineText.indexOf(quote) + 1, lineText };
  }
  return null;
}

function whereToLook(specifier: string, referrer: string): string {
  if (/^(\.|\/)/.test(specifier)) return "; the path is relative to that file";
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  return `; npm packages are looked for in node_modules from ${dirname(referrer)} upwards: run \`npm install ${name}\` there`;
}

function format(place: SourcePlace): string {
  return `${place.file}:${place.line}:${place.column}`;
}
