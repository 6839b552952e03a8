/** Checks that what a plugin file exports is a plugin. */
import { Kind } from "@sinclair/typebox";
import type { Place } from "../diagnostic/diagnostic.ts";
import { closestWord } from "../suggest.ts";
import { checkDefaults } from "./check-defaults.ts";
import { findNoSchema, isSchema } from "./check-schema.ts";
import { PluginLoadError, type PluginLoadErrorCode } from "./errors.ts";
import {
  findCommonJs,
  findDefaultExport,
  findLikelyExport,
  findProperty,
} from "./find-in-source.ts";
import { HOOKS } from "./hooks.ts";
import { kindOf } from "./kind-of.ts";
import type { Plugin } from "./sdk.ts";
import { Sources } from "./source-text.ts";

const KEYS = ["name", "options", "check", "setup"];
const RIGHT = "write `export default definePlugin({ name, options, setup })`";

/**
 * @param module What `import()` of the file gave.
 * @param where Its path, or its name when it ships.
 * @param sources Where mistakes are looked for.
 * @throws {PluginLoadError} When its default export is no plugin.
 */
export function checkPlugin(
  module: unknown,
  use: string,
  where: string,
  sources: Sources = Sources.none,
): Plugin {
  const [file = null] = sources.files;
  const text = file === null ? null : sources.text(file);
  const find = (look: (text: string) => Place | null) => (text === null ? null : look(text));
  const refuse = (
    code: PluginLoadErrorCode,
    message: string,
    help: string,
    look: (text: string) => Place | null,
  ) =>
    new PluginLoadError(code, use, `${where}: ${message}; ${help}`, {
      mistakes: file === null ? [] : [{ code, message, file, place: find(look), help }],
    });
  /** A mistake in one of the keys of the plugin, or in what is exported as a whole. */
  const wrong = (message: string, help: string, key: string | null = null) =>
    refuse("not-a-plugin", message, help, (source) =>
      key === null ? wholeExport(source) : (findProperty(source, key) ?? wholeExport(source)),
    );

  const exported = module as Record<string, unknown>;
  if (!("default" in exported)) {
    const others = Object.keys(exported);
    const has = others.length > 0 ? `it exports ${others.join(", ")} but has` : "it has";
    throw refuse("no-default-export", `${has} no default export`, RIGHT, findLikelyExport);
  }
  const plugin = exported["default"];
  if (plugin === null || typeof plugin !== "object" || Array.isArray(plugin)) {
    throw wrong(`its default export is ${kindOf(plugin)}, not a plugin`, RIGHT);
  }
  if (plugin instanceof Promise) {
    throw wrong("its default export is a promise, not a plugin", "write `export default await …`");
  }
  const { name, options, check, setup } = plugin as Record<string, unknown>;
  for (const key of Object.keys(plugin)) {
    if (KEYS.includes(key)) continue;
    const isOfCommonJs = setup === undefined && find(findCommonJs) !== null;
    if (isOfCommonJs) throw wrong(`its exports are no plugin`, RIGHT);
    const help = (HOOKS as readonly string[]).includes(key)
      ? `it is a hook: return it from setup, as \`setup: () => ({ ${key} })\``
      : suggest(key);
    throw wrong(`a plugin has no "${key}"`, help, key);
  }
  if (typeof name !== "string" || name.trim() === "") {
    const isMissing = name === undefined;
    const help = `a plugin needs a name: ${RIGHT}`;
    throw wrong(`its name is ${kindOf(name)}`, help, isMissing ? null : "name");
  }
  if (typeof setup !== "function") {
    const help = "it must be a function that returns the hooks";
    throw wrong(`its setup is ${kindOf(setup)}`, help, setup === undefined ? null : "setup");
  }
  if (check !== undefined && typeof check !== "function") {
    const help = "it must be a function that takes the options";
    throw wrong(`its check is ${kindOf(check)}`, help, "check");
  }
  if (options !== undefined && !isObjectSchema(options)) {
    const help = "they must be made with t.Object({ … })";
    throw wrong(`its options are ${kindOf(options)}`, help, "options");
  }
  const none = options === undefined ? null : findNoSchema(options as never);
  if (none) {
    const help = "each is made with t: `t.Integer()`, `t.String()`, `t.Array(t.String())` …";
    throw wrong(`${none.message}, which is no schema`, help, none.option);
  }
  const bad = options === undefined ? null : checkDefaults(options as never);
  if (bad) throw wrong(bad.message, bad.help, bad.option);
  return plugin as Plugin;
}

function wholeExport(source: string): Place | null {
  return findDefaultExport(source) ?? findCommonJs(source);
}

function isObjectSchema(options: unknown): boolean {
  return isSchema(options) && options[Kind] === "Object";
}

function suggest(key: string): string {
  const name = closestWord(key, KEYS);
  return name ? `did you mean "${name}"?` : "it has name, options, check and setup";
}
