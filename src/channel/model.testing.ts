/** The plain model of a channel that its guarantees (DESIGN.md §4) are tested against. */
import { CatchUp, type Receiver } from "./catch-up.ts";
import type { Channel } from "./channel.ts";
import { Cursor, type Gap, type Step } from "./cursor.ts";
import type { Retention } from "./log.ts";
import type { Message } from "./message.ts";
import { formatPosition, parsePosition, type Start } from "./position.ts";
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

  /** Failures are gathered, as an error thrown in a delivery would be caught on its way. */
  check(condition: boolean, message: string): void {
    if (!condition) this.failures.push(message);
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

  constructor(life: Life, start: Start, name: string) {
    this.life = life;
    this.name = name;
    const { flushed } = life.channel.fanOut;
    this.at = flushed;
    this.#flushed = flushed;
    if (start.from === "earliest") this.at = 0;
    if (start.from === "last") this.at = Math.max(0, flushed - start.count);
    this.#isSilent = start.from === "earliest" || start.from === "last";
    if (start.from !== "after") return;
    const { epoch, offset } = start.position;
    this.shown = formatPosition(epoch, offset);
    this.at = offset;
    if (epoch !== life.channel.log.epoch) this.#foreign = "another epoch";
    else if (offset > life.all.length) this.#foreign = "ahead";
  }

  sawGap({ after, id }: Gap): void {
    const position = parsePosition(id);
    const { epoch } = this.life.channel.log;
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
      if (this.#isSilent && offset - 1 <= this.life.gone()) this.at = Math.max(this.at, offset - 1);
      this.#check(this.#foreign === null, `${id} before the gap of a foreign position`);
      this.#check(offset === this.at + 1, `${id} after offset ${this.at}`);
      this.#check(isSame(message, this.life.all[offset - 1]), `${id} is not what was committed`);
      this.#moveTo(offset, id);
    }
  }

  /** Level with the fan-out: it hears all that is sent out from now on. */
  sawLevel(position: string): void {
    const { flushed } = this.life.channel.fanOut;
    const { epoch } = this.life.channel.log;
    if (this.#isSilent && flushed <= this.life.gone()) this.at = Math.max(this.at, flushed);
    this.#check(this.#foreign === null, `live before the gap of a foreign position`);
    this.#check(this.at === flushed, `live at ${this.at}, but ${flushed} were sent out`);
    this.#check(position === formatPosition(epoch, flushed), `live at position ${position}`);
    this.#moveTo(flushed, position);
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
  state: "catching up" | "live" | "gone" = "catching up";
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
    this.state = "gone";
    this.#catchUp.stop();
    this.#group().members.delete(this);
  }

  gap(gap: Gap): void {
    this.life.check(this.state === "catching up", `gap while ${this.state}`);
    this.sawGap(gap);
    this.onEvent();
  }

  get hasRoom(): boolean {
    return !this.#isFull;
  }

  replay(batch: readonly Message[]): number {
    this.life.check(this.state === "catching up", `replay while ${this.state}`);
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
    this.life.check(this.state === "catching up", `live while ${this.state}`);
    this.sawLevel(position);
    this.state = "live";
    this.#group().members.add(this);
    this.onEvent();
  }

  take(batch: readonly Message[]): void {
    this.life.check(this.state === "live", `delivery while ${this.state}`);
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
  state: "idle" | "reading" | "live" | "gone" = "idle";

  /** @param limit Messages of one answer at most; what else is in the batch it asks for again. */
  constructor(life: Life, start: Start, name: string, limit: number) {
    super(life, start, name);
    this.#first = start;
    this.#limit = limit;
  }

  poll(): void {
    if (this.state !== "idle") return;
    const shown = this.shown === null ? null : parsePosition(this.shown)!;
    const start: Start = shown ? { from: "after", position: shown } : this.#first;
    this.#next(new Cursor(this.life.channel, start));
  }

  /** The answer to a poll that nothing came for. */
  giveUp(): void {
    if (this.state === "live") this.state = "idle";
    this.#group().members.delete(this);
  }

  leave(): void {
    this.giveUp();
    this.state = "gone";
  }

  take(batch: readonly Message[]): void {
    this.giveUp();
    this.saw(batch.slice(0, this.#limit));
  }

  #next(cursor: Cursor): void {
    while (!cursor.isLevel) {
      const step = cursor.read({ ...PAGE, count: this.#limit });
      if (step instanceof Promise) {
        this.state = "reading";
        void step.then((read) => {
          if (this.state !== "reading") return;
          this.state = "idle";
          if (!this.#answer(read)) this.#next(cursor);
        });
        return;
      }
      if (this.#answer(step)) return;
    }
    this.sawLevel(cursor.position);
    this.state = "live";
    this.#group().members.add(this);
  }

  #answer({ gap, messages }: Step): boolean {
    if (gap) this.sawGap(gap);
    this.saw(messages);
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
