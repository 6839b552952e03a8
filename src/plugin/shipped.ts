/** The plugins that ship. A new one is its file in plugins/ and one line here. */

/**
 * Static specifiers: the bundler sees them, so the executable carries the plugins. Lazy: one that no
 * channel uses is never evaluated.
 */
const SHIPPED: ReadonlyMap<string, () => Promise<unknown>> = new Map([
  ["clock", () => import("../../plugins/clock.ts")],
  ["echo", () => import("../../plugins/echo.ts")],
  ["random-walk", () => import("../../plugins/random-walk.ts")],
  ["http-poll", () => import("../../plugins/http-poll.ts")],
  ["tail", () => import("../../plugins/tail.ts")],
  ["filter", () => import("../../plugins/filter.ts")],
  ["map", () => import("../../plugins/map.ts")],
  ["throttle", () => import("../../plugins/throttle.ts")],
  ["dedupe", () => import("../../plugins/dedupe.ts")],
  ["webhook", () => import("../../plugins/webhook.ts")],
] as [string, () => Promise<unknown>][]);

/** Bare names that `use:` takes. */
export const SHIPPED_NAMES: readonly string[] = [...SHIPPED.keys()];

/** Imports a plugin that ships; null when there is none of this name. */
export function importShipped(name: string): Promise<unknown> | null {
  return SHIPPED.get(name)?.() ?? null;
}
