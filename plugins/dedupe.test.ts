import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Draft } from "tidewire";
import dedupe from "./dedupe.ts";
import { complaint, start } from "./testing.ts";

/** Which of the drafts go on. */
async function pass(options: Record<string, unknown>, drafts: Draft[]): Promise<boolean[]> {
  const { transform } = await start(dedupe, options);
  const out: boolean[] = [];
  for (const draft of drafts) {
    const kept = await transform(draft);
    if (kept.length > 0) expect(kept[0]).toBe(draft);
    out.push(kept.length > 0);
  }
  return out;
}

describe("dedupe", () => {
  test.each<[Draft, Draft]>([
    [{ data: "x" }, { data: "x" }],
    [{ data: { a: 1, b: { c: 2, d: 3 } } }, { data: { b: { d: 3, c: 2 }, a: 1 } }],
    [{ data: new Uint8Array([1, 2]) }, { data: Buffer.from([1, 2]) }],
    [{ data: "x".repeat(1000) }, { data: "x".repeat(1000) }],
    [
      { data: null, event: "e", key: "k" },
      { data: null, event: "e", key: "k" },
    ],
  ])("drops %j after %j", async (first, second) => {
    expect(await pass({}, [first, second])).toEqual([true, false]);
  });

  test.each<[Draft, Draft]>([
    [{ data: "x" }, { data: "y" }],
    [{ data: "1" }, { data: 1 }],
    [{ data: "x" }, { data: "x", format: "json" }],
    [{ data: [1, 2] }, { data: [2, 1] }],
    [{ data: { a: 1 } }, { data: { a: 1, b: null } }],
    [
      { data: "x", event: "a" },
      { data: "x", event: "b" },
    ],
    [{ data: "x", key: "a" }, { data: "x" }],
    [{ data: new Uint8Array([1]) }, { data: new Uint8Array([2]) }],
    [{ data: `${"x".repeat(1000)}a` }, { data: `${"x".repeat(1000)}b` }],
  ])("lets %j through after %j", async (second, first) => {
    expect(await pass({}, [first, second])).toEqual([true, true]);
  });

  test("tells JSON values apart as their canonical text does", async () => {
    const reorder = (value: unknown): unknown =>
      typeof value !== "object" || value === null || Array.isArray(value)
        ? value
        : Object.fromEntries(Object.entries(value).reverse());
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (a, b) => {
        const [, again, other] = await pass({}, [
          { data: a, format: "json" },
          { data: reorder(a), format: "json" },
          { data: b, format: "json" },
        ]);
        expect(again).toBe(false);
        // Through JSON: -0 is 0 on the wire.
        const same = Bun.deepEquals(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
        expect(other).toBe(!same);
      }),
      { numRuns: 60 },
    );
  });

  test("compares what the expression gives; what it gives nothing for always goes on", async () => {
    const drafts = [{ id: 1, n: 1 }, { id: 1, n: 2 }, { id: 2 }, { n: 1 }, { n: 1 }];
    expect(
      await pass(
        { key: "data.id" },
        drafts.map((data) => ({ data })),
      ),
    ).toEqual([true, false, true, true, true]);
  });

  test("lets a repeat through when the window is over, which repeats do not extend", async () => {
    const { transform } = await start(dedupe, { window: "50ms" });
    // Again with other data where the machine took longer than the window before the first repeat.
    for (let n = 0, dropped = 0; dropped === 0; n++) {
      const began = performance.now();
      expect(await transform({ data: n })).toHaveLength(1);
      while ((await transform({ data: n })).length === 0) {
        dropped++;
        await Bun.sleep(2);
      }
      expect(performance.now() - began).toBeGreaterThanOrEqual(50);
    }
  });

  test("remembers no more than size, the oldest is forgotten", async () => {
    const data = ["a", "b", "c", "a", "c"];
    expect(
      await pass(
        { size: 2 },
        data.map((text) => ({ data: text })),
      ),
    ).toEqual([true, true, true, true, false]);
  });

  test.each([
    [{ key: "data[" }, 'key: Expected "]"'],
    [{ size: 0 }, "/size"],
    [{ window: "never" }, "/window"],
  ])("refuses %j", async (options, message) => {
    expect(start(dedupe, options)).rejects.toThrow(message);
  });

  test.each([
    [{ window: "0s" }, "window", "it must be at least 1ms"],
    [{ key: "data[" }, "key", 'key: Expected "]"'],
  ])("check() refuses %j without a start, at the option", (options, option, message) => {
    expect(complaint(dedupe, options)).toEqual({
      option,
      message: expect.stringContaining(message),
    });
  });

  test("check() has nothing against options that setup takes", () => {
    expect(complaint(dedupe, { window: "1ms", key: "data.id" })).toBeNull();
  });
});
