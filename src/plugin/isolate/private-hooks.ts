/**
 * What the hooks of an isolated plugin have beside those of any other. Their keys are symbols: no author's
 * plugin has them, and no check of names sees them.
 */
import type { BatchTransform } from "../../channel/pipeline.ts";

/** A `transform` that takes many drafts at once. */
export const BATCH: unique symbol = Symbol("batch");
/** Ends the worker: called last, when no message of the channel can come any more. */
export const END: unique symbol = Symbol("end");

export interface PrivateHooks {
  readonly [BATCH]?: BatchTransform;
  readonly [END]?: () => void;
}

/** @param hooks What `setup` returned, whatever it is. */
export function privateHooksOf(hooks: unknown): PrivateHooks {
  return typeof hooks === "object" && hooks !== null ? (hooks as PrivateHooks) : {};
}
