/** Guarantees 1 to 3 (DESIGN §4) for streams and polls of many channels, against the plain model of each. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Channel } from "../channel/channel.ts";
import { Life } from "../channel/life.testing.ts";
import type { Start } from "../channel/position.ts";
import { createSwept, endTurn } from "../channel/testing.ts";
import { identity } from "./coding/identity.ts";
import { MergedRun, NAMES, type Meddle, type Operation } from "./merged-run.testing.ts";
import { BUFFER_BYTES, startsBy, StreamClient } from "./merged.testing.ts";
import { SseCrowds } from "./sse-many.ts";

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
        const run = new MergedRun(setup, scheduler);
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
  const run = new MergedRun(setup, fc.schedulerFor([]));
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
