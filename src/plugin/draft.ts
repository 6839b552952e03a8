/** What a plugin gives as a draft, checked as far as the pipeline does not. */
import type { Draft } from "../channel/message.ts";
import { HookResultError } from "./errors.ts";
import { kindOf } from "./kind-of.ts";

/**
 * Takes a draft's own fields, or gives null when it is none.
 *
 * Nothing else is passed on: the pipeline trusts `raw` to be the JSON text of `data`, which is for the
 * server to say, not for a plugin.
 */
export function toDraft(value: unknown): Draft | null {
  if (value === null || typeof value !== "object" || !("data" in value)) return null;
  const { data, event, key, format } = value as Draft;
  return { data, event, key, format };
}

/**
 * Takes one draft or several, as `emit` and `publish` are given them.
 *
 * @param by What they were given to, for the message.
 * @throws {HookResultError} When one is none.
 */
export function checkDrafts(given: unknown, by: string): Draft[] {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  return list.map((item) => {
    const draft = toDraft(item);
    if (draft) return draft;
    throw new HookResultError(
      `${by} was given ${noDraft(item)}`,
      `a draft is an object with "data"`,
    );
  });
}

/** What a value is that is no draft, in words. */
export function noDraft(value: unknown): string {
  if (value === undefined) return "nothing";
  const kind = kindOf(value);
  return kind === "an object" ? 'an object without "data"' : kind;
}
