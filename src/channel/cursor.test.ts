import { describe, expect, test } from "bun:test";
import { Cursor, type Step } from "./cursor.ts";
import type { Log, Page } from "./log.ts";
import { parsePosition, type Start } from "./position.ts";
import { AsyncLog, endTurn, openWorld, type World } from "./testing.ts";

const ALL = { count: 100, bytes: 1e6 };
const PAIR = { count: 2, bytes: 1e6 };

const at = (world: World, offset: number) => `${world.channel.log.epoch}-${offset}`;
const after = (position: string): Start => ({ from: "after", position: parsePosition(position)! });
const offsets = (step: unknown) => (step as Step).messages.map(({ offset }) => offset);

/** A channel with messages 1 to `count` sent out. */
function filled(count: number, options = {}): World {
  const world = openWorld(options);
  for (let i = 0; i < count; i++) world.publish(`message ${i + 1}`);
  world.channel.fanOut.flush();
  return world;
}

describe("Cursor.rest() of one that reads no further", () => {
  test("is what it was not given, from the position that it showed or was given last", () => {
    const world = filled(5);
    const cursor = new Cursor(world.channel, after(at(world, 1)));
    expect(cursor.rest()).toEqual({ after: at(world, 1), id: at(world, 5) });
    cursor.read(PAIR);
    expect(cursor.rest()).toEqual({ after: at(world, 3), id: at(world, 5) });
    cursor.read(ALL);
    expect(cursor.rest()).toBeNull();
  });

  test("counts from the position of another life of the log, as it was shown", () => {
    const world = filled(2);
    const cursor = new Cursor(world.channel, after("zzz-9"));
    expect(cursor.rest()).toEqual({ after: "zzz-9", id: at(world, 2) });
  });
});

describe("Cursor starts", () => {
  test.each<[string, Start, number[]]>([
    ["live", { from: "live" }, []],
    ["earliest", { from: "earliest" }, [1, 2, 3, 4]],
    ["last 0", { from: "last", count: 0 }, []],
    ["last 2", { from: "last", count: 2 }, [3, 4]],
    ["last 9", { from: "last", count: 9 }, [1, 2, 3, 4]],
  ])("at %s with no gap", (_, start, expected) => {
    const world = filled(4);
    const cursor = new Cursor(world.channel, start);
    expect(cursor.isLevel).toBe(expected.length === 0);
    expect(cursor.position).toBe(at(world, 4 - expected.length));
    const step = cursor.read(ALL) as Step;
    expect(offsets(step)).toEqual(expected);
    expect(step.gap).toBeNull();
    expect(cursor.isLevel).toBe(true);
    expect(cursor.position).toBe(at(world, 4));
  });

  test.each([0, 1, 3, 4])("after offset %d with exactly what comes after", (offset) => {
    const world = filled(4);
    const cursor = new Cursor(world.channel, after(at(world, offset)));
    const step = cursor.read(ALL) as Step;
    expect(step.gap).toBeNull();
    expect(offsets(step)).toEqual([1, 2, 3, 4].slice(offset));
    expect(cursor.position).toBe(at(world, 4));
  });

  test("give no gap where history is shorter than what was asked for without a position", () => {
    for (const start of [{ from: "earliest" }, { from: "last", count: 4 }] as const) {
      const cursor = new Cursor(filled(5, { size: 2 }).channel, start);
      const step = cursor.read(ALL) as Step;
      expect(step.gap).toBeNull();
      expect(offsets(step)).toEqual([4, 5]);
    }
  });

  test("give no gap where there is no history at all, then or later", () => {
    const world = filled(3, { size: 0 });
    const cursor = new Cursor(world.channel, { from: "earliest" });
    expect(cursor.read(ALL)).toEqual({ gap: null, messages: [] });
    expect(cursor.isLevel).toBe(true);
    world.publish("lost");
    world.channel.fanOut.flush();
    expect(cursor.isLevel).toBe(false);
    expect(cursor.read(ALL)).toEqual({ gap: null, messages: [] });
    expect(cursor.position).toBe(at(world, 4));
  });

  test("after an acknowledged message that is not sent out yet wait until it is", async () => {
    const world = filled(2);
    world.publish("mine", "another");
    const cursor = new Cursor(world.channel, after(at(world, 3)));
    expect(world.channel.fanOut.flushed).toBe(2);
    expect(cursor.isLevel).toBe(false);
    expect(await cursor.read(ALL)).toEqual({ gap: null, messages: [] });
    expect(world.channel.fanOut.flushed).toBe(4);
    expect(offsets(cursor.read(ALL))).toEqual([4]);
    expect(cursor.isLevel).toBe(true);
  });

  test("after anything else leave what waits for the end of the turn alone", () => {
    const world = filled(2);
    world.publish("waits");
    const cursor = new Cursor(world.channel, after(at(world, 1)));
    expect(world.channel.fanOut.flushed).toBe(2);
    expect(offsets(cursor.read(ALL))).toEqual([2]);
    expect(cursor.isLevel).toBe(true);
  });
});

