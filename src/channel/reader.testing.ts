/** The plain model of what one client of a channel is to get (DESIGN.md §4), checked at each step. */
import type { Gap } from "./cursor.ts";
import { Snapshot, type Life } from "./life.testing.ts";
import type { Message } from "./message.ts";
import {
  formatPosition,
  formatStatePlace,
  parsePosition,
  parseResume,
  type Start,
  type StatePlace,
} from "./position.ts";

/**
 * What one client has got so far, checked at each step: everything after its start, in order, once;
 * what is missing announced before anything later; nothing announced that was not missing.
 */
export class Reader {
  /** Offset up to which everything was given or announced as lost. */
  at: number;
  /** The position that this client would come back with. */
  shown: string | null = null;
  protected readonly life: Life;
  readonly name: string;
  /** Asked for history without a position: what is gone before the first message is no gap. */
  #isSilent = false;
  /** Showed a position that is none of this log: a gap comes first. */
  #foreign: "another epoch" | "ahead" | null = null;
  readonly #flushed: number;
  /** What it made of the state and of what changed since: the text of each key; null where it has no whole one. */
  state: Map<string, string> | null = null;
  /** The state that is given to it; null before and after. */
  #snapshot: Snapshot | null = null;
  /** It was given the state, was told of no gap since, and is not level yet. */
  #hasState = false;

  constructor(life: Life, start: Start, name: string) {
    this.life = life;
    this.name = name;
    const { flushed } = life.channel.fanOut;
    this.at = flushed;
    this.#flushed = flushed;
    if (start.from === "earliest") this.at = 0;
    if (start.from === "last") this.at = Math.max(0, flushed - start.count);
    this.#isSilent = start.from === "earliest" || start.from === "last";
    if (start.from === "state") this.#startState(start.place);
    if (start.from !== "after") return;
    const { epoch, offset } = start.position;
    this.shown = formatPosition(epoch, offset);
    this.at = offset;
    this.#foreign = this.#foreignOf(epoch, offset);
  }

  #startState(place: StatePlace | null): void {
    const { epoch } = this.life.channel.log;
    if (place === null) this.state = new Map();
    else this.shown = formatStatePlace(place);
    const { position, through } = place ?? {
      position: { epoch, offset: 0 },
      through: this.#flushed,
    };
    this.at = position.offset;
    this.#foreign = this.#foreignOf(position.epoch, through);
    if (this.#foreign) return;
    const check = (condition: boolean, message: string) => this.#check(condition, message);
    this.#snapshot = new Snapshot(this.life, position.offset, through, check);
    if (position.offset >= through) this.#endState();
  }

