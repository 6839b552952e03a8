/** Clients of many channels at once, checked against the plain model of each channel at each step. */
import type { Channel } from "../channel/channel.ts";
import type { Life } from "../channel/life.testing.ts";
import { LIVE, type Start } from "../channel/position.ts";
import { identity } from "./coding/identity.ts";
import { CursorText } from "./cursor-text.ts";
import { ManyPoll, type PollCrowds } from "./long-poll-many.ts";
import { ResumingSseManyStream, type HeldStream, type SseCrowds } from "./sse-many.ts";
import { Seen } from "./seen.testing.ts";
import { SseForm } from "./sse-form.ts";
import { parseStarts } from "./start-many.ts";
import type { MergedExchange, SubscriberWays } from "./transport.ts";

export const BUFFER_BYTES = 6000;
const FORM = new SseForm(identity, 1000);

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
