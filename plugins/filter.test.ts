import { describe, expect, test } from "bun:test";
import filter from "./filter.ts";
import { complaint, start } from "./testing.ts";
import type { Draft } from "tidewire";

async function passes(where: string, draft: Draft): Promise<boolean> {
  const at = { name: "chat/lobby", params: { room: "lobby" } };
  const out = await (await start(filter, { where }, at)).transform(draft);
  // What goes on is the draft itself: nothing of it is changed.
  if (out.length > 0) expect(out[0]).toBe(draft);
  return out.length > 0;
}

describe("filter", () => {
  test.each<[string, Draft, boolean]>([
    ["data.price > 100", { data: { price: 101 } }, true],
    ["data.price > 100", { data: { price: 100 } }, false],
    ["data.price > 100", { data: "no price" }, false],
    ['data = "hello"', { data: "hello" }, true],
    ['event = "trade"', { data: 1, event: "trade" }, true],
    ['event = "trade"', { data: 1 }, false],
    ['key in ["A", "B"]', { data: 1, key: "B" }, true],
    ['params.room = "lobby" and channel = "chat/lobby"', { data: 1 }, true],
    ['format = "text"', { data: "x" }, true],
    ['format = "json"', { data: "x", format: "json" }, true],
    ['format = "bytes" and data = "/wA="', { data: new Uint8Array([255, 0]) }, true],
    ["$count(data[price > 5]) = 2", { data: [{ price: 6 }, { price: 7 }, { price: 1 }] }, true],
  ])("by %s, of %j, is %p", async (where, draft, expected) => {
    expect(await passes(where, draft)).toBe(expected);
  });

  test.each<[unknown, boolean]>([
    [0, false],
    [1, true],
    ["", false],
    ["x", true],
    [null, false],
    [[], false],
    [[0, ""], false],
    [[0, [1]], true],
    [{}, false],
    [{ a: 0 }, true],
    [false, false],
    [true, true],
  ])("takes %j as JSONata's $boolean does: %p", async (value, expected) => {
    expect(await passes("data.value", { data: { value } })).toBe(expected);
    expect(await passes("$boolean(data.value)", { data: { value } })).toBe(expected);
  });

  test("is refused at setup when the expression is not JSONata, with the place", async () => {
    expect(start(filter, { where: "data.price >" })).rejects.toThrow(
      "where: Unexpected end of expression, at character 13\n  data.price >\n              ^",
    );
    expect(start(filter, { where: "" })).rejects.toThrow("/where");
  });

  test("fails for the message alone when the types do not fit", async () => {
    const { transform } = await start(filter, { where: "data.price > 100" });
    expect(transform({ data: { price: "high" } })).rejects.toThrow(
      "must be of the same data type, at character 12",
    );
    expect(await transform({ data: { price: 200 } })).toHaveLength(1);
  });

  test.each([[{ where: "a +" }, "where", "where: Unexpected end of expression, at character 4"]])(
    "check() refuses %j without a start, at the option",
    (options, option, message) => {
      expect(complaint(filter, options)).toEqual({
        option,
        message: expect.stringContaining(message),
      });
    },
  );

  test("check() has nothing against options that setup takes", () => {
    expect(complaint(filter, { where: "data.price > 100" })).toBeNull();
  });
});
