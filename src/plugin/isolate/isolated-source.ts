/** The `source` hook of a plugin in a worker: its drafts are taken one by one, over restarts. */
import type { Draft } from "../sdk.ts";
import type { Life } from "./life.ts";
import type { Lives } from "./lives.ts";
import { WorkerEndedError } from "./worker-errors.ts";

let lastRun = 0;

/**
 * Each draft is asked for when the one before is published, so nothing waits in between. When the worker
 * ends, so does its source; that of the next worker goes on in its place, also where the plugin's own
 * had come to its end: the new one has begun anew.
 */
export function isolatedSource(lives: Lives, signal: AbortSignal): AsyncIterable<Draft> {
  return { [Symbol.asyncIterator]: () => iterate(lives, signal) };
}

function iterate(lives: Lives, signal: AbortSignal): AsyncIterator<Draft> {
  const run = ++lastRun;
  let life: Life | null = null;
  const end = { done: true as const, value: undefined };
  const next = async (): Promise<IteratorResult<Draft>> => {
    while (!signal.aborted) {
      life = await lives.next(signal);
      if (!life) return end;
      try {
        const taken = (await life.call({ hook: "source", run, step: "next" })) as {
          done: boolean;
          value: Draft;
        };
        if (!taken.done) return taken as IteratorYieldResult<Draft>;
        await Promise.race([life.ended, untilAborted(signal)]);
      } catch (error) {
        if (!(error instanceof WorkerEndedError)) throw error;
      }
    }
    return end;
  };
  return {
    next,
    return: async () => {
      if (life && !life.isOver) await life.call({ hook: "source", run, step: "return" });
      return end;
    },
  };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
