import { describe, expect, test } from "bun:test";
import type { Draft } from "tidewire";
import map from "./map.ts";
import { complaint, start } from "./testing.ts";

async function mapped(options: Record<string, unknown>, draft: Draft): Promise<readonly Draft[]> {
  const at = { name: "prices/ACME", params: { symbol: "ACME" } };
  return (await start(map, options, at)).transform(draft);
}

describe("map", () => {
  test("gives the data that the expression makes; event and key stay", async () => {
    const to = '{ "symbol": data.s, "price": $number(data.p), "room": params.symbol }';
    const draft = { data: { s: "INIT", p: "1.5" }, event: "trade", key: "INIT" };
    expect(await mapped({ to }, draft)).toEqual([
      { data: { symbol: "INIT", price: 1.5, room: "ACME" }, event: "trade", key: "INIT" },
    ]);
    expect(draft.data).toEqual({ s: "INIT", p: "1.5" });
  });

  test("drops the message when the expression gives nothing, but not for null", async () => {
    expect(await mapped({ to: "data.price" }, { data: { other: 1 } })).toEqual([]);
    expect(await mapped({ to: "data.price" }, { data: { price: null } })).toEqual([{ data: null }]);
  });

  test("gives a string as text, also out of JSON", async () => {
    const [draft] = await mapped({ to: "data.name" }, { data: { name: "x" }, format: "json" });
    expect(draft).toEqual({ data: "x" });
  });

  test("gives arrays as plain arrays", async () => {
    const [draft] = await mapped({ to: "data.price" }, { data: [{ price: 1 }, { price: 2 }] });
    expect(Object.keys(draft!.data as object)).toEqual(["0", "1"]);
    expect(draft!.data).toEqual([1, 2]);
  });

  test("sets event and key from the draft as it came in, and leaves the data alone", async () => {
    const data = new Uint8Array([1]);
    expect(await mapped({ event: "key", key: "event" }, { data, event: "a", key: "b" })).toEqual([
      { data, event: "b", key: "a" },
    ]);
    const all = { to: "data.b", event: "data.a", key: "$string(data.n)" };
    expect(await mapped(all, { data: { a: "x", b: 1, n: 5 } })).toEqual([
      { data: 1, event: "x", key: "5" },
    ]);
  });

  test("takes event and key away when their expression gives nothing or null", async () => {
    const [draft] = await mapped(
      { event: "data.none", key: "null" },
      { data: 1, event: "a", key: "b" },
    );
    expect(draft!.event).toBeUndefined();
    expect(draft!.key).toBeUndefined();
  });

  test("fails when event or key is no name", async () => {
    expect(mapped({ event: "data" }, { data: { a: 1 } })).rejects.toThrow(
      'event gives {"a":1}; it must give a string',
    );
  });

  test.each([
    [{}, 'map has nothing to do; give it "to", "event" or "key"'],
    [{ to: "data." }, "to: "],
    [{ key: "data[" }, "key: Expected"],
    [{ event: "(" }, "event: "],
  ])("refuses %j", async (options, message) => {
    expect(start(map, options)).rejects.toThrow(message);
  });

  test.each([
    [{ to: "$sum(" }, "to", "to: "],
    [{ to: "data", event: "(" }, "event", "event: "],
    [{ key: "data[" }, "key", 'key: Expected "]"'],
    [{}, null, "map has nothing to do"],
  ])("check() refuses %j without a start, at the option", (options, option, message) => {
    expect(complaint(map, options)).toEqual({ option, message: expect.stringContaining(message) });
  });

  test("check() has nothing against options that setup takes", () => {
    expect(complaint(map, { to: "data", event: "data.type" })).toBeNull();
  });
});
