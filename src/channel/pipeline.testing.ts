/** What the tests of a pipeline share. */
import type { Draft, SealedDraft } from "./message.ts";
import { Pipeline, type PipelineOptions, type Transform } from "./pipeline.ts";

/** A pipeline with a log of its own: what was committed, batch by batch, and what failed where. */
export function openPipeline(
  transforms: readonly Transform[],
  options: Partial<PipelineOptions> = {},
) {
  const batches: string[][] = [];
  const errors: [number, string][] = [];
  const pipeline = new Pipeline({
    channel: "prices",
    maxBytes: 1024,
    maxWaiting: 100,
    transforms,
    onTransformError: (error, index) => void errors.push([index, (error as Error).message]),
    ...options,
  });
  const commit = (sealed: readonly SealedDraft[]) => {
    const texts = sealed.map(({ text }) => text!);
    batches.push(texts);
    return texts;
  };
  const run = (...data: unknown[]) =>
    pipeline.run(
      data.map((each) => ({ data: each })),
      commit,
    );
  const inject = (produce: () => Draft | readonly Draft[] | null, from: number) =>
    pipeline.inject(produce, from, commit);
  return { pipeline, batches, errors, commit, run, inject };
}

/** A transform that waits for `release`, one call at a time, in the order of the calls. */
export function gate() {
  const waiting: (() => void)[] = [];
  const calls: unknown[] = [];
  const transform: Transform = (draft) => {
    calls.push(draft.data);
    return new Promise((resolve) => waiting.push(() => resolve(draft)));
  };
  return {
    transform,
    calls,
    async release() {
      waiting.shift()!();
      await settle();
    },
  };
}

/** Lets all promises that can settle do so. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));
export const append =
  (suffix: string): Transform =>
  (draft) => ({ ...draft, data: `${draft.data as string}${suffix}` });
export const later =
  (suffix: string): Transform =>
  async (draft) => {
    await null;
    return { ...draft, data: `${draft.data as string}${suffix}` };
  };
