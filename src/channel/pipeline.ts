/** Drafts on their way to the log: schema, then transforms in order, one batch after the other. */
import { overloaded, type ChannelError } from "./errors.ts";
import type { MaybePromise } from "./log.ts";
import { sealDraft, type Draft, type SealedDraft } from "./message.ts";
import { RawTexts } from "./pipeline-raw.ts";

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
  /** A transform threw, or what it gave is no draft: that message is dropped. MUST NOT throw. */
  readonly onTransformError: (error: unknown, index: number) => void;
}

export class Pipeline {
  readonly #options: PipelineOptions;
  #tail: Promise<unknown> | null = null;
  #waiting = 0;
  /** A batch is in the synchronous transforms now: what comes in by a transform has to wait. */
  #running = false;
  /** What came in by a transform of the running batch waits behind this. */
  #gate: PromiseWithResolvers<void> | null = null;

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
    this.#admit(drafts.length);
    return this.#inTurn(drafts.length, () => this.#transform(drafts), commit);
  }

  /**
   * Runs what `produce` gives through the transforms from index `from` on. It is called when its turn
   * comes, with no batch in any transform; the schema, which is for what comes in, is not asked.
   *
   * @throws {ChannelError} When too many drafts wait.
   */
  inject<T>(
    produce: () => Draft | readonly Draft[] | null,
    from: number,
    commit: (sealed: readonly SealedDraft[]) => MaybePromise<T>,
  ): MaybePromise<T> {
    this.#admit(1);
    const work = () => {
      const produced: Draft[] = [];
      try {
        collect(produced, checkResult(produce()));
      } catch (error) {
        this.#options.onTransformError(error, from - 1);
      }
      return this.#transform(produced, from);
    };
    return this.#inTurn(1, work, commit);
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

  #admit(count: number): void {
    const { maxWaiting, channel } = this.#options;
    // Where nothing waits, a batch of any length may come: later it would be just as long.
    if (this.#waiting > 0 && this.#waiting + count > maxWaiting) {
      throw overloaded(channel, maxWaiting);
    }
  }

  #inTurn<T>(
    count: number,
    work: () => MaybePromise<SealedDraft[]>,
    commit: (sealed: readonly SealedDraft[]) => MaybePromise<T>,
  ): MaybePromise<T> {
    if (this.#tail !== null || this.#running) {
      return this.#enqueue(count, async () => commit(await work()));
    }
    this.#running = true;
    let out: MaybePromise<SealedDraft[]> | null = null;
    try {
      out = work();
    } finally {
      this.#running = false;
      // What waits behind the gate goes on in a microtask, so after the commit below.
      if (!(out instanceof Promise)) this.#takeGate()?.resolve();
    }
    // The usual case: every transform is synchronous, and no promise is made.
    if (!(out instanceof Promise)) return commit(out);
    const late = out;
    const gate = this.#takeGate();
    if (!gate) return this.#enqueue(count, () => late.then(commit));
    this.#waiting += count;
    return late.then(commit).finally(() => {
      this.#waiting -= count;
      gate.resolve();
    });
  }

  #takeGate(): PromiseWithResolvers<void> | null {
    const gate = this.#gate;
    this.#gate = null;
    return gate;
  }

  #enqueue<T>(count: number, work: () => Promise<T>): Promise<T> {
    this.#waiting += count;
    if (this.#running) this.#gate ??= Promise.withResolvers();
    const before = this.#tail ?? this.#gate?.promise ?? Promise.resolve();
    const result = before.then(work).finally(() => {
      this.#waiting -= count;
      if (this.#tail === settled) this.#tail = null;
    });
    const settled: Promise<unknown> = result.catch(() => {});
    this.#tail = settled;
    return result;
  }

  #transform(drafts: readonly IncomingDraft[], from = 0): MaybePromise<SealedDraft[]> {
    const texts = new RawTexts();
    let current: MaybePromise<Draft[]> = drafts.map(({ raw, ...draft }) => {
      if (raw !== undefined) texts.keep(draft, raw);
      return draft;
    });
    this.#options.transforms.forEach((transform, index) => {
      if (index < from) return;
      current =
        current instanceof Promise
          ? current.then((list) => this.#apply(transform, index, list))
          : this.#apply(transform, index, current);
    });
    const last = this.#options.transforms.length - 1;
    const seal = (list: readonly Draft[]) =>
      list.flatMap((draft) => this.#seal(draft, last, texts.of(draft)));
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

  #seal(draft: Draft, index: number, raw: string | undefined): SealedDraft[] {
    try {
      return [sealDraft(draft, this.#options.maxBytes, raw)];
    } catch (error) {
      this.#options.onTransformError(error as ChannelError, index);
      return [];
    }
  }
}

function collect(out: Draft[], result: Draft | readonly Draft[] | null): void {
  if (result === null) return;
  // Not `push(...result)`: a transform that splits into very many would overflow the stack.
  if (Array.isArray(result)) for (const draft of result as readonly Draft[]) out.push(draft);
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
