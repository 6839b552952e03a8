/** Tells whether an installed package is a plugin, and how a config uses it. */
import { basename } from "node:path";
import type { TObject, TSchema } from "@sinclair/typebox";
import { PluginLoadError, type PluginLoadErrorCode } from "../plugin/errors.ts";
import { loadPlugin } from "../plugin/load.ts";
import type { Plugin } from "../plugin/sdk.ts";

/** A package is either a plugin, something else that plugins can import, or broken. */
export type PackageKind =
  | { readonly plugin: Plugin; readonly error: null }
  | { readonly plugin: null; readonly error: Error | null };

/** What loading says of a package that is simply no plugin. */
const NO_PLUGIN: readonly PluginLoadErrorCode[] = [
  "bad-package",
  "no-default-export",
  "not-a-plugin",
];

/**
 * Loads an installed package as the server would.
 *
 * @param directory Absolute path of the folder that the config is in.
 */
export async function readPackage(name: string, directory: string): Promise<PackageKind> {
  try {
    const { plugin } = await loadPlugin(`npm:${name}`, directory);
    return { plugin, error: null };
  } catch (error) {
    const isNone = error instanceof PluginLoadError && NO_PLUGIN.includes(error.code);
    return { plugin: null, error: isNone ? null : (error as Error) };
  }
}

/**
 * The lines of a config that use a plugin: options that are needed have a value to be changed, the
 * others are comments.
 *
 * @param use As the config has it: `npm:loud`.
 */
export function useSnippet(use: string, options: TObject | undefined): string {
  const lines = ["plugins:", `  - use: ${/^@/.test(use) ? JSON.stringify(use) : use}`];
  const properties = Object.entries((options?.properties ?? {}) as Record<string, TSchema>);
  const required = new Set<string>((options?.["required"] as string[] | undefined) ?? []);
  const isNeeded = ([name, schema]: readonly [string, TSchema]) =>
    required.has(name) && !("default" in schema);
  if (properties.length > 0) lines.push(properties.some(isNeeded) ? "    with:" : "    # with:");
  for (const property of properties) {
    const [name, schema] = property;
    const mark = isNeeded(property) ? "" : "# ";
    const about = schema.description?.replaceAll(/\s+/g, " ");
    const comment = about ? `  # ${about}` : "";
    lines.push(`      ${mark}${key(name)}: ${sample(schema)}${comment}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Where a package was added to, in words: `package.json`, `plugins/package.json`. */
export function manifestName(folder: string, directory: string): string {
  return folder === directory ? "package.json" : `${basename(folder)}/package.json`;
}

function key(name: string): string {
  return /^[A-Za-z_][\w-]*$/.test(name) ? name : JSON.stringify(name);
}

/** A value that a reader sees how to change: the default, an example, or an empty one. */
function sample(schema: TSchema): string {
  const [example] = (schema.examples ?? []) as unknown[];
  const value = schema.default ?? example ?? schema["const"] ?? schema["enum"]?.[0];
  if (value !== undefined) return JSON.stringify(value);
  if (Array.isArray(schema["anyOf"])) return sample(schema["anyOf"][0] as TSchema);
  switch (schema["type"]) {
    case "integer":
    case "number":
      return String(schema["minimum"] ?? 0);
    case "boolean":
      return "false";
    case "array":
      return "[]";
    case "object":
      return "{}";
    default:
      return `"…"`;
  }
}
