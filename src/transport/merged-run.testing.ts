/** One random life of clients of many channels, checked against the plain model of each at each step. */
import { expect } from "bun:test";
import type { Scheduler } from "fast-check";
import { Channel } from "../channel/channel.ts";
import type { SlowPolicy } from "../channel/lag.ts";
import { Life } from "../channel/life.testing.ts";
import type { Start } from "../channel/position.ts";
import { AsyncLog, at, createSwept, endTurn } from "../channel/testing.ts";
import { identity } from "./coding/identity.ts";
import { PollCrowds } from "./long-poll-many.ts";
import { BUFFER_BYTES, PollClient, startsBy, StreamClient, type Return } from "./merged.testing.ts";
import { SseCrowds } from "./sse-many.ts";

export const NAMES = ["a", "b", "c"];

type Picks = readonly [string, string, string];

export type Operation =
  | { do: "publish"; channel: number; sizes: number[] }
  | { do: "join"; picks: Picks; which: number; limit: number; meddle: Meddle }
  | { do: "poll" | "give up" | "drain" | "leave" | "come back" | "gone"; which: number }
  | { do: "flush"; channel: number }
  | { do: "wait" | "turn" | "tick" | "step" };

/** What a client does in the middle of one of its first events, which may be a delivery. */
export type Meddle = {
  at: number;
  does: "join" | "leave" | "gone" | "come back" | "drain" | "flush";
} | null;

export interface MergedSetup {
  readonly size: number;
  readonly ttlMs: number;
  readonly maxBatchBytes: number;
  readonly isSlowLog: boolean;
  readonly slow: SlowPolicy;
}

export class MergedRun {
  readonly failures: string[] = [];
  readonly #lives: Life[] = [];
  readonly #scheduler: Scheduler;
  readonly #crowds = new SseCrowds(BUFFER_BYTES, identity);
  readonly #pollCrowds = new PollCrowds();
  #streams: StreamClient[] = [];
  readonly #pollers: PollClient[] = [];
  #nowMs = 1_000_000;
  #published = 0;
  #joined = 0;

