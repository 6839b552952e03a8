import { describe, expect, test } from "bun:test";
import { MemoryValues } from "../broker/memory-values.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { Reports } from "./reports.ts";
import { createStore, MAX_KEY_BYTES, MAX_VALUE_BYTES, useName } from "./store.ts";

function start() {
  const values = new MemoryValues();
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  const reports = new Reports({ plugin: "counter", channel: "prices", log, clock });
  return { store: createStore({ values, use: "use", reports }), values, lines, reports };
}

const failure = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => error as Error,
  );

describe("store", () => {
  test("gives back JSON, a fresh value each time", async () => {
    const { store } = start();
    const value = { list: [1, null, "é\ud800"], date: new Date(0), left: undefined };
    await store.set("key", value);
    value.list.push(2);
    const first = await store.get<{ list: unknown[] }>("key");
    expect(first).toEqual({
      list: [1, null, "é\ud800"],
      date: "1970-01-01T00:00:00.000Z",
    } as never);
    first!.list.length = 0;
    expect(await store.get("key")).toHaveProperty("list.length", 3);
    expect(await store.entries()).toHaveProperty("0.1.list.length", 3);
    for (const small of [null, 0, "", false, [], "text"]) {
      await store.set("key", small);
      expect(await store.get("key")).toEqual(small);
    }
    expect(await store.get("other")).toBeUndefined();
    expect(await store.delete("key")).toBe(true);
    expect(await store.delete("key")).toBe(false);
  });

  test("keeps a __proto__ of a value and a key as data", async () => {
    const { store } = start();
    await store.set("__proto__", JSON.parse('{"__proto__":{"admin":true}}'));
    const value = await store.get<object>("__proto__");
    expect(Object.hasOwn(value!, "__proto__")).toBe(true);
    expect((value as { admin?: boolean }).admin).toBeUndefined();
    expect((await store.entries("__"))[0]![0]).toBe("__proto__");
  });

  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  let deep: unknown = 1;
  for (let i = 0; i < 200_000; i++) deep = [deep];
  test.each([
    [
      "undefined",
      undefined,
      `store.set("key"): the value is undefined, which is no JSON; use delete`,
    ],
    ["NaN", NaN, "the value is NaN, which JSON can't hold"],
    ["what is no number within", { ratio: [0, NaN] }, `"1" is NaN, which JSON can't hold`],
    ["a buffer within, which would turn into an object", { raw: Buffer.of(1) }, `"raw" is bytes`],
    [
      "what throws nothing at all when it is read",
      {
        get a() {
          throw null;
        },
      },
      "the value is not JSON: null",
    ],
    ["a function", () => 1, "the value is a function"],
    ["a function within", { a: { then: () => 1 } }, `"then" is a function`],
    ["a symbol", Symbol("a"), "the value is a symbol"],
    ["a bigint within", { id: [1n] }, `"0" is a bigint, which is no JSON; keep String(it)`],
    ["a map", { seen: new Map() }, `"seen" is a Map, which is no JSON; keep [...it]`],
    ["a set", new Set([1]), "the value is a Set"],
    ["bytes", { raw: new Uint8Array(1) }, `"raw" is bytes, which are no JSON`],
    ["a cycle", cycle, "the value holds itself"],
    ["what is nested too deeply", deep, "the value is nested too deeply"],
    ["what turns into nothing", { toJSON: () => undefined }, "the value's toJSON gives nothing"],
  ] as const)("refuses %s and says why", async (_what, value, message) => {
    const { store } = start();
    const error = await failure(store.set("key", value));
    expect(error).toBeInstanceOf(TypeError);
    expect(error!.message).toContain(message);
    expect(await store.get("key")).toBeUndefined();
  });

  test("tells the limit of keys and values, and the size", async () => {
    const { store } = start();
    await store.set("é".repeat(MAX_KEY_BYTES / 2), 1);
    await store.set("key", "x".repeat(MAX_VALUE_BYTES - 2));
    const long = await failure(store.set("é".repeat(MAX_KEY_BYTES / 2) + "x", 1));
    expect(long!.message).toContain("has 513 bytes; at most 512 are allowed");
    const large = await failure(store.set("key", "x".repeat(MAX_VALUE_BYTES - 1)));
    expect(large!.message).toContain(`has 65537 bytes of JSON; at most 65536 (64 KiB)`);
    for (const call of [store.get(""), store.set("", 1), store.delete("")]) {
      expect((await failure(call))!.message).toContain("the key is empty");
    }
    for (const call of [store.get(1 as never), store.entries(null as never)]) {
      expect(await failure(call)).toBeInstanceOf(TypeError);
    }
    expect((await failure(store.set("\ud800", 1)))!.message).toContain("surrogate");
    await store.set("\ufffd", 1);
    expect(await store.entries("\ud800")).toEqual([]);
  });

  test("forgets after the ttl, and refuses one that is no duration", async () => {
    let nowMs = 5000;
    const values = new MemoryValues(() => nowMs);
    const { log } = createFakeLog();
    const reports = new Reports({ plugin: "a", channel: "a", log, clock: new FakeClock() });
    const store = createStore({ values, use: "a", reports, now: () => nowMs });
    await store.set("key", 1, { ttl: "30m" });
    nowMs += 30 * 60_000 - 1;
    expect(await store.get("key")).toBe(1);
    nowMs += 1;
    expect(await store.get("key")).toBeUndefined();
    for (const [ttl, message] of [
      ["soon", `"soon" is not a duration`],
      ["0s", "the ttl is 0s; it is 1ms at least"],
      ["36526d", "the ttl is 36526d; leave it out for what stays"],
      ["9".repeat(400) + "d", "the ttl is 9999"],
      [30, "the ttl is a number; it is a duration"],
    ] as const) {
      expect((await failure(store.set("key", 1, { ttl: ttl as string })))!.message).toContain(
        message,
      );
    }
  });

  test("logs a set that fails and that nobody awaits, as the plugin's", async () => {
    const { store, lines, reports } = start();
    void store.set("key", undefined);
    await settled();
    expect(lines).toHaveLength(1);
    expect(String(lines[0]!.fields["error"])).toContain(
      'plugin "counter", store, channel "prices": store.set("key"): the value is undefined',
    );
    expect(reports.stats().hooks.store).toEqual({ errors: 1, dropped: 0 });
  });
});

test("useName() tells channels, plugins and their order apart", () => {
  const names = [
    ["a", "b", 0],
    ["a", "b", 1],
    ["a b", "", 0],
    ["a", "b,0", 0],
    ['a"', "b", 0],
  ].map(([channel, written, ordinal]) =>
    useName(channel as string, written as string, ordinal as number),
  );
  expect(new Set(names).size).toBe(names.length);
});
