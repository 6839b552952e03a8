/** One call of a pipeline, from its drafts to its commit. */
import type { MaybePromise } from "./log.ts";
import type { Draft, SealedDraft } from "./message.ts";
import { RawTexts } from "./pipeline-raw.ts";
import { currentTrail, withTrail } from "./trail.ts";

/** A draft as it comes in, with the JSON text that its data was parsed from, if there was one. */
export interface IncomingDraft extends Draft {
  readonly raw?: string | undefined;
}

/** One call of `run` or `inject` on its way. */
export class Job {
  /** Drafts that it counts for while it waits. */
  readonly count: number;
  readonly bytes: number;
  readonly from: number;
  readonly produce: (() => MaybePromise<Draft | readonly Draft[] | null>) | null;
  readonly texts = new RawTexts();
  /** Of its caller: when its turn comes, another's is the present one. */
  readonly trail = currentTrail();
  drafts: Draft[];
  readonly sealed: SealedDraft[] = [];
  /** Why nothing of it is committed. */
  refusal: { readonly error: unknown } | null = null;
  readonly #commit: (sealed: readonly SealedDraft[]) => MaybePromise<unknown>;
  #settled: PromiseWithResolvers<unknown> | null = null;
  #committed: unknown;

  constructor(
    count: number,
    bytes: number,
    from: number,
    drafts: readonly IncomingDraft[],
    produce: Job["produce"],
    commit: (sealed: readonly SealedDraft[]) => MaybePromise<unknown>,
  ) {
    this.count = count;
    this.bytes = bytes;
    this.from = from;
    this.produce = produce;
    this.#commit = commit;
    // Not `{ raw, ...draft }`: for every message that alone costs more than all else here.
    this.drafts = drafts.map(({ data, event, key, format, raw }) => {
      const draft: Draft = { data, event, key, format };
      if (raw !== undefined) this.texts.keep(draft, raw);
      return draft;
    });
  }

  /** What its caller waits for, where it takes its time. */
  promise(): Promise<unknown> {
    this.#settled = Promise.withResolvers();
    return this.#settled.promise;
  }

  /** @throws What it is refused with. */
  end(): MaybePromise<unknown> {
    if (this.refusal) throw this.refusal.error;
    return this.#commit(this.sealed);
  }

  /**
   * Commits in this turn, so in the order of the calls. Never throws.
   *
   * @returns null when it is done or has failed; else what resolves when it has.
   */
  commitLate(): Promise<void> | null {
    if (this.refusal) return null;
    const failed = (error: unknown) => {
      this.refusal = { error };
    };
    try {
      const committed = withTrail(this.trail, () => this.#commit(this.sealed));
      if (!(committed instanceof Promise)) {
        this.#committed = committed;
        return null;
      }
      return committed.then((value) => {
        this.#committed = value;
      }, failed);
    } catch (error) {
      failed(error);
      return null;
    }
  }

  settle(): void {
    if (this.refusal) this.#settled!.reject(this.refusal.error);
    else this.#settled!.resolve(this.#committed);
  }
}
