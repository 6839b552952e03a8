/** Brings one subscriber of several channels to the live stream: in each no loss, no repeat, no hole. */
import { CatchUpStates } from "./catch-up-states.ts";
import type { CatchUpTurns } from "./catch-up-turns.ts";
import type { Gap } from "./cursor.ts";
import type { FanOut } from "./fan-out.ts";
import type { Lane } from "./lane.ts";
import { Merge, type MergeLimit, type MergeStep } from "./merge.ts";
import type { Message } from "./message.ts";

/** The receiving end of one subscriber of several channels while it catches up. */
export interface ManyReceiver {
  /** Tells of a gap in one channel. MUST reach the client before what is delivered of it later. */
  gap(lane: Lane, gap: Gap): void;
  /** Whether there is room to replay. Where there is none, `drained` MUST be called later. */
  readonly hasRoom: boolean;
  /** Writes messages of any of the channels to this subscriber alone. */
  replay(batch: readonly Message[]): void;
  /** Level with the fan-out of this channel: the subscriber MUST join its group in this very turn. */
  live(lane: Lane): void;
  /** Live in all of them, and after a channel was dropped, in all that are left. */
  level(): void;
  /** A history could not be read. Nothing follows. */
  fail(error: unknown): void;
}

/** Messages that are read of one channel at once. */
const AHEAD = 64;

export class ManyCatchUp extends CatchUpStates {
  readonly #receiver: ManyReceiver;
  readonly #page: MergeLimit;
  readonly #merge: Merge;
  /** Those of any of its channels; none where it has no channel. */
  readonly #turns: CatchUpTurns | undefined;

  constructor(lanes: Iterable<Lane>, receiver: ManyReceiver, page: MergeLimit) {
    super();
    this.#receiver = receiver;
    this.#page = page;
    this.#turns = [...lanes][0]?.channel.turns;
    this.#merge = new Merge(lanes, Math.min(AHEAD, page.count));
  }

  /** Goes on until all channels are live, the buffer is full, or a page has to be waited for. */
  run(): void {
    while (this.state === "ready") {
      const delivering = this.#delivering;
      if (delivering) return this.waitForDelivery(delivering);
      this.#join();
      if (this.state !== "ready") return;
      if (this.#merge.lanes.size === 0) {
        this.state = "done";
        return this.#receiver.level();
      }
      if (!this.#receiver.hasRoom) return void (this.state = "full");
      if (this.#turns?.has(this) === false) return void (this.state = "waiting");
      const step = this.#read();
      if (step === null) return;
      this.#give(step);
    }
  }

  /** This channel is no more. `drained` MUST be called later: it may have been the last one behind. */
  drop(lane: Lane): void {
    this.#merge.lanes.delete(lane);
  }

  /** The subscriber left: nothing more is read or written. */
  stop(): void {
    this.state = "done";
  }

  /** The fan-out of a channel that is under way just now. */
  get #delivering(): FanOut | null {
    for (const { channel } of this.#merge.lanes)
      if (channel.fanOut.isDelivering) return channel.fanOut;
    return null;
  }

  #join(): void {
    for (const lane of [...this.#merge.lanes]) {
      // Each `live` may end the subscription.
      if (this.state !== "ready") return;
      if (!lane.isLevel) continue;
      this.#merge.lanes.delete(lane);
      lane.settle();
      lane.isLive = true;
      this.#receiver.live(lane);
    }
  }

  /** Null when it has to be waited for, or can't be read. */
  #read(): MergeStep | null {
    try {
      const step = this.#merge.read(this.#page);
      if (!(step instanceof Promise)) return step;
      this.state = "reading";
      step
        .then((read) => {
          if (this.state !== "reading") return;
          this.state = "ready";
          this.#give(read);
          this.run();
        })
        .catch(this.fail);
    } catch (error) {
      this.fail(error);
    }
    return null;
  }

  #give({ gaps, messages }: MergeStep): void {
    for (const { lane, gap } of gaps) if (this.state === "ready") this.#receiver.gap(lane, gap);
    if (messages.length === 0 || this.state !== "ready") return;
    this.#turns?.spend(messages);
    this.#receiver.replay(messages);
  }

  protected readonly fail = (error: unknown): void => {
    if (this.state === "done") return;
    this.state = "done";
    this.#receiver.fail(error);
  };
}
