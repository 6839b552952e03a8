/** A plugin as a test of a channel runs it: without the hooks that reach outside. */
import type { Plugin } from "../../plugin/sdk.ts";

/** The same plugin, whose hooks of these names are not there. */
export function quietPlugin(plugin: Plugin, names: ReadonlySet<string>): Plugin {
  if (names.size === 0) return plugin;
  return {
    ...plugin,
    async setup(context) {
      const hooks: unknown = await plugin.setup(context);
      return typeof hooks === "object" && hooks !== null && !Array.isArray(hooks)
        ? (without(hooks, names) as never)
        : (hooks as never);
    },
  };
}

/** A proxy rather than a copy: `setup` may return an instance of a class, with private members. */
function without(hooks: object, names: ReadonlySet<string>): object {
  return new Proxy(hooks, {
    get(target, name) {
      if (typeof name === "string" && names.has(name)) return undefined;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
