import { describe, expect, test } from "bun:test";
import { spreadCalls, spreadOut } from "./spread.ts";

describe("spreadOut()", () => {
  test("stays within the window and differs from client to client", () => {
    const times = Array.from({ length: 200 }, () => spreadOut(1000));
    expect(Math.min(...times)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...times)).toBeLessThan(1000);
    expect(new Set(times).size).toBeGreaterThan(100);
    // 200 clients: not all in one half.
    expect(Math.min(...times)).toBeLessThan(500);
    expect(Math.max(...times)).toBeGreaterThan(500);
  });
});

describe("spreadCalls()", () => {
  test("calls each item once, over the window, and resolves after the last", async () => {
    const items = Array.from({ length: 50 }, (_, i) => i);
    const calls: { item: number; at: number }[] = [];
    const started = performance.now();
    await spreadCalls(items, 200, (item) => calls.push({ item, at: performance.now() - started }));
    expect(performance.now() - started).toBeGreaterThanOrEqual(195);
    expect(calls.map(({ item }) => item).toSorted((a, b) => a - b)).toEqual(items);
    // Not all at once: some early, some late.
    expect(calls[0]!.at).toBeLessThan(150);
    expect(calls[49]!.at - calls[0]!.at).toBeGreaterThanOrEqual(45);
  });

  test("calls in another order than they stand in", async () => {
    const items = Array.from({ length: 50 }, (_, i) => i);
    const order: number[] = [];
    await spreadCalls(items, 0, (item) => order.push(item));
    expect(order).not.toEqual(items);
  });

  test("with no window calls all at once; with no item it is done at once", async () => {
    const seen: number[] = [];
    const done = spreadCalls([1, 2, 3], 0, (item) => seen.push(item));
    expect(seen.toSorted()).toEqual([1, 2, 3]);
    await done;
    await spreadCalls([], 10_000, () => {
      throw new Error("there is nothing to call");
    });
  });

  test("goes on when the items change meanwhile", async () => {
    const items = new Set([1, 2, 3, 4]);
    const seen: number[] = [];
    await spreadCalls(items, 60, (item) => {
      seen.push(item);
      items.clear();
    });
    expect(seen).toHaveLength(4);
  });
});
