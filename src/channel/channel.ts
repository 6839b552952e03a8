/** A named, ordered stream of messages: takes drafts in, commits them, and fans them out. */
import { CatchUpTurns } from "./catch-up-turns.ts";
import { backlogged, channelClosed } from "./errors.ts";
import { FanOut } from "./fan-out.ts";
import { LagBudget } from "./lag-budget.ts";
import { Laggards, type SlowPolicy } from "./lag.ts";
import { Line, type LineEnd } from "./line.ts";
import type { Log, MaybePromise } from "./log.ts";
import type { Draft, Message } from "./message.ts";
import type { IncomingDraft, PipelineOptions } from "./pipeline.ts";
import { formatPosition } from "./position.ts";
import type { Terms } from "./terms.ts";

/** A batch was committed: called in order, in the turn of the commit. */
export type CommitListener = (batch: readonly Message[]) => void;

/** What a channel's drafts go through, and who is told of what came of them. */
export interface LineOptions extends Omit<PipelineOptions, "channel"> {
  /** Called with every batch after its commit, such as for sinks. MUST NOT throw. */
  readonly onCommit?: CommitListener | undefined;
}

export interface ChannelOptions extends LineOptions {
  readonly name: string;
  /** Opens the channel's log; what it commits, from here or another node, goes to `onCommit`. */
  readonly openLog: (onCommit: CommitListener) => Log;
  /** Bytes that go out to the subscribers in one turn, or one message where that is larger. */
  readonly maxBatchBytes: number;
  /** Default: disconnect. */
  readonly slow?: SlowPolicy;
  /** What may wait for the subscribers that lag, of all channels together. Default: four batches, of its own. */
  readonly lagBudget?: LagBudget;
  /** Those that catch up take turns with these of all channels together. Default: its own. */
  readonly turns?: CatchUpTurns;
  readonly onFanOutError: (error: unknown) => void;
}

/** What may wait to be sent out when more is taken: this many of the largest messages and batches. */
const MAX_BACKLOG = 16;

export class Channel {
  readonly name: string;
  readonly log: Log;
  readonly fanOut: FanOut;
  readonly laggards: Laggards;
  readonly turns: CatchUpTurns;
  /** What becomes of subscribers that come from here on, when their connections are full. */
  slow: SlowPolicy;
  /** Messages committed in this life. */
  published = 0;
  readonly #maxBacklogBytes: number;
  readonly #end: LineEnd;
  #line: Line;
  #onCommit: CommitListener | undefined;
  #closed = false;

  constructor(options: ChannelOptions) {
    const { name, openLog, maxBatchBytes } = options;
    this.name = name;
    this.slow = options.slow ?? "disconnect";
    this.laggards = new Laggards(options.lagBudget ?? new LagBudget(4 * maxBatchBytes));
    this.turns = options.turns ?? new CatchUpTurns();
    this.#maxBacklogBytes = MAX_BACKLOG * (options.maxBytes + maxBatchBytes);
    this.#onCommit = options.onCommit;
    this.#end = {
      check: () => this.#check(),
      append: (drafts, terms) => this.log.append(drafts, terms),
    };
    this.#line = new Line({ ...options, channel: name }, this.#end);
    this.log = openLog((batch) => {
      this.published += batch.length;
      this.fanOut.push(batch);
      this.#onCommit?.(batch);
    });
    this.fanOut = new FanOut(this.log.top, maxBatchBytes, options.onFanOutError);
  }

  /** Position of the newest committed message. */
  get position(): string {
    return formatPosition(this.log.epoch, this.log.top);
  }

  /** What drafts go through now. Who holds it stays on it when it is replaced. */
  get line(): Line {
    return this.#line;
  }

  /** @see Line.publish */
  publish(drafts: readonly IncomingDraft[], terms?: Terms): MaybePromise<readonly Message[]> {
    return this.#line.publish(drafts, terms);
  }

  /** @see Line.inject */
  inject(
    produce: () => MaybePromise<Draft | readonly Draft[] | null>,
    from: number,
  ): MaybePromise<readonly Message[]> {
    return this.#line.inject(produce, from);
  }

  /**
   * Gives the channel another line. Log, positions and subscribers stay. What comes by the new line waits
   * until `before` has settled, so that all of the one before can be committed first; `onCommit` changes
   * at that moment too.
   */
  replace(options: LineOptions, before: Promise<void>): void {
    const line = new Line({ ...options, channel: this.name }, this.#end, before);
    this.#line = line;
    const turn = () => {
      if (this.#line === line) this.#onCommit = options.onCommit;
    };
    before.then(turn, turn);
  }

  /** Resolves when nothing waits for a transform or its commit. */
  async idle(): Promise<void> {
    await this.#line.idle();
  }

  /** Stops taking drafts, commits those that wait, sends everything out. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#line.idle();
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
}
