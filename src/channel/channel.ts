/** A named, ordered stream of messages: takes drafts in, commits them, and fans them out. */
import { backlogged, channelClosed } from "./errors.ts";
import { FanOut } from "./fan-out.ts";
import type { Log, MaybePromise } from "./log.ts";
import type { Draft, Message, SealedDraft } from "./message.ts";
import { Pipeline, type IncomingDraft, type PipelineOptions } from "./pipeline.ts";
import { formatPosition } from "./position.ts";

/** A batch was committed: called in order, in the turn of the commit. */
export type CommitListener = (batch: readonly Message[]) => void;

export interface ChannelOptions extends Omit<PipelineOptions, "channel"> {
  readonly name: string;
  /** Opens the channel's log; what it commits, from here or another node, goes to `onCommit`. */
  readonly openLog: (onCommit: CommitListener) => Log;
  /** Bytes that go out to the subscribers in one turn, or one message where that is larger. */
  readonly maxBatchBytes: number;
  readonly onFanOutError: (error: unknown) => void;
  /** Called with every batch after its commit, such as for sinks. MUST NOT throw. */
  readonly onCommit?: CommitListener | undefined;
}

/** What may wait to be sent out when more is taken: this many of the largest messages and batches. */
const MAX_BACKLOG = 16;

export class Channel {
  readonly name: string;
  readonly log: Log;
  readonly fanOut: FanOut;
  /** Messages committed in this life. */
  published = 0;
  readonly #pipeline: Pipeline;
  readonly #maxBacklogBytes: number;
  /** Commits under way, of a log that takes its time. */
  readonly #appends = new Set<Promise<unknown>>();
  #closed = false;

  constructor(options: ChannelOptions) {
    const { name, openLog, onCommit, maxBatchBytes } = options;
    this.name = name;
    this.#maxBacklogBytes = MAX_BACKLOG * (options.maxBytes + maxBatchBytes);
    this.#pipeline = new Pipeline({ ...options, channel: name });
    this.log = openLog((batch) => {
      this.published += batch.length;
      this.fanOut.push(batch);
      onCommit?.(batch);
    });
    this.fanOut = new FanOut(this.log.top, maxBatchBytes, options.onFanOutError);
  }

  /** Position of the newest committed message. */
  get position(): string {
    return formatPosition(this.log.epoch, this.log.top);
  }

  /**
   * Runs drafts through schema and transforms and commits what is left, all or none.
   *
   * @returns The committed messages, which may be none or more than the drafts; after the commit.
   * @throws {ChannelError} When a draft is refused; nothing is committed then.
   */
  publish(drafts: readonly IncomingDraft[]): MaybePromise<readonly Message[]> {
    this.#check();
    return this.#pipeline.run(drafts, this.#commit);
  }

  /**
   * Commits what `produce` gives when its turn comes, after the transforms from index `from` on.
   *
   * @see Pipeline.inject
   * @throws {ChannelError} When too many drafts wait, or too much is to be sent out, or the channel is closed.
   */
  inject(
    produce: () => Draft | readonly Draft[] | null,
    from: number,
  ): MaybePromise<readonly Message[]> {
    this.#check();
    return this.#pipeline.inject(produce, from, this.#commit);
  }

  /** Stops taking drafts, commits those that wait, sends everything out. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#pipeline.idle();
    await Promise.allSettled(this.#appends);
    await this.#sentOut();
    this.log.close();
  }

  #check(): void {
    if (this.#closed) throw channelClosed(this.name);
    // One large batch is paced out in a few turns. Publishers that are faster than that for long have
    // to wait, for what waits here is bounded too.
    if (this.fanOut.pendingBytes >= this.#maxBacklogBytes) throw backlogged(this.name);
  }

  /** All that was committed is on its way to the subscribers. */
  #sentOut(): MaybePromise<void> {
    this.fanOut.flush();
    const { top } = this.log;
    if (this.fanOut.flushed >= top) return;
    return new Promise((resolve) => this.fanOut.whenFlushed(top, resolve));
  }

  readonly #commit = (sealed: readonly SealedDraft[]): MaybePromise<readonly Message[]> => {
    if (sealed.length === 0) return [];
    const append = this.log.append(sealed);
    if (append instanceof Promise) {
      const ended = () => this.#appends.delete(append);
      this.#appends.add(append);
      append.then(ended, ended);
    }
    return append;
  };
}
