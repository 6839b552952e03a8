/** What a transform is to a pipeline: of one draft at a time, or of many at once. */
import type { MaybePromise } from "./log.ts";
import type { Draft } from "./message.ts";

/** Changes a draft, splits it into several, or drops it (null). It may take its time: order is kept. */
export interface Transform {
  (draft: Draft): MaybePromise<Draft | readonly Draft[] | null>;
  /** Asked instead of the function where a call costs the same for many drafts as for one. */
  readonly batch?: BatchTransform | undefined;
  /** Default: `drop`. */
  readonly onError?: OnError | undefined;
}

/**
 * Transforms many drafts at once, of one run or of several that wait behind one another.
 *
 * @param texts For each draft the JSON text that its data was parsed from, where nothing has touched it.
 * @returns What became of each draft, in their order. MUST NOT reject: a draft that fails is a
 *   `TransformFailure`.
 */
export type BatchTransform = (
  drafts: readonly Draft[],
  texts: readonly (string | undefined)[],
) => Promise<readonly BatchResult[]>;

export type BatchResult = Draft | readonly Draft[] | null | TransformFailure;

/** Stands for a draft that a batch transform failed on. */
export class TransformFailure {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

/**
 * What becomes of a draft that a transform fails on: it alone is lost, it goes on as it was before this
 * transform, or its whole run is refused.
 */
export type OnError = "drop" | "pass" | "stop";
