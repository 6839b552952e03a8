/** The plain model of what one client of many channels is to have of one of them, checked at each step. */
import type { Place } from "../channel/lane.ts";
import { Snapshot, type Life } from "../channel/life.testing.ts";
import { formatPosition, parsePosition, type Start } from "../channel/position.ts";

/** What one client has of one channel: everything after its start, in order, once, or told as lost. */
export class Seen {
  /** Offset up to which everything was given or told as lost. */
  at: number;
  /** The position that it was shown last; null as long as it was shown none. */
  shown: string | null = null;
  readonly #life: Life;
  readonly #start: Start;
  readonly #who: string;
  #isForeign = false;
  /** The state that is given to it; null before and after. */
  #snapshot: Snapshot | null = null;
  /** It was given the state, and told of no gap since. */
  #hasState = false;
  /** What the state that it is given goes up to, by its last cursor, where it has one already. */
  #through: number | null = null;

  constructor(life: Life, start: Start, who: string) {
    this.#life = life;
    this.#start = start;
    this.#who = `${who} ${life.channel.name}`;
    const { fanOut, log } = life.channel;
    this.at = fanOut.flushed;
    if (start.from === "earliest") this.at = 0;
    if (start.from === "last") this.at = Math.max(0, fanOut.flushed - start.count);
    if (start.from === "state") {
      this.at = start.place?.position.offset ?? 0;
      const through = start.place?.through ?? fanOut.flushed;
      const check = (condition: boolean, message: string) => this.#check(condition, message);
      this.#snapshot = new Snapshot(life, this.at, through, check);
      if (this.at >= through) this.#endState();
    }
    if (start.from !== "after") return;
    const { epoch, offset } = start.position;
    this.shown = formatPosition(epoch, offset);
    this.#isForeign = epoch !== log.epoch;
    this.at = this.#isForeign ? 0 : offset;
  }

  /** Where a client that comes back to this place starts, whenever it does. */
  leave(): () => Start {
    const { shown, at } = this;
    const through = this.#snapshot?.through ?? this.#through;
    if (through !== null) {
      const position = { epoch: this.#life.channel.log.epoch, offset: at };
      const place = { position, through };
      return () => ({ from: "state", place });
    }
    if (shown !== null) return () => ({ from: "after", position: parsePosition(shown)! });
    // As much as there was when it came first: what came since must not push that out.
    const { fanOut } = this.#life.channel;
    return () => ({ from: "last", count: fanOut.flushed - at });
  }

  gap(after: string, id: string): void {
    this.#endState();
    if (this.#hasState) this.#passTo(parsePosition(after)!.offset);
    this.#hasState = false;
    this.#through = null;
    const to = parsePosition(id)!.offset;
    // Who starts live is told from where on, though it may not have been shown that yet.
    const from =
      this.shown ??
      (this.#start.from === "live" ? formatPosition(this.#life.channel.log.epoch, this.at) : null);
    this.#check(after === from, `gap after ${after}, but it is at ${this.shown}`);
    this.#check(to <= this.#life.gone(), `gap to ${id}, but only ${this.#life.gone()} may be gone`);
    this.#check(this.#isForeign || to > this.at, `gap to ${id}, where nothing is missing`);
    this.#isForeign = false;
    this.#moveTo(to, id);
  }

  message(id: string, data: unknown): void {
    const { epoch, offset } = parsePosition(id)!;
    const isOfState = this.#snapshot !== null && offset <= this.#snapshot.through;
    if (isOfState) {
      this.#snapshot!.saw({ offset, id });
      this.#check(this.#life.all[offset - 1]?.data === data, `${id} is not what was committed`);
      return this.#moveTo(offset, id);
    }
    this.#endState();
    this.#skipGone(offset - 1);
    this.#passTo(offset - 1);
    this.#check(
      epoch === this.#life.channel.log.epoch && !this.#isForeign,
      `${id} of another epoch`,
    );
    this.#check(offset === this.at + 1, `${id} after offset ${this.at}`);
    this.#check(this.#life.all[offset - 1]?.data === data, `${id} is not what was committed`);
    this.#moveTo(offset, id);
  }

  /** A cursor that it was given says this of the channel. */
  cursor(place: Place | null): void {
    if (place === null) return this.#check(false, `a cursor without it`);
    const { epoch, offset } = place.position;
    const id = formatPosition(epoch, offset);
    if (place.through !== undefined) {
      const isRight = place.through === this.#snapshot?.through || this.#hasState;
      this.#through = place.through;
      return this.#check(
        isRight && offset === this.at,
        `a cursor within the state at ${id}, but it is at ${this.at}`,
      );
    }
    this.#endState();
    this.#through = null;
    this.#passTo(offset);
    if (place.isSilent) {
      const isSilent = this.shown === null && this.#start.from !== "live";
      return this.#check(isSilent && offset === this.at, `a silent cursor at ${id}`);
    }
    if (this.shown === null) {
      this.#skipGone(offset);
      this.#check(offset === this.at, `a cursor at ${offset}, but it has ${this.at}`);
      this.shown = id;
    }
    this.#check(id === this.shown, `a cursor at ${id}, but it is at ${this.shown}`);
  }

  /** Nothing waits any more, and it is live. */
  end(): void {
    const { length } = this.#life.all;
    this.#endState();
    this.#skipGone(length);
    this.#passTo(length);
    this.#check(this.at === length, `left at ${this.at} of ${length}`);
  }

  #endState(): void {
    const snapshot = this.#snapshot;
    if (snapshot === null) return;
    this.#snapshot = null;
    this.#hasState = true;
    snapshot.end();
    this.#moveTo(snapshot.through, formatPosition(this.#life.channel.log.epoch, snapshot.through));
  }

  /** Who has the state may be given the newest of each key alone, where the rest is no longer history. */
  #passTo(offset: number): void {
    if (!this.#hasState || offset <= this.at) return;
    this.#life.checkPassed(this.at, offset, this.#who);
    this.#moveTo(offset, formatPosition(this.#life.channel.log.epoch, offset));
  }

  /** Who asked for history without a position was never told of what was gone before. */
  #skipGone(offset: number): void {
    const isSilent = this.shown === null && this.#start.from !== "live";
    if (isSilent && offset <= this.#life.gone()) this.at = Math.max(this.at, offset);
  }

  #moveTo(offset: number, id: string): void {
    this.at = offset;
    this.shown = id;
  }

  #check(condition: boolean, message: string): void {
    this.#life.check(condition, `${this.#who}: ${message}`);
  }
}
