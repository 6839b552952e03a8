/** Drafts on their way to the log: schema, then transforms in order, one batch after the other. */
import { overloaded } from "./errors.ts";
import type { MaybePromise } from "./log.ts";
import { sealDraft, type Draft, type SealedDraft } from "./message.ts";
import { Job, type IncomingDraft } from "./pipeline-job.ts";
import { isSameTrail, withTrail } from "./trail.ts";
import { TransformChain, type TransformChainOptions } from "./transform-chain.ts";

export { TransformFailure } from "./transform.ts";
export type { BatchResult, BatchTransform, OnError, Transform } from "./transform.ts";

export type { IncomingDraft } from "./pipeline-job.ts";

export interface PipelineOptions extends TransformChainOptions {
  readonly channel: string;
  /** Drafts that may wait for transforms that take their time. */
  readonly maxWaiting: number;
  /** Refuses data, published under this key. Thrown to the publisher, before any transform runs. */
  readonly validate?: ((data: unknown, key: string | undefined) => void) | null | undefined;
}

/** What one group of runs holds at most, where it is more than one run: drafts, and bytes of data. */
const GROUP = { drafts: 1024, bytes: 1024 ** 2 };

/** What may become another while drafts are under way. */
export type PipelineRules = Pick<PipelineOptions, "maxBytes" | "maxWaiting" | "validate">;

export class Pipeline {
  #options: PipelineOptions;
  readonly #chain: TransformChain;
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
    this.#chain = new TransformChain(options);
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
    this.#chain.maxBytes = rules.maxBytes;
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
    const work = this.#chain.run([job]);
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
      work = withTrail(next[0]!.trail, () => this.#chain.run(next));
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
}
