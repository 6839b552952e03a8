/** The transforms of a channel, in their order: what each makes of the drafts of a group of runs. */
import type { MaybePromise } from "./log.ts";
import { sealDraft, type Draft } from "./message.ts";
import type { Job } from "./pipeline-job.ts";
import { checkResult, collect } from "./transform-result.ts";
import { TransformFailure, type Transform } from "./transform.ts";

export interface TransformChainOptions {
  readonly maxBytes: number;
  readonly transforms: readonly Transform[];
  /**
   * A transform threw, or what it gave is no draft. MUST NOT throw.
   *
   * @param lost Messages that are lost by it: 1 or 0.
   * @returns The error as the publisher of a refused run is told it; nothing leaves it as it is.
   */
  readonly onTransformError: (error: unknown, index: number, lost: number) => unknown;
}

export class TransformChain {
  /** What a draft may have at its end; may become another while drafts are under way. */
  maxBytes: number;
  readonly #transforms: readonly Transform[];
  readonly #onError: TransformChainOptions["onTransformError"];

  constructor({ maxBytes, transforms, onTransformError }: TransformChainOptions) {
    this.maxBytes = maxBytes;
    this.#transforms = transforms;
    this.#onError = onTransformError;
  }

  /** Takes a group through its transforms. Never throws. */
  run(group: readonly Job[]): MaybePromise<void> {
    const [{ from, produce }] = group as [Job];
    if (!produce) return this.#transform(group, 0);
    const [job] = group as [Job];
    const failed = (error: unknown) => {
      this.#onError(error, from - 1, 1);
    };
    const take = (produced: Draft | readonly Draft[] | null) => {
      collect(job.drafts, checkResult(produced));
    };
    try {
      const produced = produce();
      if (produced instanceof Promise) {
        return produced
          .then(take)
          .catch(failed)
          .then(() => this.#transform(group, from));
      }
      take(produced);
    } catch (error) {
      failed(error);
    }
    return this.#transform(group, from);
  }

  #transform(group: readonly Job[], from: number): MaybePromise<void> {
    const transforms = this.#transforms;
    for (let index = from; index < transforms.length; index++) {
      const step = transforms[index]!.batch
        ? this.#applyBatch(group, index)
        : this.#applyEach(group, index, 0);
      if (step) return step.then(() => this.#transform(group, index + 1));
    }
    for (const job of group) this.#seal(job);
  }

  async #applyBatch(group: readonly Job[], index: number): Promise<void> {
    const transforms = this.#transforms;
    const alive = group.filter(({ refusal }) => !refusal);
    const drafts = alive.flatMap((job) => job.drafts);
    if (drafts.length === 0) return;
    // What ran in this thread before may have changed data in place.
    const isUntouched = transforms.slice(0, index).every(({ batch }) => batch);
    const texts = alive.flatMap((job) =>
      job.drafts.map((draft) => (isUntouched ? job.texts.given(draft) : undefined)),
    );
    const results = await transforms[index]!.batch!(drafts, texts);
    let next = 0;
    for (const job of alive) {
      const out: Draft[] = [];
      for (const draft of job.drafts) {
        const result = results[next++]!;
        if (result instanceof TransformFailure) {
          collect(out, this.#failed(job, index, result.error, draft));
        } else {
          collect(out, this.#checked(job, index, result, draft));
        }
      }
      job.drafts = out;
    }
  }

  #applyEach(group: readonly Job[], index: number, first: number): Promise<void> | null {
    for (let i = first; i < group.length; i++) {
      const work = this.#apply(group[i]!, index);
      if (work) return work.then(() => this.#applyEach(group, index, i + 1) ?? undefined);
    }
    return null;
  }

  #apply(job: Job, index: number): Promise<void> | null {
    const { drafts } = job;
    const out: Draft[] = [];
    for (let i = 0; i < drafts.length && !job.refusal; i++) {
      const result = this.#call(job, index, drafts[i]!);
      if (result instanceof Promise) {
        // From the first that takes its time on, one waits for the other: order is kept.
        return this.#applyRest(job, index, drafts.slice(i + 1), out, result);
      }
      collect(out, result);
    }
    job.drafts = out;
    return null;
  }

  async #applyRest(
    job: Job,
    index: number,
    rest: readonly Draft[],
    out: Draft[],
    first: Promise<Draft | readonly Draft[] | null>,
  ): Promise<void> {
    collect(out, await first);
    for (const draft of rest) {
      if (job.refusal) break;
      collect(out, await this.#call(job, index, draft));
    }
    job.drafts = out;
  }

  #call(job: Job, index: number, draft: Draft): ReturnType<Transform> {
    const transform = this.#transforms[index]!;
    const before = transform.onError === "pass" ? job.texts.copy(draft) : draft;
    const failed = (error: unknown) => this.#failed(job, index, error, before);
    try {
      const result = transform(draft);
      if (result instanceof Promise) return result.then(checkResult).catch(failed);
      return checkResult(result);
    } catch (error) {
      return failed(error);
    }
  }

  #checked(
    job: Job,
    index: number,
    result: unknown,
    draft: Draft,
  ): Draft | readonly Draft[] | null {
    try {
      return checkResult(result);
    } catch (error) {
      return this.#failed(job, index, error, draft);
    }
  }

  #failed(job: Job, index: number, error: unknown, before: Draft): Draft | null {
    const onError = this.#transforms[index]?.onError ?? "drop";
    const told = this.#onError(error, index, onError === "drop" ? 1 : 0) ?? error;
    if (onError === "stop") job.refusal ??= { error: told };
    return onError === "pass" ? before : null;
  }

  #seal(job: Job): void {
    const last = this.#transforms.length - 1;
    for (const draft of job.drafts) {
      if (job.refusal) return;
      try {
        job.sealed.push(sealDraft(draft, this.maxBytes, job.texts.of(draft)));
      } catch (error) {
        // Nobody knows which transform made it so, nor what it was before: it can't be passed on.
        const isStop = this.#transforms[last]?.onError === "stop";
        const told = this.#onError(error, last, isStop ? 0 : 1) ?? error;
        if (isStop) job.refusal = { error: told };
      }
    }
  }
}