  #foreignOf(epoch: string, offset: number): "another epoch" | "ahead" | null {
    if (epoch !== this.life.channel.log.epoch) return "another epoch";
    return offset > this.life.all.length ? "ahead" : null;
  }

  /** It goes on as if it had read all up to there. */
  #endState(): void {
    const snapshot = this.#snapshot;
    if (snapshot === null) return;
    this.#snapshot = null;
    this.#hasState = true;
    snapshot.end();
    this.#moveTo(snapshot.through, formatPosition(this.life.channel.log.epoch, snapshot.through));
  }

  /** Who has the state may be given the newest of each key alone, where the rest is no longer history. */
  #passTo(offset: number): void {
    if (!this.#hasState || offset <= this.at) return;
    this.life.checkPassed(this.at, offset, this.name);
    this.#moveTo(offset, formatPosition(this.life.channel.log.epoch, offset));
  }

  #fold({ key, data, text }: Message): void {
    if (key === undefined) return;
    if (data === null) this.state?.delete(key);
    else this.state?.set(key, text);
  }

  /**
   * Told of no gap since it began with the state: what it made of it is the channel's, as far as that does not
   * change with what is still to come.
   */
  checkState(): void {
    if (this.state === null) return;
    const coming = new Set(this.life.all.slice(this.at).map(({ key }) => key));
    const text = (entries: Iterable<[string, string]>) =>
      [...entries]
        .filter(([key]) => !coming.has(key))
        .toSorted()
        .join();
    const own = text(this.state);
    const real = text(
      this.life
        .state(this.at)
        .entries()
        .map(([key, each]) => [key, each.text]),
    );
    this.#check(own === real, `has the state ${own}, not ${real}`);
  }

  sawGap({ after, id }: Gap): void {
    this.#endState();
    this.state = null;
    const position = parsePosition(id);
    const { epoch } = this.life.channel.log;
    if (this.#hasState) {
      this.#passTo(parsePosition(after)?.offset ?? 0);
      // The end of a state is a position, too.
      this.shown = formatPosition(epoch, this.at);
      this.#hasState = false;
    }
    this.#check(position?.epoch === epoch, `gap to ${id}, which is not of epoch ${epoch}`);
    this.#check(after === this.shown, `gap after ${after}, but the client is at ${this.shown}`);
    const to = position!.offset;
    if (this.#foreign === null) {
      this.#check(to > this.at, `gap to ${id}, where nothing is missing`);
      this.#check(to <= this.life.gone(), `gap to ${id}, but only ${this.life.gone()} may be gone`);
    } else {
      // All that the new epoch still has comes after the gap; a position ahead goes on with what comes.
      const isAhead = this.#foreign === "ahead";
      const [from, kept] = isAhead ? [this.#flushed, this.life.all.length] : [0, this.life.gone()];
      this.#check(to >= from && to <= kept, `gap to ${id} leaves out what is kept`);
      this.#foreign = null;
    }
    this.#moveTo(to, id);
  }

  saw(batch: readonly Message[]): void {
    for (const message of batch) {
      const { offset, id } = message;
      this.#fold(message);
      if (this.#snapshot && offset <= this.#snapshot.through) {
        this.#check(isSame(message, this.life.all[offset - 1]), `${id} is not what was committed`);
        this.#snapshot.saw(message);
        this.#moveTo(offset, id);
        continue;
      }
      this.#endState();
      if (this.#isSilent && offset - 1 <= this.life.gone()) this.at = Math.max(this.at, offset - 1);
      this.#check(this.#foreign === null, `${id} before the gap of a foreign position`);
      this.#passTo(offset - 1);
      this.#check(offset === this.at + 1, `${id} after offset ${this.at}`);
      this.#check(isSame(message, this.life.all[offset - 1]), `${id} is not what was committed`);
      this.#moveTo(offset, id);
    }
  }

  /** Level with the fan-out: it hears all that is sent out from now on. */
  sawLevel(position: string): void {
    this.#endState();
    const { flushed } = this.life.channel.fanOut;
    const { epoch } = this.life.channel.log;
    if (this.#isSilent && flushed <= this.life.gone()) this.at = Math.max(this.at, flushed);
    this.#check(this.#foreign === null, `live before the gap of a foreign position`);
    this.#passTo(flushed);
    this.#hasState = false;
    this.#check(this.at === flushed, `live at ${this.at}, but ${flushed} were sent out`);
    this.#check(position === formatPosition(epoch, flushed), `live at position ${position}`);
    this.#moveTo(flushed, position);
    this.checkState();
  }

  /** It was told where to go on, which says more than the last message of the state. */
  protected sawNext(position: string): void {
    const resume = parseResume(position)!;
    if (resume.from === "state") this.shown = position;
    else {
      this.#endState();
      this.#passTo(resume.position.offset);
    }
    this.#check(this.shown === position, `sent on to ${position}, but it is at ${this.shown}`);
  }

  #moveTo(offset: number, id: string): void {
    this.at = offset;
    this.shown = id;
    this.#isSilent = false;
  }

  #check(condition: boolean, message: string): void {
    this.life.check(condition, `${this.name}: ${message}`);
  }
}

/** What was read from a file is another object with the same in it. */
function isSame(message: Message, committed: Message | undefined): boolean {
  if (message === committed || committed === undefined) return message === committed;
  const parts = ({ id, time, text, event, key }: Message) =>
    [id, time, text, event, key].join("\n");
  return parts(message) === parts(committed);
}
