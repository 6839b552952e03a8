/** What a plugin does in a worker is what it does in the server's own thread: one suite over both. */
import { describe, expect, test } from "bun:test";
import { withTrail } from "../../channel/trail.ts";
import { PluginError } from "../errors.ts";
import { createFakeClient } from "../fake-client.ts";
import { RefusedError } from "../refused-error.ts";
import { Stage, type StagedUse } from "./stage.testing.ts";

describe.each([
  ["in the server's thread", false],
  ["in a worker", true],
])("A plugin %s", (_where, isIsolated) => {
  const open = (...setups: (string | StagedUse)[]) =>
    Stage.open(
      setups.map((setup) => (typeof setup === "string" ? { setup } : setup)),
      { isIsolated },
    );
  const refusal = async (setup: string) => {
    const error = await open(setup).then(
      () => null,
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(PluginError);
    return error as PluginError & { lines: { message: string }[] };
  };

  describe("setup", () => {
    test("is given what the sdk promises", async () => {
      await using stage = await open({
        setup: `
          log.info("given", { options, name: channel.name, params: channel.params, aborted: signal.aborted });
          log.warn("failed", { error: new RangeError("odd"), fine: 1 });
          return {};`,
        options: { list: [1, { deep: true }] },
      });
      await stage.logged("failed");
      expect(stage.said("given")).toEqual([
        {
          options: { list: [1, { deep: true }] },
          name: "chat/lobby",
          params: { room: "lobby" },
          aborted: false,
        },
      ]);
      const [{ error, fine }] = stage.said("failed") as [{ error: Error; fine: number }];
      expect(error).toBeInstanceOf(RangeError);
      expect([error.message, fine]).toEqual(["odd", 1]);
      expect(stage.lines[0]!.fields).toMatchObject({ plugin: "p0", channel: "chat/lobby" });
    });

    test("that throws fails the start with the author's error and place", async () => {
      const error = await refusal(
        `throw Object.assign(new RangeError("no such table"), { code: "E42" });`,
      );
      expect(error).toMatchObject({ plugin: "p0", hook: "setup", code: "failed" });
      expect(error.message).toContain("no such table");
      expect(error.cause).toBeInstanceOf(RangeError);
      expect(error.cause).toMatchObject({ code: "E42" });
      expect(error.stack).toContain("plugin-0.ts:6");
    });

    test("that returns a wrong hook is refused, and its own close runs all the same", async () => {
      const error = await refusal(
        `return { tranform: () => null, close() { log.info("closed", { aborted: signal.aborted }); } };`,
      );
      expect(error.code).toBe("bad-hooks");
      expect(error.message).toContain(`did you mean "transform"?`);
      expect(error.lines).toContainEqual(
        expect.objectContaining({
          message: "closed",
          fields: expect.objectContaining({ aborted: true }),
        }),
      );
    });
  });

  describe("transform", () => {
    test("changes, splits, drops and names, at once or later, in order", async () => {
      await using stage = await open(`
        return {
          transform(draft) {
            const { n } = draft.data;
            if (n % 5 === 1) return null;
            if (n % 5 === 2) return [draft, { data: { n, part: 2 } }];
            if (n % 5 === 3) return Promise.resolve({ ...draft, event: "third", key: "k" });
            if (n % 5 === 4) { draft.data.changed = true; return draft; }
            return { data: new TextEncoder().encode("bytes " + n) };
          },
        };`);
      const all = Array.from({ length: 50 }, (_, n) => stage.channel.publish([{ data: { n } }]));
      await Promise.all(all);
      const wanted = Array.from({ length: 50 }, (_, n) => {
        if (n % 5 === 1) return [];
        if (n % 5 === 2) return [{ n }, { n, part: 2 }];
        if (n % 5 === 3) return [{ n }];
        if (n % 5 === 4) return [{ n, changed: true }];
        return [new TextEncoder().encode(`bytes ${n}`)];
      });
      expect(stage.data).toEqual(wanted.flat());
      expect(
        stage.committed.filter(({ event, key }) => event === "third" && key === "k"),
      ).toHaveLength(10);
    });

    test("keeps the JSON text of data that it does not change", async () => {
      await using stage = await open(`
        return {
          transform(draft) {
            if (draft.data.change === 1) return { ...draft, data: { ...draft.data } };
            if (draft.data.change === 2) { draft.data.more = true; return draft; }
            return draft.data.change === 3 ? { ...draft, event: "named" } : draft;
          },
        };`);
      const raw = (change: number) =>
        `{ "change": ${change},\n  "big": 123456789012345678901234567890, "same": 1.0 }`;
      await stage.channel.publish(
        [0, 1, 2, 3].map((change) => ({ data: JSON.parse(raw(change)), raw: raw(change) })),
      );
      const digits = "12345678901234567890";
      await stage.channel.publish([{ data: Number(digits), raw: digits }]);
      const rounded = (change: number) => JSON.parse(raw(change)) as object;
      const texts = stage.committed.map(({ text }) => text.replaceAll("\n", " "));
      expect(texts).toEqual([
        raw(0).replaceAll("\n", " "),
        JSON.stringify(rounded(1)),
        JSON.stringify({ ...rounded(2), more: true }),
        raw(3).replaceAll("\n", " "),
        "12345678901234567890",
      ]);
    });

    test("is given any data that a draft can have, as it was", async () => {
      await using stage = await open(
        `return { transform: (draft) => { log.info("got", { type: draft.data?.constructor?.name, draft }); return draft; } };`,
      );
      const drafts = [
        { data: new Uint8Array([1, 2, 250]), event: "bytes" },
        { data: "text\nwith lines", format: "text" as const },
        { data: "json", format: "json" as const, key: "k" },
        { data: { nothing: undefined, date: new Date(0), list: [1, , 2], zero: -0 } },
        { data: null },
        { data: false },
      ];
      await stage.channel.publish(drafts);
      expect(stage.committed.map(({ format }) => format)).toEqual([
        "bytes",
        "text",
        "json",
        "json",
        "json",
        "json",
      ]);
      const got = stage.said("got") as { type: string; draft: { data: unknown } }[];
      expect(got.map(({ type }) => type)).toEqual([
        "Uint8Array",
        "String",
        "String",
        "Object",
        undefined as never,
        "Boolean",
      ]);
      expect(got.map(({ draft }) => draft)).toMatchObject(drafts);
    });

    test("that throws for every other message drops it, with the author's stack", async () => {
      await using stage = await open(`
        function authorsCode() { throw new RangeError("odd"); }
        return { transform: (draft) => (draft.data % 2 ? authorsCode() : draft) };`);
      for (let i = 0; i < 20; i++) await stage.channel.publish([{ data: i }]);
      expect(stage.data).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
      expect(stage.lines).toHaveLength(1);
      const { error } = stage.lines[0]!.fields as { error: PluginError };
      expect(error).toMatchObject({
        plugin: "p0",
        hook: "transform",
        channel: "chat/lobby",
        code: "failed",
      });
      expect(error.cause).toBeInstanceOf(RangeError);
      expect(error.stack).toContain("authorsCode");
      expect(error.stack).toContain("plugin-0.ts:7");
      expect(stage.runtime.stats()[0]!.hooks).toEqual({ transform: { errors: 10, dropped: 10 } });
    });

    test.each([
      ["nothing", "undefined", "transform returned nothing"],
      ["a number", "5", "transform returned a number"],
      ["an array with null", "[null]", "null in it"],
    ])("that gives %s is told what would be right", async (_what, result, message) => {
      await using stage = await open(`return { transform: async () => (${result}) };`);
      expect(await stage.channel.publish([{ data: 1 }])).toEqual([]);
      const { error } = stage.lines[0]!.fields as { error: PluginError };
      expect(error.message).toContain(message);
    });

    test("takes a message of a mebibyte, and thousands at once", async () => {
      await using stage = await open(
        `return { transform: (draft) => ({ ...draft, data: [draft.data] }) };`,
      );
      const large = { text: "x".repeat(1024 ** 2) };
      await stage.channel.publish([{ data: large }]);
      const many = Array.from({ length: 5000 }, (_, n) => ({ data: n }));
      await stage.channel.publish(many);
      expect(stage.data[0]).toEqual([large]);
      expect(stage.data.slice(1)).toEqual(many.map(({ data }) => [data]));
    });

    test.each([
      ["drop", [0, 2]],
      ["pass", [0, { n: 1 }, 2]],
      ["stop", []],
    ] as const)(
      "with on_error: %s leaves of a run of three what it says",
      async (onError, wanted) => {
        await using stage = await open({
          setup: `return {
          transform(draft) {
            if (typeof draft.data !== "object") return draft;
            draft.data.n = "changed before the throw";
            throw new Error("odd");
          } };`,
          onError,
        });
        const published = (async () =>
          stage.channel.publish([{ data: 0 }, { data: { n: 1 } }, { data: 2 }]))();
        if (onError === "stop") {
          const error = await published.catch((error: unknown) => error);
          expect(error).toBeInstanceOf(PluginError);
          expect(error).toMatchObject({
            hook: "transform",
            message: expect.stringContaining("odd"),
          });
        } else {
          expect(await published).toHaveLength(wanted.length);
        }
        expect(stage.data as unknown[]).toEqual([...wanted]);
        const dropped = onError === "drop" ? 1 : 0;
        expect(stage.runtime.stats()[0]!.hooks).toEqual({ transform: { errors: 1, dropped } });
        await stage.channel.publish([{ data: 7 }]);
        expect(stage.data.at(-1)).toBe(7);
      },
    );
  });

  describe("emit", () => {
    test("enters after the plugin's own transform, a function when its turn comes", async () => {
      await using stage = await open(
        `emit({ data: "early" });
         let held = [];
         return {
           transform(draft) {
             if (draft.data === "flush") { emit(() => held.splice(0)); return null; }
             if (draft.data === "bad") { emit(() => { throw new Error("no"); }); emit(5); return null; }
             held.push({ data: draft.data + "!" });
             return null;
           },
         };`,
        `return { transform: (draft) => ({ ...draft, data: "<" + draft.data + ">" }) };`,
      );
      stage.runtime.startSources();
      for (const data of ["a", "b", "flush", "c", "bad", "flush"])
        await stage.channel.publish([{ data }]);
      await stage.stop();
      expect(stage.data).toEqual(["<early>", "<a!>", "<b!>", "<c!>"]);
      expect(stage.runtime.stats()[0]!.hooks.emit).toEqual({ errors: 2, dropped: 2 });
    });
  });

  describe("source", () => {
    test("is taken from draft by draft, started again when it throws, and ended by the signal", async () => {
      await using stage = await open(`
        let starts = 0;
        return {
          async *source() {
            const start = ++starts;
            try {
              yield { data: [start, 1] };
              yield { data: [start, 2], event: "two" };
              yield 5;
              if (start === 1) throw new Error("upstream is gone");
              await new Promise((resolve) => signal.addEventListener("abort", resolve));
            } finally {
              log.info("ended", { start });
            }
          },
        };`);
      stage.runtime.startSources();
      await stage.logged("ended");
      // What is no draft comes after the last that is one.
      const errors = () => stage.runtime.stats()[0]!.hooks.source?.errors ?? 0;
      while (errors() < 3) await new Promise((resolve) => setTimeout(resolve, 5));
      await stage.stop();
      expect(stage.said("ended")).toEqual([{ start: 1 }, { start: 2 }]);
      expect(stage.data).toEqual([
        [1, 1],
        [1, 2],
        [2, 1],
        [2, 2],
      ]);
      expect(stage.committed[1]!.event).toBe("two");
      expect(stage.runtime.stats()[0]!.hooks.source).toEqual({ errors: 3, dropped: 2 });
    });
  });

  describe("receive, joined and left", () => {
    test("know one client as the same object, and reach it", async () => {
      await using stage = await open(`
        const seen = new Map();
        return {
          joined(client) { seen.set(client, "joined"); client.send({ hello: client.id }); },
          receive(data, client, raw) {
            client.send([data, raw, seen.get(client), client.transport, client.address, client.headers.get("x-a"), client.query.get("q")]);
            if (data === "refuse") throw new RefusedError("not today");
            if (data === "throw") throw new TypeError("odd");
            return data === "swallow" ? null : { data: { from: client.id, data } };
          },
          left(client) { log.info("left", { known: seen.has(client) }); },
        };`);
      const client = Object.assign(createFakeClient("c1"), {
        headers: new Headers({ "x-a": "1" }),
        query: new URLSearchParams("q=2"),
      });
      const { runtime } = stage;
      runtime.joined(client);
      expect(await runtime.receive!({ n: 1 }, client, `{"n":1.0}`)).toMatchObject({
        data: { from: "c1", data: { n: 1 } },
      });
      expect(await runtime.receive!("swallow", client)).toBeNull();
      const refused = await (async () => runtime.receive!("refuse", client))().catch(
        (error: unknown) => error,
      );
      expect(refused).toBeInstanceOf(RefusedError);
      expect((refused as Error).message).toBe("not today");
      const failed = await (async () => runtime.receive!("throw", client))().catch(
        (error: unknown) => error,
      );
      expect(failed).toMatchObject({ hook: "receive", cause: expect.any(TypeError) });
      runtime.left(client);
      await stage.stop();
      const about = ["joined", "websocket", "127.0.0.1", "1", "2"];
      expect(client.received).toEqual([
        { hello: "c1" },
        [{ n: 1 }, `{"n":1.0}`, ...about],
        ["swallow", "swallow", ...about],
        ["refuse", "refuse", ...about],
        ["throw", "throw", ...about],
      ]);
      expect(stage.said("left")).toEqual([{ known: true }]);
    });
  });

  describe("authorize", () => {
    test("reads all of a request", async () => {
      await using stage = await open(`
        return {
          authorize({ action, channel, params, transport, headers, cookies, query, claims, origin, address }) {
            if (query.get("x") === "throw") throw new Error("odd");
            log.info("asked", { all: [action, channel, params.room, transport, headers.get("authorization"), cookies.get("sid"), query.get("x"), claims, origin, address] });
            return cookies.get("sid") === "good" ? "allow" : { deny: "no session" };
          },
        };`);
      const ask = async (sid: string, query = "x=1") =>
        stage.runtime.authorize!({
          action: "subscribe",
          transport: "sse",
          headers: new Headers({
            authorization: "Bearer b",
            cookie: `sid=${sid}`,
            origin: "https://a.example",
          }),
          query: new URLSearchParams(query),
          address: "10.0.0.1",
        });
      const outcomes = [await ask("good"), await ask("bad"), await ask("good", "x=throw")];
      expect(outcomes).toEqual(["allowed", "denied", "failed"]);
      const all = ["subscribe", "chat/lobby", "lobby", "sse", "Bearer b"];
      const rest = ["1", null, "https://a.example", "10.0.0.1"];
      expect(stage.said("asked")).toEqual([
        { all: [...all, "good", ...rest] },
        { all: [...all, "bad", ...rest] },
      ]);
    });
  });

  describe("store and channel()", () => {
    test("answer as they do anywhere, with their errors", async () => {
      await using stage = await open(`
        await store.set("a", { n: 1 });
        await store.set("b", [2], { ttl: "1h" });
        const said = [await store.get("a"), await store.get("none"), await store.entries(), await store.delete("a"), await store.delete("a"), await store.entries("b")];
        const refused = await store.set("", 1).catch((error) => [error.name, error.message]);
        log.info("store", { said, refused });
        return {
          async receive(data) {
            const ids = await channel("alerts").publish([{ data }, { data: "more" }]);
            const failure = await channel("nowhere").publish({ data }).catch((error) => [error.name, error.message]);
            return { data: { ids, failure } };
          },
        };`);
      const entries = [
        ["a", { n: 1 }],
        ["b", [2]],
      ];
      expect(stage.said("store")).toEqual([
        {
          said: [{ n: 1 }, undefined, entries, true, false, [["b", [2]]]],
          refused: ["RangeError", expect.stringContaining("the key is empty")],
        },
      ]);
      const received = await stage.runtime.receive!({ n: 1 }, createFakeClient("c"));
      expect(received).toMatchObject({
        data: { ids: ["other-1"], failure: ["RangeError", "there is no such channel"] },
      });
      expect(stage.crossings[0]).toMatchObject({
        from: "chat/lobby",
        to: "alerts",
        drafts: [{ data: { n: 1 } }, { data: "more" }],
        trail: ["chat/lobby"],
      });
    });
  });

  test("publishes on with the trail of what it was given, also later", async () => {
    await using stage = await open(`
      const later = () => new Promise((resolve) => setTimeout(resolve, 5));
      return {
        async receive(data) { await later(); await channel("alerts").publish({ data }); return { data }; },
        transform(draft) { emit(async () => {}); void later().then(() => channel("copies").publish(draft)).then(() => log.info("copied")); return draft; },
      };`);
    stage.runtime.startSources();
    await withTrail(["first"], async () => {
      await stage.runtime.receive!("a", createFakeClient("c"));
      await stage.channel.publish([{ data: "b" }]);
    });
    await stage.logged("copied");
    expect(stage.crossings.map(({ to, trail }) => [to, trail])).toEqual([
      ["alerts", ["first", "chat/lobby"]],
      ["copies", ["first", "chat/lobby"]],
    ]);
    await stage.stop();
    // A function that gives a promise would hold up the channel: it is refused.
    expect(stage.runtime.stats()[0]!.hooks.emit).toEqual({ errors: 1, dropped: 1 });
  });

  describe("sink and close", () => {
    test("get what was committed, in order, and are the last to run", async () => {
      await using stage = await open(`
        const got = [];
        return {
          transform: (draft) => (draft.data === 2 ? { ...draft, event: "two" } : draft),
          sink(messages) { got.push(...messages.map(({ id, time, channel, event, data }) => [typeof id, typeof time, channel, event, data])); },
          async close() { log.info("closed", { got, aborted: signal.aborted }); },
        };`);
      for (const data of [1, 2, new Uint8Array([3])]) await stage.channel.publish([{ data }]);
      await stage.stop();
      const of = (event: string | undefined, data: unknown) => [
        "string",
        "number",
        "chat/lobby",
        event,
        data,
      ];
      expect(stage.said("closed")).toEqual([
        {
          got: [of(undefined, 1), of("two", 2), of(undefined, new Uint8Array([3]))],
          aborted: true,
        },
      ]);
    });
  });
});
