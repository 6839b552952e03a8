/** The plain model of a channel that its guarantees (DESIGN.md §4) are tested against. */
import { CatchUp, type Receiver } from "./catch-up.ts";
import type { Channel } from "./channel.ts";
import { Cursor, type Gap, type Step } from "./cursor.ts";
import type { Retention } from "./log.ts";
import type { Message } from "./message.ts";
import {
  formatPosition,
  formatStatePlace,
  parsePosition,
  parseResume,
  type Start,
  type StatePlace,
} from "./position.ts";
import { RecordingGroup } from "./testing.ts";

/** Pages so small that a few messages take several. */
export const PAGE = { count: 3, bytes: 400 };

/** One life of a log: all that it committed, and how much of that may be gone by now. */
export class Life {
  readonly channel: Channel;
  readonly all: Message[] = [];
  readonly failures: string[];
  readonly #retention: Retention;
  readonly #now: () => number;
  #gone = 0;

  constructor(channel: Channel, retention: Retention, now: () => number, failures: string[]) {
    this.channel = channel;
    this.failures = failures;
    this.#retention = retention;
    this.#now = now;
  }

  commit(batch: readonly Message[]): void {
    for (const message of batch) {
      this.all.push(message);
      this.check(message.offset === this.all.length, `committed offset ${message.offset}`);
    }
    this.gone();
  }

  /** Offset up to which the retention may have evicted. */
  gone(): number {
    const { size, ttlMs } = this.#retention;
    const oldest = this.#now() - ttlMs;
    this.#gone = Math.max(this.#gone, this.all.length - size);
    while (this.#gone < this.all.length && this.all[this.#gone]!.time <= oldest) this.#gone++;
    return this.#gone;
  }

  /** The newest message of each key among the first `count`, deletions aside. */
  state(count: number = this.all.length): Map<string, Message> {
    const state = new Map<string, Message>();
    for (const message of this.all.slice(0, count)) {
      if (message.key === undefined) continue;
      state.delete(message.key);
      if (message.data !== null) state.set(message.key, message);
    }
    return state;
  }

  /** Checks that what a client has not got between two offsets is no longer history, and replaced. */
  checkPassed(after: number, through: number, who: string): void {
    this.check(this.gone() >= through, `${who}: what is kept up to ${through} is left out`);
    for (const { id, key } of this.all.slice(after, through)) {
      const newest = this.all.findLast((each) => each.key === key)!;
      const isReplaced = key !== undefined && newest.id !== id;
      this.check(isReplaced, `${who}: ${id} is left out, and is not replaced`);
    }
  }

  /** Failures are gathered, as an error thrown in a delivery would be caught on its way. */
  check(condition: boolean, message: string): void {
    if (!condition) this.failures.push(message);
  }
}

/** A state that is given to a client: the newest of each key through an offset, but for what changed since. */
export class Snapshot {
  readonly through: number;
  /** Offset up to which it was given. */
  #at: number;
  readonly #life: Life;
  readonly #check: (condition: boolean, message: string) => void;

  /** @param after What comes up to this offset was given before. */
  constructor(
    life: Life,
    after: number,
    through: number,
    check: (condition: boolean, message: string) => void,
  ) {
    this.#life = life;
    this.#at = after;
    this.through = through;
    this.#check = check;
  }

  saw({ offset, id }: Pick<Message, "offset" | "id">): void {
    this.#check(offset > this.#at, `${id} of the state after offset ${this.#at}`);
    const isOfState = this.#life
      .state(this.through)
      .values()
      .some((each) => each.id === id);
    this.#check(isOfState, `${id} of the state, which is no longer part of it`);
    this.#checkLeftOut(offset);
    this.#at = offset;
  }

  end(): void {
    this.#checkLeftOut(Infinity);
  }

  /** A key that changes while the state is given drops out of it: the change comes later. */
  #checkLeftOut(before: number): void {
    const changed = new Set(this.#life.all.slice(this.through).map(({ key }) => key));
    for (const [key, { id, offset }] of this.#life.state(this.through)) {
      const isLeftOut = offset > this.#at && offset < before && !changed.has(key);
      this.#check(!isLeftOut, `the state without ${id}`);
    }
  }
}

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

/** A client that holds a connection, as on WebSocket, SSE and HTTP/2 push. */
export class Subscriber extends Reader implements Receiver {
  step: "catching up" | "live" | "gone" = "catching up";
  /** How many messages fit, replay by replay, before the buffer is full; when it ends all do. */
  readonly room: number[];
  /** Called after all that happens to it. */
  onEvent: () => void = () => {};
  readonly #key: string;
  readonly #catchUp: CatchUp;
  #isFull = false;

