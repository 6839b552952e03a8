/** Checks that what a plugin file exports is a plugin. */
import { Kind } from "@sinclair/typebox";
import { closestWord } from "../suggest.ts";
import { PluginLoadError } from "./errors.ts";
import { HOOKS } from "./hooks.ts";
import { kindOf } from "./kind-of.ts";
import type { Plugin } from "./sdk.ts";

const KEYS = ["name", "options", "check", "setup"];
const RIGHT = "write `export default definePlugin({ name, options, setup })`";

/**
 * @param module What `import()` of the file gave.
 * @param where Its path, or its name when it ships.
 * @throws {PluginLoadError} When its default export is no plugin.
 */
export function checkPlugin(module: unknown, use: string, where: string): Plugin {
  const wrong = (message: string) =>
    new PluginLoadError("not-a-plugin", use, `${where}: ${message}`);
  const exported = module as Record<string, unknown>;
  if (!("default" in exported)) {
    const others = Object.keys(exported);
    const has = others.length > 0 ? `it exports ${others.join(", ")} but has` : "it has";
    throw new PluginLoadError(
      "no-default-export",
      use,
      `${where}: ${has} no default export; ${RIGHT}`,
    );
  }
  const plugin = exported["default"];
  if (plugin === null || typeof plugin !== "object" || Array.isArray(plugin)) {
    throw wrong(`its default export is ${kindOf(plugin)}, not a plugin; ${RIGHT}`);
  }
  const { name, options, check, setup } = plugin as Record<string, unknown>;
  for (const key of Object.keys(plugin)) {
    if (KEYS.includes(key)) continue;
    const hint = (HOOKS as readonly string[]).includes(key)
      ? `it is a hook: return it from setup, as \`setup: () => ({ ${key} })\``
      : suggest(key);
    throw wrong(`a plugin has no "${key}"; ${hint}`);
  }
  if (typeof name !== "string" || name.trim() === "") {
    throw wrong(`its name is ${kindOf(name)}; a plugin needs a name: ${RIGHT}`);
  }
  if (typeof setup !== "function") {
    throw wrong(`its setup is ${kindOf(setup)}; it must be a function that returns the hooks`);
  }
  if (check !== undefined && typeof check !== "function") {
    throw wrong(`its check is ${kindOf(check)}; it must be a function that takes the options`);
  }
  if (options !== undefined && !isObjectSchema(options)) {
    throw wrong(`its options are ${kindOf(options)}; they must be made with t.Object({ … })`);
  }
  return plugin as Plugin;
}

/** `Kind` is in the symbol registry: a schema made by another copy of TypeBox has it too. */
function isObjectSchema(options: unknown): boolean {
  return (
    typeof options === "object" &&
    options !== null &&
    (options as { [Kind]?: unknown })[Kind] === "Object"
  );
}

function suggest(key: string): string {
  const name = closestWord(key, KEYS);
  return name ? `did you mean "${name}"?` : "it has name, options, check and setup";
}
