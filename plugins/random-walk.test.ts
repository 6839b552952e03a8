import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Draft } from "tidewire";
import randomWalk from "./random-walk.ts";
import { complaint, start, until, type Running } from "./testing.ts";

interface Quote {
  symbol: string;
  price: number;
  bid: number;
  ask: number;
  open: number;
  change: number;
}

const running: Running[] = [];

afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
});

/** The first `count` drafts, without waiting for the intervals between them. */
async function walk(options: Record<string, unknown>, count: number): Promise<Draft[]> {
  const one = await start(randomWalk, { symbols: ["ACME"], every: "1ms", ...options });
  const drafts: Draft[] = [];
  for await (const draft of one.hooks.source!()) {
    drafts.push(draft);
    if (drafts.length === count) break;
  }
  await one.stop();
  return drafts;
}

/** Quotes of as many symbols as are asked for: one step each, so that nothing is waited for. */
async function manyQuotes(options: Record<string, unknown>, count: number): Promise<Quote[]> {
  const symbols = Array.from({ length: count }, (_, i) => `S${i}`);
  return (await walk({ ...options, symbols }, count)).map((draft) => draft.data as Quote);
}

describe("random-walk", () => {
  test("gives each symbol a price in each interval, with the symbol as key", async () => {
    const drafts = await walk({ symbols: ["ACME", "INIT"] }, 6);
    expect(drafts.map((draft) => draft.key)).toEqual([
      "ACME",
      "INIT",
      "ACME",
      "INIT",
      "ACME",
      "INIT",
    ]);
    for (const { event, key, data } of drafts) {
      expect(event).toBe("price");
      expect(Object.keys(data as Quote)).toEqual([
        "symbol",
        "price",
        "bid",
        "ask",
        "open",
        "change",
      ]);
      expect((data as Quote).symbol).toBe(key!);
      expect(data).toEqual(JSON.parse(JSON.stringify(data)));
    }
  });

  test("gives the same prices for the same seed, others for another", async () => {
    const options = { seed: 42, symbols: ["ACME", "INIT"], volatility: 0.01 };
    const first = await walk(options, 40);
    expect(await walk(options, 40)).toEqual(first);
    expect(await walk({ ...options, seed: 43 }, 40)).not.toEqual(first);
    expect(await walk({ ...options, seed: undefined }, 40)).not.toEqual(first);
  });

  test("gives a symbol the same prices whatever the other symbols are", async () => {
    const alone = await walk({ seed: 7, symbols: ["INIT"] }, 10);
    const among = await walk({ seed: 7, symbols: ["ACME", "INIT", "ZED"] }, 30);
    expect(among.filter((draft) => draft.key === "INIT")).toEqual(alone);
  });

  test("has the volatility that was asked for, and no drift", async () => {
    const count = 20_000;
    const volatility = 0.02;
    const quotes = await manyQuotes({ seed: 1, volatility, tick_size: 0.0001 }, count);
    const moves = quotes.map(({ price }) => Math.log(price / 100));
    const mean = moves.reduce((sum, move) => sum + move, 0) / count;
    const deviation = Math.sqrt(moves.reduce((sum, move) => sum + (move - mean) ** 2, 0) / count);
    // Four standard errors; the seed is fixed, so that this never fails by chance.
    expect(Math.abs(mean)).toBeLessThan((4 * volatility) / Math.sqrt(count));
    expect(Math.abs(deviation / volatility - 1)).toBeLessThan(4 / Math.sqrt(2 * count));
    // Normal: 68.3 % within one deviation, 95.4 % within two.
    const within = (width: number) =>
      moves.filter((move) => Math.abs(move) < width * volatility).length / count;
    expect(within(1)).toBeCloseTo(0.683, 1);
    expect(within(2)).toBeCloseTo(0.954, 1);
  });

  test("walks: moves are independent and add up", async () => {
    const prices = (await walk({ seed: 3, volatility: 0.01, tick_size: 0.0001 }, 400)).map(
      (draft) => (draft.data as Quote).price,
    );
    const moves = prices.slice(1).map((price, i) => Math.log(price / prices[i]!));
    const variance = moves.reduce((sum, move) => sum + move ** 2, 0);
    const covariance = moves.slice(1).reduce((sum, move, i) => sum + move * moves[i]!, 0);
    expect(Math.abs(covariance / variance)).toBeLessThan(4 / Math.sqrt(moves.length));
    // Prices drawn anew each time would stay as near as one move.
    expect(Math.max(...prices) / Math.min(...prices)).toBeGreaterThan(1.05);
  });

  test("keeps prices positive multiples of the tick, whatever the options", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.integer(),
          volatility: fc.double({ min: 0, max: 1, noNaN: true }),
          tick_size: fc.constantFrom(0.01, 0.25, 0.05, 1, 5, 0.0001, 0.00000001),
          ticks: fc.integer({ min: 2, max: 1000 }),
        }),
        async ({ ticks, ...options }) => {
          const given = { ...options, start: ticks * options.tick_size };
          for (const { price, bid, ask, open, change } of await manyQuotes(given, 50)) {
            expect(bid).toBeGreaterThan(0);
            expect(price).toBeGreaterThan(bid);
            expect(ask).toBeGreaterThan(price);
            const inTicks = price / options.tick_size;
            expect(Math.abs(inTicks - Math.round(inTicks))).toBeLessThan(1e-6 * inTicks);
            expect(open + change).toBeCloseTo(price, 8);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test("writes no digits that the tick does not have", async () => {
    for (const { price } of await manyQuotes({ seed: 5, volatility: 0.1 }, 200)) {
      expect(String(price)).toMatch(/^\d+(\.\d{1,2})?$/);
    }
    for (const { price } of await manyQuotes({ seed: 5, volatility: 0.1, tick_size: 0.25 }, 200)) {
      expect(price % 0.25).toBe(0);
    }
  });

  test("keeps its interval, and leaves out what a sleeping machine missed", async () => {
    const one = await start(randomWalk, { symbols: ["ACME"], every: "20ms" });
    running.push(one);
    const began = performance.now();
    one.run();
    await until(() => one.yielded.length >= 4);
    expect(performance.now() - began).toBeGreaterThanOrEqual(55);
    Bun.sleepSync(200);
    const before = one.yielded.length;
    const slept = performance.now();
    await until(() => one.yielded.length >= before + 5);
    // One is late, the four after it are at their times: not the ten that were missed, at once.
    expect(performance.now() - slept).toBeGreaterThanOrEqual(55);
  });

  test.each([
    [{ symbols: [] }, "/symbols"],
    [{ symbols: ["A", "A"] }, "/symbols"],
    [{ volatility: 2 }, "/volatility"],
    [{ start: 0.01 }, "start is 0.01; it must be at least twice tick_size, 0.01"],
    [{ every: "0ms" }, 'every is "0ms"; it must be at least 1ms'],
  ])("refuses %j", async (options, message) => {
    expect(start(randomWalk, { symbols: ["ACME"], ...options })).rejects.toThrow(message);
  });

  test.each([
    [{ symbols: ["A"], every: "0ms" }, "every", 'every is "0ms"; it must be at least 1ms'],
    [{ symbols: ["A"], start: 0.01 }, "start", "at least twice tick_size"],
  ])("check() refuses %j without a start, at the option", (options, option, message) => {
    expect(complaint(randomWalk, options)).toEqual({
      option,
      message: expect.stringContaining(message),
    });
  });

  test("check() has nothing against options that setup takes", () => {
    expect(complaint(randomWalk, { symbols: ["A"], every: "1ms" })).toBeNull();
  });
});
