/** Drafts on their way to the log: schema, then transforms in order, one batch after the other. */
import { overloaded, ResultError } from "./errors.ts";
import type { MaybePromise } from "./log.ts";
import { sealDraft, type Draft, type SealedDraft } from "./message.ts";
import { Job, type IncomingDraft } from "./pipeline-job.ts";
import { isSameTrail, withTrail } from "./trail.ts";
import { TransformFailure, type Transform } from "./transform.ts";

export { TransformFailure } from "./transform.ts";
export type { BatchResult, BatchTransform, OnError, Transform } from "./transform.ts";

export type { IncomingDraft } from "./pipeline-job.ts";

export interface PipelineOptions {
  readonly channel: string;
  readonly maxBytes: number;
  /** Drafts that may wait for transforms that take their time. */
  readonly maxWaiting: number;
  /** Refuses data, published under this key. Thrown to the publisher, before any transform runs. */
  readonly validate?: ((data: unknown, key: string | undefined) => void) | null | undefined;
  readonly transforms: readonly Transform[];
  /**
   * A transform threw, or what it gave is no draft. MUST NOT throw.
   *
   * @param lost Messages that are lost by it: 1 or 0.
   * @returns The error as the publisher of a refused run is told it; nothing leaves it as it is.
   */
  readonly onTransformError: (error: unknown, index: number, lost: number) => unknown;
}

/** What one group of runs holds at most, where it is more than one run: drafts, and bytes of data. */
const GROUP = { drafts: 1024, bytes: 1024 ** 2 };

/** What may become another while drafts are under way. */
export type PipelineRules = Pick<PipelineOptions, "maxBytes" | "maxWaiting" | "validate">;

export class Pipeline {
  #options: PipelineOptions;
  /** Runs behind one another may go through a batch transform together. */
  readonly #hasBatches: boolean;
  readonly #queue: Job[] = [];
  #waiting = 0;
  /** Drafts are in the transforms now: what comes in has to wait, be it from a transform itself. */
  #busy = false;
  #tail: Promise<void> | null = null;
  /** What was there before it is not at its end: all that comes has to wait, transforms or not. */
  #isHeld = false;

