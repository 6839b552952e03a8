/** The hooks of a plugin: which there are, and the check of what `setup` returned. */
import { closestWord } from "../suggest.ts";
import { PluginError } from "./errors.ts";
import { kindOf } from "./kind-of.ts";
import type { Hooks } from "./sdk.ts";

/** Every hook that this version runs. */
export const HOOKS = [
  "source",
  "transform",
  "receive",
  "joined",
  "left",
  "sink",
  "close",
] as const satisfies readonly (keyof Hooks)[];

/**
 * Milliseconds that one call of `receive`, `joined` or `left` may take, since further ones of the same
 * client wait for it.
 */
export const HOOK_MS = 10_000;

export type HookName = (typeof HOOKS)[number];

/** What a hook is given and returns, as far as it can be trusted: not at all. */
export type BoundHooks = { readonly [Name in HookName]?: (...args: unknown[]) => unknown };

/**
 * Checks what `setup` returned, and binds the hooks to it.
 *
 * @throws {PluginError} With `bad-hooks`, or `unsupported` for `authorize`: to leave out a hook that
 *   guards a channel would open it to everybody.
 */
export function checkHooks(returned: unknown, plugin: string, channel: string): BoundHooks {
  const where = { plugin, hook: "setup", channel };
  const wrong = (message: string) => new PluginError("bad-hooks", where, new TypeError(message));
  if (returned === null || typeof returned !== "object" || Array.isArray(returned)) {
    const what = returned === undefined ? "nothing" : kindOf(returned);
    throw wrong(`setup returned ${what}; it must return an object of hooks: ${HOOKS.join(", ")}`);
  }
  const bound: Partial<Record<HookName, (...args: unknown[]) => unknown>> = {};
  for (const name of namesOf(returned)) {
    const hook: unknown = Reflect.get(returned, name);
    if (hook === undefined) continue;
    if (name === "authorize") {
      throw new PluginError(
        "unsupported",
        where,
        new TypeError(
          "this version has no hook authorize, so nothing would be refused by it; do not expose this channel, or have a proxy in front of the server decide who may use it",
        ),
      );
    }
    if (!isHookName(name)) {
      const meant = closestWord(name, HOOKS);
      throw wrong(
        `there is no hook "${name}"; ${meant ? `did you mean "${meant}"?` : `the hooks are ${HOOKS.join(", ")}`}`,
      );
    }
    if (typeof hook !== "function") {
      throw wrong(`hook "${name}" is ${kindOf(hook)}; it must be a function`);
    }
    bound[name] = hook.bind(returned) as (...args: unknown[]) => unknown;
  }
  return bound;
}

function isHookName(name: string): name is HookName {
  return (HOOKS as readonly string[]).includes(name);
}

/** Own and inherited names: an instance of a class is a set of hooks too, and must not hide a wrong one. */
function namesOf(object: object): Set<string> {
  const names = new Set<string>();
  for (
    let level: object | null = object;
    level !== null && level !== Object.prototype;
    level = Reflect.getPrototypeOf(level)
  ) {
    for (const name of Object.getOwnPropertyNames(level)) {
      if (name !== "constructor") names.add(name);
    }
  }
  return names;
}
