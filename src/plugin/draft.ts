/** What a plugin gives as a draft, checked as far as the pipeline does not. */
import type { Draft } from "../channel/message.ts";

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
