/** The way of drafts through one set of transforms to the log. A channel that gets others gets another line. */
import type { MaybePromise } from "./log.ts";
import type { Draft, Message, SealedDraft } from "./message.ts";
import type { Terms } from "./terms.ts";
import { currentTrail } from "./trail.ts";
import {
  Pipeline,
  type IncomingDraft,
  type PipelineOptions,
  type PipelineRules,
} from "./pipeline.ts";

/** What a line needs of its channel. */
export interface LineEnd {
  /** @throws {ChannelError} When the channel takes no draft now. */
  check(): void;
  append(drafts: readonly SealedDraft[], terms?: Terms): MaybePromise<readonly Message[]>;
}

export class Line {
  readonly #end: LineEnd;
  readonly #pipeline: Pipeline;
  /** Commits under way, of a log that takes its time. */
  #appends = 0;
  #whenAppended: (() => void)[] = [];

  /** @param before Drafts wait until it has settled. */
  constructor(options: PipelineOptions, end: LineEnd, before: Promise<void> | null = null) {
    this.#end = end;
    this.#pipeline = new Pipeline(options, before);
  }

  /** What is published now goes to the log before `publish` returns: no transform can take its time or refuse it. */
  get isDirect(): boolean {
    return this.#pipeline.isDirect;
  }

  /**
   * Runs drafts through schema and transforms and commits what is left, all or none.
   *
   * @returns The committed messages, which may be none or more than the drafts; after the commit.
   * @param terms What holds for the commit; drafts may be none then.
   * @throws {ChannelError} When a draft is refused; nothing is committed then.
   */
  publish(drafts: readonly IncomingDraft[], terms?: Terms): MaybePromise<readonly Message[]> {
    this.#end.check();
    // Most have none, and need no function of their own.
    const commit = terms
      ? (sealed: readonly SealedDraft[]) => this.#commit(sealed, terms)
      : this.#commit;
    return this.#pipeline.run(drafts, commit);
  }

  /**
   * Commits what `produce` gives when its turn comes, after the transforms from index `from` on.
   *
   * @see Pipeline.inject
   * @throws {ChannelError} When too many drafts wait, or too much is to be sent out, or the channel is closed.
   */
  inject(
    produce: () => MaybePromise<Draft | readonly Draft[] | null>,
    from: number,
  ): MaybePromise<readonly Message[]> {
    this.#end.check();
    return this.#pipeline.inject(produce, from, this.#commit);
  }

  /** Lets other rules hold for the drafts that come from here on. */
  update(rules: PipelineRules): void {
    this.#pipeline.update(rules);
  }

  /** Resolves when no draft is under way any more: each is committed, dropped or refused. */
  async idle(): Promise<void> {
    await this.#pipeline.idle();
    if (this.#appends > 0) await new Promise<void>((then) => this.#whenAppended.push(then));
  }

  readonly #commit = (
    sealed: readonly SealedDraft[],
    terms?: Terms,
  ): MaybePromise<readonly Message[]> => {
    if (sealed.length === 0 && !terms) return [];
    const trail = currentTrail();
    const append = this.#end.append(
      trail === null ? sealed : sealed.map((draft) => ({ ...draft, trail })),
      terms,
    );
    if (append instanceof Promise) {
      this.#appends++;
      append.then(this.#appended, this.#appended);
    }
    return append;
  };

  readonly #appended = (): void => {
    if (--this.#appends > 0) return;
    for (let then; (then = this.#whenAppended.pop());) then();
  };
}
