/** The clients of a channel under test, which read as those of the transports do. */
import { CatchUp, type Receiver } from "./catch-up.ts";
import { Cursor, type Gap, type Step } from "./cursor.ts";
import type { Life } from "./life.testing.ts";
import type { Message } from "./message.ts";
import { parseResume, type Start } from "./position.ts";
import { Reader } from "./reader.testing.ts";
import { RecordingGroup } from "./testing.ts";

/** Pages so small that a few messages take several. */
const PAGE = { count: 3, bytes: 400 };

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
