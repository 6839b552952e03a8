/** Guarantees 1 to 3 (DESIGN §4) for streams and polls of many channels, against the plain model of each. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Channel } from "../channel/channel.ts";
import type { SlowPolicy } from "../channel/lag.ts";
import { Life } from "../channel/model.testing.ts";
import type { Start } from "../channel/position.ts";
import { AsyncLog, createSwept, endTurn } from "../channel/testing.ts";
import { identity } from "./coding/identity.ts";
import { PollCrowds } from "./long-poll-many.ts";
import { BUFFER_BYTES, PollClient, startsBy, StreamClient, type Return } from "./merged.testing.ts";
import { SseCrowds } from "./sse-many.ts";

const NAMES = ["a", "b", "c"];

const pick = fc.constantFrom(
  "live",
  "state",
  "state",
  "earliest",
  "last",
  "foreign",
  "after",
  "after",
);
const picks = fc.tuple(pick, pick, pick);
type Picks = readonly [string, string, string];

type Operation =
  | { do: "publish"; channel: number; sizes: number[] }
  | { do: "join"; picks: Picks; which: number; limit: number; meddle: Meddle }
  | { do: "poll" | "give up" | "drain" | "leave" | "come back" | "gone"; which: number }
  | { do: "flush"; channel: number }
  | { do: "wait" | "turn" | "tick" | "step" };

/** What a client does in the middle of one of its first events, which may be a delivery. */
type Meddle = {
  at: number;
  does: "join" | "leave" | "gone" | "come back" | "drain" | "flush";
} | null;

const which = fc.nat(30);
const meddle: fc.Arbitrary<Meddle> = fc.option(
  fc.record({
    at: fc.nat(4),
    does: fc.constantFrom("join", "join", "leave", "gone", "come back", "drain", "flush" as const),
  }),
  { freq: 3 },
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      channel: fc.nat(2),
      sizes: fc.array(fc.constantFrom(1, 1, 50, 700, 1900, 1900), { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      picks,
      which,
      limit: fc.constantFrom(0, 0, 0, 1, 2, 4),
      meddle,
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "poll",
        "poll",
        "give up",
        "drain",
        "drain",
        "leave",
        "come back" as const,
      ),
      which,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("gone" as const), which }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("flush" as const), channel: fc.nat(2) }) },
  {
    weight: 6,
    arbitrary: fc
      .constantFrom("wait", "turn", "tick", "step", "step")
      .map((name) => ({ do: name }) as Operation),
  },
);

interface Setup {
  readonly size: number;
  readonly ttlMs: number;
  readonly maxBatchBytes: number;
  readonly isSlowLog: boolean;
  readonly slow: SlowPolicy;
}

class Run {
  readonly failures: string[] = [];
  readonly #lives: Life[] = [];
  readonly #scheduler: fc.Scheduler;
  readonly #crowds = new SseCrowds(BUFFER_BYTES, identity);
  readonly #pollCrowds = new PollCrowds();
  #streams: StreamClient[] = [];
  readonly #pollers: PollClient[] = [];
  #nowMs = 1_000_000;
  #published = 0;
  #joined = 0;

  constructor({ isSlowLog, maxBatchBytes, size, ttlMs, slow }: Setup, scheduler: fc.Scheduler) {
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

/** One of a list, the last ones first. */
function at<T>(list: readonly T[], which: number): T | undefined {
  return list[list.length - 1 - (which % list.length)];
}

test("many channels on one connection keep each one's guarantees through any operations", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        size: fc.constantFrom(0, 3, 8, 30),
        ttlMs: fc.constantFrom(20, Infinity, Infinity),
        maxBatchBytes: fc.constantFrom(1, 500, BUFFER_BYTES / 4),
        isSlowLog: fc.boolean(),
        slow: fc.constantFrom("disconnect", "drop-oldest" as const),
      }),
      fc.array(operation, { maxLength: 60, size: "max" }),
      fc.scheduler(),
      async (setup, operations, scheduler) => {
        const run = new Run(setup, scheduler);
        for (const each of operations) await run.operate(each);
        await run.end();
      },
    ),
    { numRuns: Number(process.env["MERGED_RUNS"] ?? 700) },
  );
}, 60_000);

/** Runs these operations one after the other, with logs that answer at once. */
async function run(operations: readonly Operation[]): Promise<void> {
  const setup = {
    ...{ size: 30, ttlMs: Infinity, maxBatchBytes: BUFFER_BYTES / 4, isSlowLog: false },
    slow: "disconnect" as const,
  };
  const run = new Run(setup, fc.schedulerFor([]));
  for (const each of operations) await run.operate(each);
  await run.end();
}

test("what is flushed within a replay says of no message that it was given before it was", () =>
  run([
    // Each a chunk of its own, both in one page.
    { do: "publish", channel: 0, sizes: [700, 700] },
    { do: "turn" },
    { do: "publish", channel: 1, sizes: [1, 1] },
    {
      do: "join",
      picks: ["earliest", "live", "live"],
      which: 1,
      limit: 0,
      meddle: { at: 0, does: "flush" },
    },
  ]));

test("what is flushed within a delivery to a stream that is behind waits for the rest of it", () =>
  run([
    // More than the half of the buffer that is for history: two pages of two.
    { do: "publish", channel: 0, sizes: [700, 700, 700, 700, 700, 700, 700] },
    { do: "turn" },
    {
      do: "join",
      picks: ["earliest", "live", "live"],
      which: 2,
      limit: 0,
      meddle: { at: 4, does: "flush" },
    },
    // One batch in two chunks.
    { do: "publish", channel: 1, sizes: [640, 640] },
    { do: "publish", channel: 2, sizes: [1] },
    { do: "turn" },
  ]));

test("a batch is encoded once for all streams that are level with the same channels", async () => {
  const broker = createSwept(Date.now);
  const channels = NAMES.map(
    (name) =>
      new Channel({
        name,
        maxBytes: 2000,
        maxBatchBytes: BUFFER_BYTES / 4,
        maxWaiting: 100,
        transforms: [],
        onTransformError: () => {},
        onFanOutError: (error) => {
          throw error;
        },
        openLog: (onCommit) => broker.open(name, { size: 10, ttlMs: Infinity }, onCommit),
      }),
  );
  const crowds = new SseCrowds(BUFFER_BYTES, identity);
  const lives = channels.map(
    (channel) => new Life(channel, { size: 10, ttlMs: Infinity }, Date.now, []),
  );
  const live = new Map<string, Start>(NAMES.map((name) => [name, { from: "live" }]));
  const open = (names: readonly string[]) => {
    const some = lives.filter(({ channel }) => names.includes(channel.name));
    const client = new StreamClient("client", some, live, startsBy(null, live), crowds);
    client.open();
    client.chunks.length = 0;
    return client;
  };
  const [one, two, other] = [open(NAMES), open(NAMES), open(["a", "b"])];
  void channels[1]!.publish([{ data: "1" }, { data: "2" }]);
  await endTurn();
  expect(one!.chunks).toHaveLength(1);
  // The very same bytes, not equal ones.
  expect(two!.chunks[0]).toBe(one!.chunks[0]!);
  expect(other!.chunks[0]).not.toBe(one!.chunks[0]!);
  expect(channels.map(({ fanOut }) => fanOut.size)).toEqual([3, 3, 2]);
  for (const client of [one, two, other]) client!.leave();
  expect(channels.map(({ fanOut }) => fanOut.size)).toEqual([0, 0, 0]);
});