describe("Cursor gaps", () => {
  test("tell of evicted messages before what is left", () => {
    const world = filled(5, { size: 2 });
    const cursor = new Cursor(world.channel, after(at(world, 1)));
    const step = cursor.read(ALL) as Step;
    expect(step.gap).toEqual({ after: at(world, 1), id: at(world, 3) });
    expect(offsets(step)).toEqual([4, 5]);
    expect((cursor.read(ALL) as Step).gap).toBeNull();
  });

  test("are not told where the oldest kept message is the next", () => {
    const world = filled(5, { size: 2 });
    const cursor = new Cursor(world.channel, after(at(world, 3)));
    expect((cursor.read(ALL) as Step).gap).toBeNull();
  });

  test("are told where nothing is left", () => {
    const world = filled(5, { size: 0 });
    const cursor = new Cursor(world.channel, after(at(world, 2)));
    expect(cursor.isLevel).toBe(false);
    expect(cursor.read(ALL)).toEqual({
      gap: { after: at(world, 2), id: at(world, 5) },
      messages: [],
    });
    expect(cursor.isLevel).toBe(true);
  });

  test("leave out what is evicted and not sent out yet: that comes live", () => {
    const world = filled(2, { size: 1 });
    const cursor = new Cursor(world.channel, after(at(world, 0)));
    world.publish("3");
    world.publish("4");
    expect(cursor.read(ALL)).toEqual({
      gap: { after: at(world, 0), id: at(world, 2) },
      messages: [],
    });
    expect(cursor.isLevel).toBe(true);
  });

  test("are told of what grew too old", () => {
    const world = openWorld({ ttlMs: 1000 });
    world.publish("old");
    world.nowMs += 600;
    world.publish("young");
    world.channel.fanOut.flush();
    world.nowMs += 400;
    const cursor = new Cursor(world.channel, after(at(world, 0)));
    const step = cursor.read(ALL) as Step;
    expect(step.gap).toEqual({ after: at(world, 0), id: at(world, 1) });
    expect(offsets(step)).toEqual([2]);
  });

  test.each(["after", "earliest", "last"])(
    "are told in mid-stream, from the last message that was given, when it began with %s",
    (from) => {
      const world = filled(4, { size: 4 });
      const starts: Record<string, Start> = {
        after: after(at(world, 0)),
        earliest: { from: "earliest" },
        last: { from: "last", count: 4 },
      };
      const cursor = new Cursor(world.channel, starts[from]!);
      expect(offsets(cursor.read(PAIR))).toEqual([1, 2]);
      for (let i = 5; i <= 7; i++) world.publish(`${i}`);
      world.channel.fanOut.flush();
      const step = cursor.read(PAIR) as Step;
      expect(step.gap).toEqual({ after: at(world, 2), id: at(world, 3) });
      expect(offsets(step)).toEqual([4, 5]);
    },
  );

  test("are told to a position of another epoch, with all that the new one has", () => {
    const world = filled(3);
    const cursor = new Cursor(world.channel, after("other-2"));
    expect(cursor.isLevel).toBe(false);
    const step = cursor.read(ALL) as Step;
    expect(step.gap).toEqual({ after: "other-2", id: at(world, 0) });
    expect(offsets(step)).toEqual([1, 2, 3]);
    expect(cursor.isLevel).toBe(true);
  });

  test("are told to a position of another epoch when the new one is empty or has lost some", () => {
    const empty = openWorld();
    const first = new Cursor(empty.channel, after("other-2"));
    expect(first.isLevel).toBe(false);
    expect(first.read(ALL)).toEqual({ gap: { after: "other-2", id: at(empty, 0) }, messages: [] });
    expect(first.isLevel).toBe(true);
    const short = filled(5, { size: 1 });
    const second = new Cursor(short.channel, after("other-2"));
    const step = second.read(ALL) as Step;
    expect(step.gap).toEqual({ after: "other-2", id: at(short, 4) });
    expect(offsets(step)).toEqual([5]);
  });

  test("are told to a position that is ahead of the log, and it goes on live", () => {
    const world = filled(3);
    const cursor = new Cursor(world.channel, after(at(world, 9)));
    expect(cursor.isLevel).toBe(false);
    expect(cursor.read(ALL)).toEqual({
      gap: { after: at(world, 9), id: at(world, 3) },
      messages: [],
    });
    expect(cursor.isLevel).toBe(true);
    expect(cursor.position).toBe(at(world, 3));
  });
});

