/** A channel that gets another line: order, positions and subscribers go on. */
import { expect, test } from "bun:test";
import { MemoryBroker } from "../broker/memory.ts";
import { Channel, type LineOptions } from "./channel.ts";
import type { Message } from "./message.ts";
import { endTurn } from "./testing.ts";

function setUp(first: Partial<LineOptions> = {}) {
  const committed: string[] = [];
  const heard: Record<string, string[]> = {};
  const line = (name: string, options: Partial<LineOptions> = {}): LineOptions => ({
    maxBytes: 1000,
    maxWaiting: 3,
    transforms: [],
    onTransformError: (error) => {
      throw error;
    },
    onCommit: (batch: readonly Message[]) => {
      committed.push(...batch.map(({ text }) => text));
      (heard[name] ??= []).push(...batch.map(({ text }) => text));
    },
    ...options,
  });
  const broker = new MemoryBroker();
  const channel = new Channel({
    ...line("old", first),
    name: "a",
    maxBatchBytes: 1e6,
    onFanOutError: (error) => {
      throw error;
    },
    openLog: (onCommit) => broker.open("a", { size: 100, ttlMs: 1e6 }, onCommit),
  });
  return { channel, line, committed, heard };
}

test("what comes by the new line waits for the end of the one before", async () => {
  const { channel, line, committed, heard } = setUp();
  const before = channel.line;
  const ended = Promise.withResolvers<void>();
  channel.publish([{ data: "1" }]);
  channel.replace(line("new"), ended.promise);
  const late = [channel.publish([{ data: "3" }]), channel.publish([{ data: "4" }])];
  before.publish([{ data: "2" }]);
  await endTurn();
  expect(committed).toEqual(["1", "2"]);
  ended.resolve();
  const ids = (await Promise.all(late)).flat().map(({ offset }) => offset);
  expect(ids).toEqual([3, 4]);
  expect(heard).toEqual({ old: ["1", "2"], new: ["3", "4"] });
  // Nothing waits any more: at once, as before.
  expect(channel.publish([{ data: "5" }])).not.toBeInstanceOf(Promise);
});

test("what waits for a line is bounded", async () => {
  const { channel, line } = setUp();
  const ended = Promise.withResolvers<void>();
  channel.replace(line("new"), ended.promise);
  const waiting = [1, 2, 3].map(() => channel.publish([{ data: "x" }]));
  expect(() => channel.publish([{ data: "x" }])).toThrow("too many messages waiting");
  ended.resolve();
  expect((await Promise.all(waiting)).length).toBe(3);
});

test("idle() of a line waits for drafts in its transforms", async () => {
  const gate = Promise.withResolvers<void>();
  const { channel, line, committed } = setUp({
    transforms: [async (draft) => (await gate.promise, draft)],
  });
  const before = channel.line;
  const publishes = [channel.publish([{ data: "1" }]), channel.publish([{ data: "2" }])];
  channel.replace(line("new"), before.idle());
  publishes.push(channel.publish([{ data: "3" }]));
  await endTurn();
  expect(committed).toEqual([]);
  gate.resolve();
  await Promise.all(publishes);
  expect(committed).toEqual(["1", "2", "3"]);
});

test("update() lets other rules hold for what comes", () => {
  const { channel } = setUp();
  const refuse = () => {
    throw new Error("refused");
  };
  channel.line.update({ maxBytes: 1000, maxWaiting: 3, validate: refuse });
  expect(() => channel.publish([{ data: "1" }])).toThrow("refused");
  channel.line.update({ maxBytes: 2, maxWaiting: 3, validate: undefined });
  expect(() => channel.publish([{ data: "123" }])).toThrow("at most 2");
});

test("close() waits for what a new line holds", async () => {
  const { channel, line, committed } = setUp();
  const ended = Promise.withResolvers<void>();
  channel.replace(line("new"), ended.promise);
  const late = channel.publish([{ data: "1" }]);
  const closed = channel.close();
  ended.resolve();
  await Promise.all([late, closed]);
  expect(committed).toEqual(["1"]);
});
