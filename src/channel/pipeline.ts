/** Drafts on their way to the log: schema, then transforms in order, one batch after the other. */
import { overloaded, type ChannelError } from "./errors.ts";
import type { MaybePromise } from "./log.ts";
import { sealDraft, type Draft, type SealedDraft } from "./message.ts";

/** Changes a draft, splits it into several, or drops it (null). It may take its time: order is kept. */
export type Transform = (draft: Draft) => MaybePromise<Draft | readonly Draft[] | null>;

/** A draft as it comes in, with the JSON text that its data was parsed from, if there was one. */
export interface IncomingDraft extends Draft {
  readonly raw?: string | undefined;
}

export interface PipelineOptions {
  readonly channel: string;
  readonly maxBytes: number;
  /** Drafts that may wait for transforms that take their time. */
  readonly maxWaiting: number;
  /** Refuses data. Thrown to the publisher, before any transform runs. */
  readonly validate?: ((data: unknown) => void) | undefined;
  readonly transforms: readonly Transform[];
  /** A transform threw, or what it gave is no draft: that message is dropped. */
  readonly onTransformError: (error: unknown, index: number) => void;
}

export class Pipeline {
  readonly #options: PipelineOptions;
  #tail: Promise<unknown> | null = null;
  #waiting = 0;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /**
   * Runs drafts through the pipeline and hands what is left to `commit`.
   *
   * All or none: a draft that is refused (too large, not of the schema) refuses the call.
   * A draft that a transform fails on is dropped alone.
   *
   * @throws {ChannelError} When a draft is refused or too many wait.
   */
  run<T>(
    drafts: readonly IncomingDraft[],
    commit: (sealed: readonly SealedDraft[]) => MaybePromise<T>,
  ): MaybePromise<T> {
    const sealed = this.#check(drafts);
    if (this.#options.transforms.length === 0) return commit(sealed);
    const { maxWaiting, channel } = this.#options;
    if (this.#waiting + drafts.length > maxWaiting) throw overloaded(channel, maxWaiting);
    if (this.#tail === null) {
      const out = this.#transform(drafts);
      // The usual case: every transform is synchronous, and no promise is made.
      if (!(out instanceof Promise)) return commit(out);
      return this.#enqueue(drafts.length, () => out.then(commit));
    }
    return this.#enqueue(drafts.length, async () => commit(await this.#transform(drafts)));
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#tail !== null) await this.#tail;
  }

  #check(drafts: readonly IncomingDraft[]): SealedDraft[] {
    const { validate, maxBytes } = this.#options;
    return drafts.map((draft) => {
      const sealed = sealDraft(draft, maxBytes, draft.raw);
      validate?.(draft.data);
      return sealed;
    });
  }

  #enqueue<T>(count: number, work: () => Promise<T>): Promise<T> {
    this.#waiting += count;
    const before = this.#tail ?? Promise.resolve();
    const result = before.then(work).finally(() => {
      this.#waiting -= count;
      if (this.#tail === settled) this.#tail = null;
    });
    const settled: Promise<unknown> = result.catch(() => {});
    this.#tail = settled;
    return result;
  }

  #transform(drafts: readonly IncomingDraft[]): MaybePromise<SealedDraft[]> {
    let current: MaybePromise<Draft[]> = drafts.map(({ raw: _raw, ...draft }) => draft);
    this.#options.transforms.forEach((transform, index) => {
      current =
        current instanceof Promise
          ? current.then((list) => this.#apply(transform, index, list))
          : this.#apply(transform, index, current);
    });
    const last = this.#options.transforms.length - 1;
    const seal = (list: readonly Draft[]) => list.flatMap((draft) => this.#seal(draft, last));
    return current instanceof Promise ? current.then(seal) : seal(current);
  }

  #apply(transform: Transform, index: number, drafts: readonly Draft[]): MaybePromise<Draft[]> {
    const out: Draft[] = [];
    for (let i = 0; i < drafts.length; i++) {
      const result = this.#call(transform, index, drafts[i]!);
      if (result instanceof Promise) {
        // From the first that takes its time on, one waits for the other: order is kept.
        return this.#applyRest(transform, index, drafts.slice(i + 1), out, result);
      }
      collect(out, result);
    }
    return out;
  }

  async #applyRest(
    transform: Transform,
    index: number,
    rest: readonly Draft[],
    out: Draft[],
    first: Promise<Draft | readonly Draft[] | null>,
  ): Promise<Draft[]> {
    collect(out, await first);
    for (const draft of rest) collect(out, await this.#call(transform, index, draft));
    return out;
  }

  #call(transform: Transform, index: number, draft: Draft): ReturnType<Transform> {
    const failed = (error: unknown) => {
      this.#options.onTransformError(error, index);
      return null;
    };
    try {
      const result = transform(draft);
      if (result instanceof Promise) return result.then(checkResult).catch(failed);
      return checkResult(result);
    } catch (error) {
      return failed(error);
    }
  }

  #seal(draft: Draft, index: number): SealedDraft[] {
    try {
      return [sealDraft(draft, this.#options.maxBytes)];
    } catch (error) {
      this.#options.onTransformError(error as ChannelError, index);
      return [];
    }
  }
}

function collect(out: Draft[], result: Draft | readonly Draft[] | null): void {
  if (result === null) return;
  if (Array.isArray(result)) out.push(...(result as readonly Draft[]));
  else out.push(result as Draft);
}

function checkResult(result: unknown): Draft | readonly Draft[] | null {
  if (result === undefined) {
    throw new TypeError(
      "transform returned nothing; return the draft, several, or null to drop it",
    );
  }
  const list = Array.isArray(result) ? result : [result];
  for (const item of list) {
    if (item === null && !Array.isArray(result)) return null;
    if (item === null || typeof item !== "object" || !("data" in item)) {
      throw new TypeError(`transform must return drafts, which are objects with "data"`);
    }
  }
  return result as Draft | readonly Draft[] | null;
}
