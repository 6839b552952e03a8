/** `feed()`, options, several plugins, errors, log, store and other channels. */
import { describe, expect, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import { definePlugin, t, type Draft, type Hooks, type SetupContext } from "tidewire";
import { start, startChannel, use } from "tidewire/testing";
import dedupe from "../../../plugins/dedupe.ts";
import filter from "../../../plugins/filter.ts";
import throttle from "../../../plugins/throttle.ts";

const hooked = (setup: (context: SetupContext<object>) => Hooks) =>
  definePlugin({ name: "made", setup });
const transforming = (transform: NonNullable<Hooks["transform"]>) => hooked(() => ({ transform }));

describe("feed()", () => {
  test("gives what comes out: changed, split, dropped, with event and key", async () => {
    await using plugin = await start(
      transforming(({ data, ...draft }) => {
        if (data === 0) return null;
        return data === 1 ? { data: "one", key: "k" } : [{ data, ...draft }, { data: [data] }];
      }),
    );
    expect(await plugin.feed({ data: 0 })).toStrictEqual([]);
    expect(await plugin.feed([{ data: 1 }, { data: 2, event: "e" }])).toStrictEqual([
      { data: "one", key: "k" },
      { data: 2, event: "e" },
      { data: [2] },
    ]);
  });

  test("tells text, JSON strings and bytes apart", async () => {
    await using plugin = await start(transforming((draft) => draft));
    const bytes = new Uint8Array([1, 2]);
    const drafts: Draft[] = [{ data: "a" }, { data: "a", format: "json" }, { data: bytes }];
    expect(await plugin.feed(drafts)).toStrictEqual([
      { data: "a" },
      { data: "a", format: "json" },
      { data: bytes },
    ]);
  });

  test("lets the clock go on for a transform that waits, in order", async () => {
    await using plugin = await start(
      transforming(async (draft) => {
        await sleep(Number(draft.data));
        return draft;
      }),
    );
    expect(await plugin.feed([{ data: 60_000 }, { data: 1000 }])).toEqual([
      { data: 60_000 },
      { data: 1000 },
    ]);
    expect(plugin.clock.now).toBe(Date.parse("2026-01-01T00:01:01Z"));
  });

  test("brings what emit adds at once; what is held comes when time has passed", async () => {
    await using plugin = await start(throttle, { options: { every: "10s" } });
    const drafts = [1, 2, 3].map((data) => ({ key: "a", data }));
    expect(await plugin.feed(drafts)).toEqual([{ key: "a", data: 1 }]);
    expect(await plugin.clock.advance("9s")).toEqual([]);
    expect(await plugin.clock.advance("1s")).toEqual([{ key: "a", data: 3 }]);
    expect(plugin.published.map(({ data }) => data)).toEqual([1, 3]);
    expect(plugin.published[1]).toMatchObject({ channel: "test", key: "a" });
    expect(plugin.published[1]!.time).toBe(Date.parse("2026-01-01T00:00:10Z"));
  });

  test("sees time pass for a window", async () => {
    await using plugin = await start(dedupe, { options: { window: "1h" } });
    expect(await plugin.feed([{ data: 1 }, { data: 1 }])).toHaveLength(1);
    await plugin.clock.advance("1h");
    expect(await plugin.feed({ data: 1 })).toHaveLength(1);
  });

  test("throws what a transform threw, each time, and goes on with the others", async () => {
    await using plugin = await start(
      transforming((draft) => {
        if (draft.data === "bad") throw new RangeError("far out");
        return draft;
      }),
    );
    for (let time = 0; time < 3; time++) {
      await expect(plugin.feed([{ data: "bad" }, { data: time }])).rejects.toThrow(
        'plugin "made", transform, channel "test": far out',
      );
    }
    expect(plugin.published.map(({ data }) => data)).toEqual([0, 1, 2]);
    expect(plugin.errors.map(({ hook, cause }) => [hook, cause])).toEqual(
      [0, 1, 2].map(() => ["transform", new RangeError("far out")]),
    );
  });

  test("throws when a transform returns nothing, each time", async () => {
    const forgetful = transforming((() => {}) as never);
    await using plugin = await start(forgetful);
    for (let time = 0; time < 2; time++) {
      await expect(plugin.feed({ data: 1 })).rejects.toThrow("transform returned nothing");
    }
  });

  test("refuses a draft that a publisher could not send", async () => {
    await using plugin = await start(transforming((draft) => draft));
    await expect(plugin.feed({ data: undefined })).rejects.toThrow(
      "it must be JSON, text or bytes",
    );
  });

  test("says so when a transform does not end", async () => {
    await using plugin = await start(
      transforming(() => new Promise(() => {})),
      { limit: "20ms" },
    );
    await expect(plugin.feed({ data: 1 })).rejects.toThrow("feed: a transform does not end");
  });

  test("is refused when the channel is closed", async () => {
    const plugin = await start(filter, { options: { where: "true" } });
    await plugin.close();
    await expect(plugin.feed({ data: 1 })).rejects.toThrow("is closed");
  });
});

describe("options", () => {
  const strict = definePlugin({
    name: "strict",
    options: t.Object({
      size: t.Integer({ minimum: 1, default: 3 }),
      nested: t.Object({ a: t.String({ default: "x" }) }, { default: {} }),
      text: t.String({ default: "" }),
    }),
    setup: ({ options }) => ({ transform: () => ({ data: options }) }),
  });

  test("have the plugin's defaults, and are taken as they are", async () => {
    // What a config would fill in stays in a test.
    const text = "${HOME} $${X} - yes: #1";
    await using plugin = await start(strict, { options: { text } });
    const data = { size: 3, nested: { a: "x" }, text };
    expect(await plugin.feed({ data: 0 })).toEqual([{ data }]);
  });

  test("that are wrong throw what the config would tell", async () => {
    const wrong = { size: 0, nested: { b: 1 } } as never;
    const error = (await start(strict, { options: wrong }).catch(
      (error: unknown) => error,
    )) as Error;
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain("error[bad-value]: 0 is too little: at least 1");
    expect(error.message).toContain('error[unknown-key]: "b" is not');
    expect(error.message).toContain("--> options of strict:");
  });

  test("that the schema does not have are refused by the type checker too", async () => {
    // @ts-expect-error There is no such option.
    await expect(start(strict, { options: { sizee: 1 } })).rejects.toThrow('did you mean "size"?');
    // @ts-expect-error It is a number.
    await expect(start(strict, { options: { size: "1" } })).rejects.toThrow("error[wrong-type]");
  });

  test("are given to the plugin's own check", async () => {
    await expect(start("clock", { options: { every: "1ms" } })).rejects.toThrow(
      "it must be at least 10ms",
    );
    await expect(start("clock", { options: 5 as never })).rejects.toThrow("give an object");
  });

  test("a plugin that is none is refused", async () => {
    await expect(start({ name: "x" } as never)).rejects.toThrow("setup");
    await expect(start("clok")).rejects.toThrow('did you mean "clock"?');
  });
});

describe("startChannel()", () => {
  test("runs plugins in their order, with one channel's parameters", async () => {
    const named = hooked(({ channel }) => ({
      transform: (draft) => ({ data: `${channel.name} ${channel.params["room"]} ${draft.data}` }),
    }));
    await using channel = await startChannel([use(filter, { where: "data > 1" }), use(named)], {
      channel: "chat/{room}",
      params: { room: "lobby" },
    });
    expect(channel.name).toBe("chat/lobby");
    expect(await channel.feed([{ data: 1 }, { data: 2 }])).toEqual([
      { data: "chat/lobby lobby 2" },
    ]);
  });

  test("refuses parameters that the name does not have", async () => {
    await expect(start("echo", { channel: "chat/{room}" })).rejects.toThrow(
      'channel "chat/{room}" has the parameters room; params has none',
    );
  });
});

describe("the context of setup", () => {
  test("its store is the test's to fill and to read", async () => {
    const counting = hooked(({ store }) => ({
      async transform() {
        const count = ((await store.get<number>("count")) ?? 0) + 1;
        await store.set("count", count, { ttl: "1h" });
        return { data: count };
      },
    }));
    await using plugin = await start(counting, { store: { count: 41 } });
    expect(await plugin.feed({ data: 0 })).toEqual([{ data: 42 }]);
    expect(await plugin.store.get("count")).toBe(42);
    await plugin.clock.advance("1h");
    expect(await plugin.store.entries()).toEqual([]);
  });

  test("what it publishes to another channel is kept", async () => {
    const alerting = hooked(({ channel }) => ({
      async transform(draft) {
        const ids = await channel("alerts").publish({ data: draft.data, event: "hot" });
        return { data: ids.length };
      },
    }));
    await using plugin = await start(alerting);
    expect(await plugin.feed({ data: 9 })).toEqual([{ data: 1 }]);
    expect(plugin.publishedTo("alerts")).toEqual([{ data: 9, event: "hot" }]);
    expect(plugin.publishedTo("others")).toEqual([]);
  });

  test("what it logs is kept", async () => {
    await using plugin = await start(
      hooked(({ log }) => {
        log.info("ready", { n: 1 });
        return {};
      }),
    );
    expect(plugin.log).toEqual([
      { level: "info", message: "ready", fields: { n: 1 }, plugin: "made" },
    ]);
  });

  test("its signal aborts before close, and close() throws what that throws", async () => {
    const order: string[] = [];
    const plugin = await start(
      hooked(({ signal }) => {
        signal.addEventListener("abort", () => order.push("abort"));
        return {
          close() {
            order.push("close");
            throw new Error("could not flush");
          },
        };
      }),
    );
    await expect(plugin.close()).rejects.toThrow('plugin "made", close, channel "test"');
    await plugin.close();
    expect(order).toEqual(["abort", "close"]);
  });
});
