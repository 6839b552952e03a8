import { describe, expect, test } from "bun:test";
import { costOf, FanOut, type FanOutGroup } from "./fan-out.ts";
import { Message, sealDraft } from "./message.ts";
import { endTurn } from "./testing.ts";

let top = 0;
const message = () => new Message("prices", "e", ++top, 0, sealDraft({ data: "x" }, 1024));
const messages = (count: number) => Array.from({ length: count }, message);

/** A group that writes down each batch that it is given. */
class Group implements FanOutGroup {
  size = 1;
  readonly batches: number[][] = [];
  onDeliver: () => void = () => {};

  deliver(batch: readonly Message[]): void {
    this.batches.push(batch.map(({ offset }) => offset));
    this.onDeliver();
  }
}

function open(...keys: string[]) {
  return openBounded(1_000_000, ...keys);
}

function openBounded(maxBatchBytes: number, ...keys: string[]) {
  top = 10;
  const errors: unknown[] = [];
  const fanOut = new FanOut(top, maxBatchBytes, (error) => errors.push(error));
  const groups = keys.map((key) => fanOut.group(key, () => new Group()));
  return { fanOut, groups, errors };
}

describe("FanOut", () => {
  test("sends all of a turn as one batch, to each group once", async () => {
    const { fanOut, groups } = open("a", "b");
    fanOut.push(messages(1));
    fanOut.push(messages(2));
    expect(fanOut.flushed).toBe(10);
    await endTurn();
    for (const group of groups) expect(group.batches).toEqual([[11, 12, 13]]);
    expect(fanOut.flushed).toBe(13);
    fanOut.push(messages(1));
    await endTurn();
    for (const group of groups) expect(group.batches).toEqual([[11, 12, 13], [14]]);
  });

  test("sends nothing twice when it was flushed before the turn ended", async () => {
    const { fanOut, groups } = open("a");
    fanOut.push(messages(1));
    fanOut.flush();
    fanOut.flush();
    fanOut.push(messages(1));
    expect(groups[0]!.batches).toEqual([[11]]);
    await endTurn();
    expect(groups[0]!.batches).toEqual([[11], [12]]);
  });

  test("moves on with nobody there", () => {
    const { fanOut } = open();
    fanOut.push(messages(3));
    fanOut.flush();
    expect(fanOut.flushed).toBe(13);
  });

  test("calls no group for an empty batch", async () => {
    const { fanOut, groups } = open("a");
    fanOut.push([]);
    fanOut.flush();
    await endTurn();
    expect(groups[0]!.batches).toEqual([]);
  });

  test("makes a group once for a key and lets go of one that is empty when a batch goes out", () => {
    const { fanOut, groups } = open("a", "b");
    expect(fanOut.group("a", () => new Group())).toBe(groups[0]!);
    expect(fanOut.size).toBe(2);
    groups[0]!.size = 0;
    groups[1]!.size = 5;
    expect(fanOut.size).toBe(5);
    fanOut.push(messages(1));
    fanOut.flush();
    expect(groups[0]!.batches).toEqual([]);
    expect(fanOut.group("a", () => new Group())).not.toBe(groups[0]!);
    expect(fanOut.group("b", () => new Group())).toBe(groups[1]!);
  });

  test("serves the other groups when one throws, and tells of it", () => {
    const { fanOut, groups, errors } = open("a", "b", "c");
    const error = new Error("boom");
    groups[0]!.onDeliver = () => {
      throw error;
    };
    fanOut.push(messages(1));
    fanOut.flush();
    expect(errors).toEqual([error]);
    for (const group of groups) expect(group.batches).toEqual([[11]]);
    fanOut.push(messages(1));
    fanOut.flush();
    for (const group of groups) expect(group.batches).toEqual([[11], [12]]);
  });

  test("goes on after an error handler that throws", () => {
    top = 10;
    const fanOut = new FanOut(top, 1_000_000, (error) => {
      throw error;
    });
    const group = fanOut.group("a", () => new Group());
    group.onDeliver = () => {
      throw new Error("boom");
    };
    fanOut.push(messages(1));
    expect(() => fanOut.flush()).toThrow("boom");
    fanOut.push(messages(1));
    expect(() => fanOut.flush()).toThrow("boom");
    expect(group.batches).toEqual([[11], [12]]);
  });

  test("lets what is published within a delivery overtake it for no group", async () => {
    const { fanOut, groups } = open("a", "b");
    groups[0]!.onDeliver = () => {
      if (top < 14) fanOut.push(messages(1));
      fanOut.flush();
    };
    fanOut.push(messages(1));
    fanOut.flush();
    for (const group of groups) expect(group.batches).toEqual([[11]]);
    expect(fanOut.isDelivering).toBe(false);
    await endTurn();
    await endTurn();
    await endTurn();
    for (const group of groups) expect(group.batches).toEqual([[11], [12], [13], [14]]);
  });

  test("lets all who wait for the end of a delivery join before one of them sends out more", () => {
    const { fanOut, groups } = open("a");
    const joined: Group[] = [];
    const join = (key: string) => () => void joined.push(fanOut.group(key, () => new Group()));
    groups[0]!.onDeliver = () => {
      if (top > 11) return;
      fanOut.push(messages(1));
      fanOut.afterDelivery(() => fanOut.flush());
      fanOut.afterDelivery(join("b"));
      fanOut.afterDelivery(join("c"));
    };
    fanOut.push(messages(1));
    fanOut.flush();
    expect(groups[0]!.batches).toEqual([[11], [12]]);
    expect(joined.map(({ batches }) => batches)).toEqual([[[12]], [[12]]]);
  });

  test("leaves a group that is made within a delivery out of that batch: its members have it", () => {
    const { fanOut, groups } = open("a");
    const late: Group[] = [];
    groups[0]!.onDeliver = () => {
      expect(fanOut.isDelivering).toBe(true);
      expect(fanOut.flushed).toBe(top);
      late.push(fanOut.group("late", () => new Group()));
    };
    fanOut.push(messages(1));
    fanOut.flush();
    expect(late[0]!.batches).toEqual([]);
    fanOut.push(messages(1));
    fanOut.flush();
    expect(late[0]!.batches).toEqual([[12]]);
  });

  test("sends what is over its bytes a turn in the next turns, in order", async () => {
    // A message counts for about 100 bytes beside its data.
    const { fanOut, groups } = openBounded(250, "a", "b");
    fanOut.push(messages(5));
    expect(fanOut.pendingBytes).toBeGreaterThan(500);
    await endTurn();
    expect(groups[0]!.batches).toEqual([[11, 12]]);
    expect(fanOut.flushed).toBe(12);
    fanOut.push(messages(1));
    await endTurn();
    await endTurn();
    for (const group of groups) {
      expect(group.batches).toEqual([
        [11, 12],
        [13, 14],
        [15, 16],
      ]);
    }
    expect(fanOut.flushed).toBe(16);
    expect(fanOut.pendingBytes).toBe(0);
  });

  test("sends one message a turn where each is over its bytes", async () => {
    const { fanOut, groups } = openBounded(1, "a");
    fanOut.push(messages(2));
    await endTurn();
    expect(groups[0]!.batches).toEqual([[11]]);
    await endTurn();
    expect(groups[0]!.batches).toEqual([[11], [12]]);
  });

  test("paces nothing where nobody listens", async () => {
    const { fanOut } = openBounded(1);
    fanOut.push(messages(5));
    await endTurn();
    expect(fanOut.flushed).toBe(15);
    expect(fanOut.pendingBytes).toBe(0);
  });

  test("tells those who wait for a message once it is out, before the next batch", async () => {
    const { fanOut, groups } = openBounded(1, "a");
    const told: string[] = [];
    const wait = (offset: number) =>
      fanOut.whenFlushed(offset, () => told.push(`${offset} at ${fanOut.flushed}`));
    groups[0]!.onDeliver = () => told.push(`deliver ${fanOut.flushed}`);
    fanOut.push(messages(3));
    for (const offset of [12, 11, 12]) wait(offset);
    for (let i = 0; i < 3; i++) await endTurn();
    expect(told).toEqual([
      "deliver 11",
      "11 at 11",
      "deliver 12",
      "12 at 12",
      "12 at 12",
      "deliver 13",
    ]);
  });
});

test("costOf() counts all that a framing may send: data, channel, event and key", () => {
  const cost = (named: { event?: string; key?: string }, channel = "c") => {
    return costOf(new Message(channel, "e", 1, 0, sealDraft({ data: "x", ...named }, 100)));
  };
  const least = cost({});
  const name = "n".repeat(200);
  expect(cost({ event: name })).toBe(least + 200);
  expect(cost({ key: name })).toBe(least + 200);
  expect(cost({}, name)).toBe(least + 199);
});
