/** The hooks of a plugin: which there are, and the check of what `setup` returned. */
import { closestWord } from "../suggest.ts";
import { HookResultError, PluginError } from "./errors.ts";
import { kindOf } from "./kind-of.ts";
import type { Hooks } from "./sdk.ts";

/** Every hook that this version runs. */
export const HOOKS = [
  "source",
  "transform",
  "receive",
  "authorize",
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
 * @throws {PluginError} With `bad-hooks`.
 */
export function checkHooks(returned: unknown, plugin: string, channel: string): BoundHooks {
  const where = { plugin, hook: "setup", channel };
  const wrong = (problem: string, help: string, property: string | null = null) =>
    new PluginError("bad-hooks", where, new HookResultError(problem, help, property));
  if (returned === null || typeof returned !== "object" || Array.isArray(returned)) {
    const isNothing = returned === undefined;
    throw wrong(
      `setup returned ${isNothing ? "nothing" : kindOf(returned)}`,
      `it must return an object of hooks: ${HOOKS.join(", ")}${isNothing ? `; did you forget "return"?` : ""}`,
    );
  }
  const bound: Partial<Record<HookName, (...args: unknown[]) => unknown>> = {};
  for (const name of namesOf(returned)) {
    const hook: unknown = Reflect.get(returned, name);
    if (hook === undefined) continue;
    if (!isHookName(name)) {
      throw wrong(`there is no hook "${name}"`, suggestHook(name, hook, returned), name);
    }
    if (typeof hook !== "function") {
      throw wrong(`hook "${name}" is ${kindOf(hook)}`, "it must be a function", name);
    }
    bound[name] = hook.bind(returned) as (...args: unknown[]) => unknown;
  }
  return bound;
}

function suggestHook(name: string, hook: unknown, returned: object): string {
  const meant = closestWord(name, HOOKS);
  if (meant) return `did you mean "${meant}"?`;
  const isOfClass = Reflect.getPrototypeOf(returned) !== Object.prototype;
  return isOfClass && typeof hook !== "function"
    ? `what is no hook is kept in a private field of the class: #${name}`
    : `the hooks are ${HOOKS.join(", ")}`;
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
