/** Clients of many channels at once, checked against the plain model of each channel at each step. */
import type { Channel } from "../channel/channel.ts";
import type { Place } from "../channel/lane.ts";
import { Snapshot, type Life } from "../channel/model.testing.ts";
import { formatPosition, LIVE, parsePosition, type Start } from "../channel/position.ts";
import { identity } from "./coding/identity.ts";
import { CursorText } from "./cursor-text.ts";
import { ManyPoll, type PollCrowds } from "./long-poll-many.ts";
import { ResumingSseManyStream, type HeldStream, type SseCrowds } from "./sse-many.ts";
import { SseForm } from "./sse-form.ts";
import { parseStarts } from "./start-many.ts";
import type { MergedExchange, SubscriberWays } from "./transport.ts";

export const BUFFER_BYTES = 6000;
const FORM = new SseForm(identity, 1000);

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

/** Where a client may come back to: a cursor, and what it had by then. */
export interface Return {
  readonly cursor: string;
  readonly starts: ReadonlyMap<string, () => Start>;
}

/** What both kinds of client share. */
abstract class Client {
  readonly seen = new Map<string, Seen>();
  readonly returns: Return[] = [];
  readonly who: string;
  protected readonly channels: readonly Channel[];

  constructor(who: string, lives: readonly Life[], starts: ReadonlyMap<string, Start>) {
    this.who = who;
    this.channels = lives.map(({ channel }) => channel);
    for (const life of lives) {
      const { name } = life.channel;
      this.seen.set(name, new Seen(life, starts.get(name)!, who));
    }
  }

  /** It was given a cursor. */
  protected cursor(text: string): void {
    const cursor = CursorText.parse(text, "the cursor")!;
    for (const [name, seen] of this.seen) {
      const channel = this.channels.find((one) => one.name === name)!;
      seen.cursor(cursor.find(name, channel.log.epoch));
    }
    const starts = new Map([...this.seen].map(([name, seen]) => [name, seen.leave()]));
    this.returns.push({ cursor: text, starts });
  }

  protected exchange(startOf: MergedExchange["startOf"], query = ""): MergedExchange {
    return {
      request: new Request("http://localhost/channels"),
      query: new URLSearchParams(query),
      path: "/channels",
      listener: null as never,
      accesses: this.channels.map((channel) => ({
        channel,
        submit: () => [] as never,
        subscriber: {
          id: "1",
          connect: (ways: SubscriberWays) => void this.ways.set(channel.name, ways),
          disconnect: () => void this.ways.delete(channel.name),
        },
      })),
      startOf,
      connection: { connect() {}, disconnect() {} },
    };
  }

  readonly ways = new Map<string, SubscriberWays>();
}

/** How a request with this cursor starts; with none, as the map says. */
export function startsBy(place: Return | null, starts: ReadonlyMap<string, Start>) {
  // Else what the cursor says has to be enough.
  if (place === null) return (name: string) => starts.get(name)!;
  const request = new Request("http://localhost/", { headers: { "last-event-id": place.cursor } });
  return parseStarts(request, new URLSearchParams(), [...starts.keys()], false);
}

/** A stream whose client reads when it is told to. */
export class StreamClient extends Client {
  readonly #stream: ResumingSseManyStream;
  readonly #streams: Set<HeldStream>;
  readonly #controller: { desiredSize: number; enqueue(chunk: Uint8Array): void; close(): void };
  #rest = "";
  #isReading = false;
  readonly chunks: Uint8Array[] = [];
  /** The server ended it, or it left. */
  isOver = false;
  isLeft = false;
  /** Called after each event, which may be in the middle of a delivery. */
  onEvent: () => void = () => {};