  /** @param before Drafts wait until it has settled. */
  constructor(options: PipelineOptions, before: Promise<void> | null = null) {
    this.#options = options;
    this.#hasBatches = options.transforms.some(({ batch }) => batch);
    if (!before) return;
    this.#isHeld = true;
    this.#busy = true;
    this.#tail = this.#drain(
      [],
      before.catch(() => {}),
    );
  }

  /** What is run now is checked and handed to its commit before `run` returns. */
  get isDirect(): boolean {
    return this.#options.transforms.length === 0 && !this.#isHeld;
  }

  /** Lets other rules hold for the drafts that come from here on. */
  update(rules: PipelineRules): void {
    this.#options = { ...this.#options, ...rules };
  }

  /**
   * Runs drafts through the pipeline and hands what is left to `commit`.
   *
   * All or none: a draft that is refused (too large, not of the schema, or failed on by a transform whose
   * `onError` is `stop`) refuses the call.
   *
   * @throws {ChannelError} When a draft is refused or too many wait.
   */
  run<T>(
    drafts: readonly IncomingDraft[],
    commit: (sealed: readonly SealedDraft[]) => MaybePromise<T>,
  ): MaybePromise<T> {
    const sealed = this.#check(drafts);
    if (this.isDirect) return commit(sealed);
    this.#admit(drafts.length);
    const bytes = this.#hasBatches ? sealed.reduce((sum, { size }) => sum + size, 0) : 0;
    return this.#submit(new Job(drafts.length, bytes, 0, drafts, null, commit)) as MaybePromise<T>;
  }

  /**
   * Runs what `produce` gives through the transforms from index `from` on. It is called when its turn
   * comes, with no draft in any transform; the schema, which is for what comes in, is not asked.
   *
   * @throws {ChannelError} When too many drafts wait.
   */
  inject<T>(
    produce: () => MaybePromise<Draft | readonly Draft[] | null>,
    from: number,
    commit: (sealed: readonly SealedDraft[]) => MaybePromise<T>,
  ): MaybePromise<T> {
    this.#admit(1);
    return this.#submit(new Job(1, 0, from, [], produce, commit)) as MaybePromise<T>;
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#tail !== null) await this.#tail;
  }

  #check(drafts: readonly IncomingDraft[]): SealedDraft[] {
    const { validate, maxBytes } = this.#options;
    return drafts.map((draft) => {
      const sealed = sealDraft(draft, maxBytes, draft.raw);
      validate?.(draft.data, sealed.key);
      return sealed;
    });
  }

  #admit(count: number): void {
    const { maxWaiting, channel } = this.#options;
    // Where nothing waits, a batch of any length may come: later it would be just as long.
    if (this.#waiting > 0 && this.#waiting + count > maxWaiting) {
      throw overloaded(channel, maxWaiting);
    }
  }

  #submit(job: Job): MaybePromise<unknown> {
    if (this.#busy) {
      this.#waiting += job.count;
      this.#queue.push(job);
      return job.promise();
    }
    this.#busy = true;
    const work = this.#work([job]);
    if (work instanceof Promise) {
      this.#waiting += job.count;
      this.#tail = this.#drain([job], work);
      return job.promise();
    }
    // The usual case: every transform is synchronous, and no promise is made. What a transform has
    // published meanwhile goes on in a microtask, so after the commit below.
    if (this.#queue.length === 0) this.#busy = false;
    else this.#tail = this.#drain([], Promise.resolve());
    return job.end();
  }

  /** Ends a group whose transforms are under way, then takes group by group until nothing waits. */
  async #drain(group: readonly Job[], work: MaybePromise<void>): Promise<void> {
    for (;;) {
      await work;
      const commits = group.map((job) => job.commitLate());
      if (commits.some((commit) => commit !== null)) await Promise.all(commits);
      for (const { count } of group) this.#waiting -= count;
      const isLast = this.#queue.length === 0;
      if (isLast) {
        // Before anybody hears of the end: who publishes then finds the pipeline free.
        this.#busy = false;
        this.#isHeld = false;
        this.#tail = null;
      }
      for (const job of group) job.settle();
      if (isLast) return;
      const next = this.#nextGroup();
      group = next;
      work = withTrail(next[0]!.trail, () => this.#work(next));
    }
  }

  #nextGroup(): [Job, ...Job[]] {
    const first = this.#queue.shift()!;
    const group: [Job, ...Job[]] = [first];
    if (!this.#hasBatches || first.produce) return group;
    let { count, bytes } = first;
    for (let next = this.#queue[0]; next && !next.produce; next = this.#queue[0]) {
      if (!isSameTrail(next.trail, first.trail)) break;
      count += next.count;
      bytes += next.bytes;
      if (count > GROUP.drafts || bytes > GROUP.bytes) break;
      group.push(this.#queue.shift()!);
    }
    return group;
  }

  /** Takes a group through its transforms. Never throws. */
  #work(group: readonly Job[]): MaybePromise<void> {
    const [{ from, produce }] = group as [Job];
    if (!produce) return this.#transform(group, 0);
    const [job] = group as [Job];
    const failed = (error: unknown) => {
      this.#options.onTransformError(error, from - 1, 1);
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
    const { transforms } = this.#options;
    for (let index = from; index < transforms.length; index++) {
      const step = transforms[index]!.batch
        ? this.#applyBatch(group, index)
        : this.#applyEach(group, index, 0);
      if (step) return step.then(() => this.#transform(group, index + 1));
    }
    for (const job of group) this.#seal(job);
  }

  async #applyBatch(group: readonly Job[], index: number): Promise<void> {
    const { transforms } = this.#options;
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
    const transform = this.#options.transforms[index]!;
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
    const { transforms, onTransformError } = this.#options;
    const onError = transforms[index]?.onError ?? "drop";
    const told = onTransformError(error, index, onError === "drop" ? 1 : 0) ?? error;
    if (onError === "stop") job.refusal ??= { error: told };
    return onError === "pass" ? before : null;
  }

  #seal(job: Job): void {
    const { transforms, maxBytes, onTransformError } = this.#options;
    const last = transforms.length - 1;
    for (const draft of job.drafts) {
      if (job.refusal) return;
      try {
        job.sealed.push(sealDraft(draft, maxBytes, job.texts.of(draft)));
      } catch (error) {
        // Nobody knows which transform made it so, nor what it was before: it can't be passed on.
        const isStop = transforms[last]?.onError === "stop";
        const told = onTransformError(error, last, isStop ? 0 : 1) ?? error;
        if (isStop) job.refusal = { error: told };
      }
    }
  }
}

function collect(out: Draft[], result: Draft | readonly Draft[] | null): void {
  if (result === null) return;
  // Not `push(...result)`: a transform that splits into very many would overflow the stack.
  if (Array.isArray(result)) for (const draft of result as readonly Draft[]) out.push(draft);
  else out.push(result as Draft);
}

/** @throws {ResultError} When what a transform gave is no draft, no several, and not null. */
export function checkResult(result: unknown): Draft | readonly Draft[] | null {
  if (result === undefined) {
    throw new ResultError(
      "transform returned nothing",
      `return the draft, several, or null to drop it; did you forget "return"?`,
    );
  }
  if (result === null) return null;
  const isList = Array.isArray(result);
  const list: readonly unknown[] = isList ? result : [result];
  for (const item of list) {
    if (item !== null && typeof item === "object" && "data" in item) continue;
    const what = nameOf(item);
    throw new ResultError(
      `transform returned ${isList ? `an array with ${what} in it` : what}`,
      `a draft is an object with "data"${item === null ? "; to drop one, leave it out of the array" : ""}`,
    );
  }
  return result as Draft | readonly Draft[] | null;
}

function nameOf(item: unknown): string {
  if (item === null || item === undefined) return String(item);
  if (typeof item !== "object") return `a ${typeof item}`;
  if (Array.isArray(item)) return "an array";
  return item instanceof Promise ? "a promise" : `an object without "data"`;
}
