import { describe, expect, test } from "bun:test";
import { Message, sealDraft } from "../channel/message.ts";
import { Tail, TailMemory } from "./tail.ts";

/** Each counts for 1,000 bytes. */
const messages = (from: number, to: number) =>
  Array.from(
    { length: to - from + 1 },
    (_, i) => new Message("prices", "e", from + i, 1, sealDraft({ data: "x".repeat(750) }, 1000)),
  );

describe("TailMemory", () => {
  test("lets the tails give way that were used least of late", () => {
    const memory = new TailMemory(10_000);
    const [a, b, c] = [new Tail(memory), new Tail(memory), new Tail(memory)];
    a.push(messages(1, 4));
    b.push(messages(1, 4));
    a.push(messages(5, 5));
    c.push(messages(1, 4));
    expect([a.first, b.first, c.first]).toEqual([1, Infinity, 1]);
    expect(memory.bytes).toBe(9000);
  });

  test("lets one that is too large by itself keep its newest", () => {
    const memory = new TailMemory(10_000);
    const tail = new Tail(memory);
    tail.push(messages(1, 8));
    tail.push(messages(9, 16));
    expect(memory.bytes).toBeLessThanOrEqual(10_000);
    expect(tail.first).toBeGreaterThan(6);
    expect(tail.get(16)!.offset).toBe(16);
    expect(tail.get(tail.first)!.offset).toBe(tail.first);
  });

  test("has room for as many as drive no other out", () => {
    const memory = new TailMemory(10_000);
    new Tail(memory).push(messages(1, 4));
    expect(memory.hasRoomFor(6, 6 * 750)).toBe(true);
    expect(memory.hasRoomFor(7, 7 * 750)).toBe(false);
  });

  test("counts what is trimmed, put before and cleared", () => {
    const memory = new TailMemory(100_000);
    const tail = new Tail(memory);
    tail.push(messages(50, 99));
    tail.trim(90);
    expect([tail.first, memory.bytes]).toEqual([90, 10_000]);
    tail.prepend(messages(80, 89));
    expect([tail.first, tail.get(85)!.offset, tail.get(99)!.offset]).toEqual([80, 85, 99]);
    expect(memory.bytes).toBe(20_000);
    tail.clear();
    expect([tail.isEmpty, tail.first, memory.bytes]).toEqual([true, Infinity, 0]);
    tail.push(messages(100, 100));
    expect(tail.first).toBe(100);
  });
});