  constructor(life: Life, start: Start, name: string, key: string, room: readonly number[]) {
    super(life, start, name);
    this.#key = key;
    this.room = [...room];
    this.#catchUp = new CatchUp(life.channel, this, start, PAGE);
  }

  run(): void {
    this.#catchUp.run();
  }

  drain(): void {
    this.#isFull = false;
    this.#catchUp.drained();
  }

  leave(): void {
    this.step = "gone";
    this.#catchUp.stop();
    this.#group().members.delete(this);
  }

  gap(gap: Gap): void {
    this.life.check(this.step === "catching up", `gap while ${this.step}`);
    this.sawGap(gap);
    this.onEvent();
  }

  get hasRoom(): boolean {
    return !this.#isFull;
  }

  replay(batch: readonly Message[]): number {
    this.life.check(this.step === "catching up", `replay while ${this.step}`);
    this.life.check(batch.length > 0 && batch.length <= PAGE.count, `page of ${batch.length}`);
    this.life.check(!this.#isFull, `replay while the buffer is full`);
    const room = this.room.shift() ?? PAGE.count + 1;
    const taken = Math.min(batch.length, Math.max(1, room));
    this.#isFull = room <= batch.length;
    this.saw(batch.slice(0, taken));
    this.onEvent();
    return taken;
  }

  live(position: string): void {
    this.life.check(this.step === "catching up", `live while ${this.step}`);
    this.sawLevel(position);
    this.step = "live";
    this.#group().members.add(this);
    this.onEvent();
  }

  take(batch: readonly Message[]): void {
    this.life.check(this.step === "live", `delivery while ${this.step}`);
    this.saw(batch);
    this.onEvent();
  }

  fail(error: unknown): void {
    this.life.check(false, `failed: ${Bun.inspect(error)}`);
  }

  #group(): RecordingGroup {
    return this.life.channel.fanOut.group(this.#key, () => new RecordingGroup());
  }
}

/** A client that asks again and again, as on long-poll: each time with the position that it has. */
export class Poller extends Reader {
  readonly #first: Start;
  readonly #limit: number;
  step: "idle" | "reading" | "live" | "gone" = "idle";

  /** @param limit Messages of one answer at most; what else is in the batch it asks for again. */
  constructor(life: Life, start: Start, name: string, limit: number) {
    super(life, start, name);
    this.#first = start;
    this.#limit = limit;
  }

  poll(): void {
    if (this.step !== "idle") return;
    const start = this.shown === null ? this.#first : parseResume(this.shown)!;
    this.#next(new Cursor(this.life.channel, start));
  }

  /** The answer to a poll that nothing came for. */
  giveUp(): void {
    if (this.step === "live") this.step = "idle";
    this.#group().members.delete(this);
  }

  leave(): void {
    this.giveUp();
    this.step = "gone";
  }

  take(batch: readonly Message[]): void {
    this.giveUp();
    this.saw(batch.slice(0, this.#limit));
  }

  #next(cursor: Cursor): void {
    while (!cursor.isLevel) {
      const step = cursor.read({ ...PAGE, count: this.#limit });
      if (step instanceof Promise) {
        this.step = "reading";
        void step.then((read) => {
          if (this.step !== "reading") return;
          this.step = "idle";
          if (!this.#answer(read, cursor)) this.#next(cursor);
        });
        return;
      }
      if (this.#answer(step, cursor)) return;
    }
    this.sawLevel(cursor.position);
    this.step = "live";
    this.#group().members.add(this);
  }

  #answer({ gap, messages }: Step, cursor: Cursor): boolean {
    if (gap) this.sawGap(gap);
    this.saw(messages);
    if (messages.length > 0) this.sawNext(cursor.position);
    return messages.length > 0;
  }

  #group(): RecordingGroup {
    return this.life.channel.fanOut.group("poll", () => new RecordingGroup());
  }
}

/** What was read from a file is another object with the same in it. */
function isSame(message: Message, committed: Message | undefined): boolean {
  if (message === committed || committed === undefined) return message === committed;
  const parts = ({ id, time, text, event, key }: Message) =>
    [id, time, text, event, key].join("\n");
  return parts(message) === parts(committed);
}