  constructor(
    who: string,
    lives: readonly Life[],
    starts: ReadonlyMap<string, Start>,
    startOf: MergedExchange["startOf"],
    crowds: SseCrowds,
  ) {
    super(who, lives, starts);
    this.#streams = new Set();
    this.#stream = new ResumingSseManyStream(this.exchange(startOf), {
      form: FORM,
      streams: this.#streams,
      crowds,
      bufferBytes: BUFFER_BYTES,
    });
    this.#controller = {
      desiredSize: 1,
      enqueue: (chunk) => {
        // It says nothing of any channel.
        if (chunk === FORM.preamble) return;
        this.chunks.push(chunk);
        this.#controller.desiredSize -= chunk.length;
        this.#read(new TextDecoder().decode(chunk));
      },
      close: () => void (this.isOver = true),
    };
  }

  open(): void {
    this.#stream.start(this.#controller as never);
  }

  /** It takes all that waits for it. */
  drain(): void {
    this.#controller.desiredSize = 1;
    if (!this.isOver) this.#stream.pull();
  }

  leave(): void {
    this.isOver = true;
    this.isLeft = true;
    this.#stream.cancel();
  }

  /** Lets go of one channel, as a reload does that takes it out of the config. */
  gone(name: string): void {
    const ways = this.ways.get(name);
    if (!ways) return;
    this.seen.delete(name);
    ways.gone("it is gone");
  }

  #read(text: string): void {
    this.#rest += text;
    // What comes while an event is read comes after what is there already.
    if (this.#isReading) return;
    this.#isReading = true;
    for (let end; !this.isLeft && (end = this.#rest.indexOf("\n\n")) >= 0;) {
      const event = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 2);
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(event)?.[1];
      const data = field("data");
      const { channel, id, after, data: value } = data === undefined ? {} : JSON.parse(data);
      const seen = this.seen.get(channel);
      const name = field("event");
      if (name === "tidewire:gap") seen?.gap(after, id);
      else if (name === undefined && data !== undefined) seen?.message(id, value);
      const cursor = field("id");
      if (cursor !== undefined) this.cursor(cursor);
      this.onEvent();
    }
    this.#isReading = false;
  }
}

/** Polls again and again, each time with the cursor that it has. */
export class PollClient extends Client {
  state: "idle" | "asking" | "held" = "idle";
  #poll: ManyPoll | null = null;
  readonly #crowds: PollCrowds;
  readonly #limit: number;
  #startOf: MergedExchange["startOf"];

  constructor(
    who: string,
    lives: readonly Life[],
    starts: ReadonlyMap<string, Start>,
    startOf: MergedExchange["startOf"],
    crowds: PollCrowds,
    limit: number,
  ) {
    super(who, lives, starts);
    this.#startOf = startOf;
    this.#crowds = crowds;
    this.#limit = limit;
  }

  poll(): void {
    if (this.state !== "idle") return;
    this.state = "asking";
    const exchange = this.exchange(this.#startOf, `limit=${this.#limit}`);
    this.#poll = new ManyPoll(exchange, this.#crowds, BUFFER_BYTES);
    void this.#answer(this.#poll);
  }

  giveUp(): void {
    this.#poll?.settle(this.#poll.answerEmpty());
  }

  async #answer(poll: ManyPoll): Promise<void> {
    // As the transport does it: held in the turn in which it was level.
    for (;;) {
      const now = poll.answerNow();
      const answer = now instanceof Promise ? await now : now;
      if (answer === null && now instanceof Promise) continue;
      if (answer) return this.#take(answer);
      this.state = "held";
      const late = await poll.hold(() => void (this.state = "asking"));
      return this.#take(late);
    }
  }

  async #take(response: Response): Promise<void> {
    const next = /after=([^>]+)>/.exec(response.headers.get("link")!)![1]!;
    if (response.status === 200) {
      const page = JSON.parse(await response.text());
      for (const { channel, after, id } of page.gaps) this.seen.get(channel)!.gap(after, id);
      for (const { channel, id, data } of page.messages) this.seen.get(channel)!.message(id, data);
      if (page.next !== next) throw new Error("two cursors in one answer");
    }
    this.cursor(next);
    this.#startOf = startsBy(
      this.returns.at(-1)!,
      new Map([...this.seen.keys()].map((name) => [name, LIVE])),
    );
    this.state = "idle";
  }
}