  constructor({ isSlowLog, maxBatchBytes, size, ttlMs, slow }: MergedSetup, scheduler: Scheduler) {
    const retention = { size, ttlMs, latestByKey: true };
    this.#scheduler = scheduler;
    const broker = createSwept(() => this.#nowMs);
    for (const name of NAMES) {
      let life: Life | null = null;
      const channel = new Channel({
        name,
        maxBytes: 2000,
        maxBatchBytes,
        maxWaiting: 100,
        slow,
        transforms: [],
        onTransformError: () => {},
        onFanOutError: (error) => void this.failures.push(Bun.inspect(error)),
        openLog: (onCommit) => {
          const log = broker.open(name, retention, (batch) => {
            life!.commit(batch);
            onCommit(batch);
          });
          const pause = (label: string) => scheduler.schedule(Promise.resolve(), label);
          return isSlowLog ? new AsyncLog(log, pause) : log;
        },
      });
      life = new Life(channel, retention, () => this.#nowMs, this.failures);
      this.#lives.push(life);
    }
  }

  async operate(operation: Operation): Promise<void> {
    switch (operation.do) {
      case "publish": {
        const { channel } = this.#lives[operation.channel]!;
        const drafts = operation.sizes.map((size) => {
          const number = ++this.#published;
          const key = number % 5 === 0 ? undefined : `key ${number % 5}`;
          // A seventh deletes its key.
          return { key, data: number % 7 === 0 ? null : `${number}`.padEnd(size, "x") };
        });
        try {
          void Promise.resolve(channel.publish(drafts)).catch(() => {});
        } catch {
          // Too much waits: nothing was published.
        }
        break;
      }
      case "join":
        this.#join(operation);
        break;
      case "poll":
        at(this.#pollers, operation.which)?.poll();
        break;
      case "give up":
        at(this.#pollers, operation.which)?.giveUp();
        break;
      case "drain":
        at(this.#streams, operation.which)?.drain();
        break;
      case "leave":
        this.#leave(at(this.#streams, operation.which));
        break;
      case "come back":
        this.#comeBack(at(this.#streams, operation.which), operation.which);
        break;
      case "gone":
        at(this.#streams, operation.which)?.gone(NAMES[operation.which % NAMES.length]!);
        break;
      case "flush":
        this.#lives[operation.channel]!.channel.fanOut.flush();
        break;
      case "wait":
        this.#nowMs += 15;
        break;
      case "turn":
        await endTurn();
        break;
      case "tick":
        await Promise.resolve();
        break;
      case "step":
        if (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
    }
    this.check();
  }

  /** Lets everything happen that still can, and checks that nobody was left behind. */
  async end(): Promise<void> {
    for (let quiet = 0, turns = 0; quiet < 3; turns++) {
      if (turns > 2000) throw new Error("it does not come to rest");
      const isBusy =
        this.#scheduler.count() > 0 ||
        this.#lives.some((life) => life.channel.fanOut.pendingBytes > 0);
      quiet = isBusy ? 0 : quiet + 1;
      while (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
      await endTurn();
      for (const stream of [...this.#streams]) {
        for (let pages = 0; pages < 50; pages++) stream.drain();
        // A slow one was told to come back.
        if (stream.isOver) this.#comeBack(stream, 0);
      }
      for (const poller of this.#pollers) {
        poller.poll();
        // Those that are level wait for ever.
        if (poller.state !== "held") quiet = 0;
      }
    }
    // One that was ended before it was given any id starts anew.
    const held = this.#streams.filter(({ isOver }) => !isOver);
    for (const { seen } of [...held, ...this.#pollers]) {
      for (const one of seen.values()) one.end();
    }
    expect(this.#lives.map(({ channel }) => channel.laggards.size)).toEqual([0, 0, 0]);
    this.check();
  }

  check(): void {
    if (this.failures.length > 0) throw new Error(this.failures.join("\n"));
  }

  #join(operation: Operation & { do: "join" }): void {
    const { which, limit, meddle } = operation;
    this.#add(this.#starts(operation), null, limit, (stream) => {
      if (meddle === null) return;
      let left = meddle.at;
      stream.onEvent = () => {
        if (left-- !== 0) return;
        stream.onEvent = () => {};
        const { does } = meddle;
        if (does === "join") this.#add(this.#starts(operation), null, 0);
        // No request is answered within a delivery, so none is held there.
        else if (does === "come back") this.#comeBack(stream, which - (which % 4));
        else if (does === "gone") stream.gone(NAMES[which % NAMES.length]!);
        else if (does === "flush") this.#lives[which % NAMES.length]!.channel.fanOut.flush();
        else if (does === "drain") for (const one of this.#streams) one.drain();
        else this.#leave(stream);
      };
    });
  }

  #starts({ picks, which }: Operation & { do: "join" }): ReadonlyMap<string, Start> {
    return new Map(
      this.#lives.map(({ channel, all }, index): [string, Start] => {
        const pick = picks[index]!;
        if (pick === "live" || pick === "earliest") return [channel.name, { from: pick }];
        if (pick === "state") return [channel.name, { from: pick, place: null }];
        if (pick === "last") return [channel.name, { from: "last", count: 1 + (which % 5) }];
        // What was sent out has been shown to somebody.
        const offset = all.length === 0 ? 0 : which % (channel.fanOut.flushed + 1);
        const epoch = pick === "foreign" ? "other" : channel.log.epoch;
        return [channel.name, { from: "after", position: { epoch, offset } }];
      }),
    );
  }

  #leave(stream: StreamClient | undefined): void {
    stream?.leave();
    this.#streams = this.#streams.filter((one) => one !== stream);
  }

  #add(
    starts: ReadonlyMap<string, Start>,
    place: Return | null,
    limit: number,
    prepare: (stream: StreamClient) => void = () => {},
  ): void {
    const who = `client ${++this.#joined}`;
    const lives = this.#lives.filter(({ channel }) => starts.has(channel.name));
    if (lives.length === 0) return;
    const startOf = startsBy(place, starts);
    if (limit > 0) {
      const poller = new PollClient(who, lives, starts, startOf, this.#pollCrowds, limit);
      this.#pollers.push(poller);
      poller.poll();
      return;
    }
    const stream = new StreamClient(who, lives, starts, startOf, this.#crowds);
    this.#streams.push(stream);
    // Its first events may come while it is opened.
    prepare(stream);
    stream.open();
  }

  /** Its connection broke: it has not got all that was sent, and comes back with the last id that it has. */
  #comeBack(stream: StreamClient | undefined, which: number): void {
    const place = stream && at(stream.returns, which);
    if (!place) return;
    this.#leave(stream);
    const names = [...place.starts].filter(([name]) => stream.seen.has(name));
    const starts = new Map(names.map(([name, start]) => [name, start()]));
    // Over the other transport now and then: a cursor is good on both.
    this.#add(starts, place, which % 4 === 3 ? 2 : 0);
  }
}