describe("Cursor.read()", () => {
  test("gives pages of at most count messages and bytes, the first always", () => {
    const world = filled(5);
    const byCount = new Cursor(world.channel, { from: "earliest" });
    expect([1, 2, 3].map(() => offsets(byCount.read(PAIR)))).toEqual([[1, 2], [3, 4], [5]]);
    const byBytes = new Cursor(world.channel, { from: "earliest" });
    expect(offsets(byBytes.read({ count: 100, bytes: 18 }))).toEqual([1, 2]);
    expect(offsets(byBytes.read({ count: 100, bytes: 1 }))).toEqual([3]);
  });

  test("does not give what is not sent out yet", () => {
    const world = filled(2);
    world.publish("waits");
    const cursor = new Cursor(world.channel, { from: "earliest" });
    expect(offsets(cursor.read(ALL))).toEqual([1, 2]);
    world.channel.fanOut.flush();
    expect(cursor.isLevel).toBe(false);
    expect(offsets(cursor.read(ALL))).toEqual([3]);
  });

  test("waits for a log that takes its time, and sees what was sent out meanwhile", async () => {
    const world = openWorld({ wrap: (log) => new AsyncLog(log, endTurn) });
    await world.channel.publish([{ data: "1" }]);
    await endTurn();
    const cursor = new Cursor(world.channel, { from: "earliest" });
    const read = cursor.read(ALL);
    expect(read).toBeInstanceOf(Promise);
    void world.channel.publish([{ data: "2" }]);
    expect(offsets(await read)).toEqual([1]);
    await endTurn();
    expect(cursor.isLevel).toBe(false);
    expect(offsets(await cursor.read(ALL))).toEqual([2]);
    expect(cursor.isLevel).toBe(true);
  });

  test("takes the eviction that came between reading a page and handing it over for no gap", async () => {
    const pages: (() => void)[] = [];
    const delay = (label: string) =>
      label === "page" ? new Promise<void>((resolve) => pages.push(resolve)) : Promise.resolve();
    const world = openWorld({ size: 2, wrap: (log) => new AsyncLog(log, delay) });
    await world.channel.publish([{ data: "1" }, { data: "2" }]);
    world.channel.fanOut.flush();
    const cursor = new Cursor(world.channel, after(at(world, 0)));
    const read = cursor.read(ALL);
    await endTurn();
    await world.channel.publish([{ data: "3" }, { data: "4" }]);
    pages.shift()!();
    expect(await read).toMatchObject({ gap: null, messages: [{ offset: 1 }, { offset: 2 }] });
  });

  test.each([
    ["in the middle", { first: 1, messages: [{ offset: 3, id: "e-3" }] }],
    ["to the end", { first: 1, messages: [] }],
  ])("throws at a log that leaves a hole %s: it would skip it in silence", (_, page) => {
    const world = filled(3, {
      wrap: (log: Log) => Object.assign(log, { read: () => page as unknown as Page }),
    });
    const cursor = new Cursor(world.channel, after(at(world, 1)));
    expect(() => cursor.read(ALL)).toThrow(
      `the log of channel "prices" left a hole after offset 1 of 3`,
    );
  });
});

describe("Cursor with aligned pages", () => {
  const pages = (world: World, from: number, limit: { count: number; bytes: number }) => {
    const cursor = new Cursor(world.channel, after(at(world, from)));
    const read: number[][] = [];
    while (!cursor.isLevel) read.push(offsets(cursor.read({ ...limit, isAligned: true })));
    return read;
  };

  test.each<[number, number[][]]>([
    [
      0,
      [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10],
      ],
    ],
    [
      2,
      [
        [3, 4],
        [5, 6, 7, 8],
        [9, 10],
      ],
    ],
    [3, [[4], [5, 6, 7, 8], [9, 10]]],
    [
      4,
      [
        [5, 6, 7, 8],
        [9, 10],
      ],
    ],
    [9, [[10]]],
  ])("end at multiples of the count, from offset %d too", (from, expected) => {
    expect(pages(filled(10), from, { count: 4, bytes: 1e6 })).toEqual(expected);
  });

  test.each<[number, number[][]]>([
    [0, [[1, 2], [3, 4], [5, 6], [7, 8], [9]]],
    [1, [[2, 3, 4], [5, 6], [7, 8], [9]]],
    [2, [[3, 4], [5, 6], [7, 8], [9]]],
  ])("end at a round offset where their bytes end them, from offset %d", (from, expected) => {
    // Three have 27 bytes.
    expect(pages(filled(9), from, { count: 8, bytes: 27 })).toEqual(expected);
  });

  test("begin after a gap, told once", () => {
    const world = filled(20, { size: 14 });
    const cursor = new Cursor(world.channel, after(at(world, 1)));
    const limit = { count: 4, bytes: 1e6, isAligned: true };
    const first = cursor.read(limit) as Step;
    expect(first.gap).toEqual({ after: at(world, 1), id: at(world, 6) });
    expect(offsets(first)).toEqual([7, 8]);
    const second = cursor.read(limit) as Step;
    expect(second.gap).toBeNull();
    expect(offsets(second)).toEqual([9, 10, 11, 12]);
  });
});
