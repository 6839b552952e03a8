/** However a worker ends, its messages are dealt with by the rule, it comes back, and nobody else notices. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { PluginError } from "../errors.ts";
import { createFakeClient } from "../fake-client.ts";
import { MEBIBYTE, Stage, type StagedUse } from "./stage.testing.ts";

const ENDED = "plugin's worker ended; it is started again";
const BACK = "plugin's worker is there again";

const open = (use: StagedUse, limits: { timeoutMs?: number; memory?: number } = {}) =>
  Stage.open([use], { isIsolated: true, limits });

/** A limit that a busy machine does not reach in the ordinary course, for what is ended by it. */
const SILENT = { timeoutMs: 1000 };

/** A transform that does `evil` at the message "evil", and gives others back. */
const evil = (code: string) => `
  return {
    async transform(draft) {
      if (draft.data === "evil") { ${code} }
      return draft;
    },
  };`;

describe("A worker that", () => {
  test.each([
    ["calls process.exit", "process.exit(3);", {}, "exit code 3"],
    ["loops without end", "for (;;);", SILENT, `no sign of life for 1 s, its "timeout:"`],
    [
      "loops in a regular expression",
      `/^a*a*a*a*a*b/.test("a".repeat(350));`,
      SILENT,
      "no sign of life",
    ],
    [
      "loops without end after an await",
      "await null; await new Promise((resolve) => setTimeout(resolve, 5)); for (;;);",
      SILENT,
      "no sign of life",
    ],
    [
      "allocates objects without end",
      "const all = []; for (;;) all.push(new Array(1000).fill(all.length));",
      { timeoutMs: 60_000, memory: 64 * MEBIBYTE },
      `more than the 64 MiB of its "memory:"`,
    ],
    [
      "allocates buffers without end",
      "const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1));",
      { timeoutMs: 60_000, memory: 64 * MEBIBYTE },
      `more than the 64 MiB of its "memory:"`,
    ],
    [
      "leaks bit by bit",
      `const all = []; for (;;) { for (let i = 0; i < 1000; i++) all.push({ i, text: "x" + i }); await new Promise((resolve) => setTimeout(resolve, 1)); }`,
      { timeoutMs: 60_000, memory: 48 * MEBIBYTE },
      `more than the 48 MiB of its "memory:"`,
    ],
  ])(
    "%s is ended and started again",
    async (_what, code, limits, reason) => {
      await using stage = await open({ setup: evil(code) }, limits);
      await stage.channel.publish([{ data: "before" }]);
      expect(await stage.channel.publish([{ data: "evil" }])).toEqual([]);
      const { fields } = await stage.logged(ENDED);
      expect(fields).toMatchObject({
        reason: expect.stringContaining(reason),
        attempt: 1,
        delayMs: 100,
      });
      await stage.logged(BACK);
      await stage.channel.publish([{ data: "after" }]);
      expect(stage.data).toEqual(["before", "after"]);
      expect(stage.runtime.stats()[0]!.hooks.transform).toEqual({ errors: 1, dropped: 1 });
    },
    20_000,
  );

  test("takes its time, awaiting, is no endless loop", async () => {
    const setup = `
      return {
        async receive(data) { await new Promise((resolve) => setTimeout(resolve, 3000)); return { data }; },
        transform: (draft) => draft,
      };`;
    await using stage = await open({ setup }, { timeoutMs: 2000 });
    const received = await stage.runtime.receive!("slow", createFakeClient("c"));
    expect(received).toMatchObject({ data: "slow" });
    expect(stage.lines).toEqual([]);
  });

  test("is at a long batch of short transforms is no endless loop", async () => {
    const setup = `return { transform(draft) { const end = performance.now() + 100; while (performance.now() < end); return draft; } };`;
    await using stage = await open({ setup }, { timeoutMs: 2000 });
    const drafts = Array.from({ length: 30 }, (_, n) => ({ data: n }));
    expect(await stage.channel.publish(drafts)).toHaveLength(30);
    expect(stage.lines).toEqual([]);
  });
});

describe("A transform in a worker that gives what is hard to carry", () => {
  test.each([
    ["a function in its data", "{ data: { call: () => 1 } }", "can't leave its worker"],
    ["data nested without end", "{ data: nested }", ""],
    ["an error that can't be read", "thrown()", "can't be read"],
    ["a draft whose data throws", "{ get data() { throw new Error('getter'); } }", "getter"],
  ])("such as %s fails for that draft alone", async (_what, result, message) => {
    await using stage = await open({
      setup: `
        let nested = []; for (let i = 0; i < 100_000; i++) nested = [nested];
        const thrown = () => { throw Object.defineProperty(new Error("x"), "name", { get() { throw 1; } }); };
        return { transform: (draft) => (draft.data === "evil" ? (${result}) : draft) };`,
    });
    await stage.channel.publish([{ data: "a" }, { data: "evil" }, { data: "b" }]);
    expect(stage.data).toEqual(["a", "b"]);
    const { error } = stage.lines[0]!.fields as { error: PluginError };
    expect(error).toBeInstanceOf(PluginError);
    expect(error.message).toContain(message);
  });
});

describe("A transform in a worker that never settles", () => {
  test("fails when its time is over, and holds up nobody longer", async () => {
    await using stage = await open({ setup: evil("await new Promise(() => {});") }, SILENT);
    const all = ["evil", "a", "b"].map((data) => stage.channel.publish([{ data }]));
    await Promise.all(all);
    expect(stage.data).toEqual(["a", "b"]);
    const { error } = stage.lines[0]!.fields as { error: PluginError };
    expect(error).toMatchObject({ code: "timeout", hook: "transform" });
    expect(error.message).toContain("transform did not end within 1 s");
    expect(stage.lines).toHaveLength(1);
  });
});

describe("Messages that a worker holds when it ends, and those that come while it is down,", () => {
  test.each([
    ["drop", ["dropped", "dropped", "dropped"], ["after"]],
    ["pass", ["committed", "committed", "committed"], ["a", "evil", "down", "after"]],
    ["stop", ["refused", "refused", "refused"], ["after"]],
  ] as const)("are dealt with by on_error: %s", async (onError, fates, data) => {
    await using stage = await open({ setup: evil("process.exit(1);"), onError });
    const fate = async (data: string) => {
      try {
        const committed = await stage.channel.publish([{ data }]);
        return committed.length > 0 ? "committed" : "dropped";
      } catch (error) {
        expect(error).toBeInstanceOf(PluginError);
        expect((error as Error).message).toContain("its worker");
        return "refused";
      }
    };
    // Both in one run: what is held is all of it.
    const held = (async () => stage.channel.publish([{ data: "a" }, { data: "evil" }]))().then(
      (committed) => (committed.length > 0 ? "committed" : "dropped"),
      () => "refused",
    );
    const fateOfHeld = await held;
    await stage.logged(ENDED);
    const fateOfDown = await fate("down");
    expect([fateOfHeld, fateOfHeld, fateOfDown]).toEqual([...fates]);
    await stage.logged(BACK);
    expect(await fate("after")).toBe("committed");
    expect(stage.data as string[]).toEqual([...data]);
    const lost = onError === "drop" ? 3 : 0;
    expect(stage.runtime.stats()[0]!.hooks.transform).toEqual({ errors: 3, dropped: lost });
  });
});

describe("After a restart", () => {
  test("setup runs again, the source starts again, and who is present is told of again", async () => {
    await using stage = await open({
      setup: `
        log.info("set up");
        return {
          joined(client) { client.send("welcome"); log.info("joined", { id: client.id }); },
          left(client) { log.info("left", { id: client.id }); },
          async *source() { yield { data: "from source" }; },
          receive() { process.exit(1); },
        };`,
    });
    const [stays, goes] = [createFakeClient("stays"), createFakeClient("goes")];
    stage.runtime.startSources();
    stage.runtime.joined(stays);
    stage.runtime.joined(goes);
    await stage.logged("joined", 2);
    stage.runtime.left(goes);
    await stage.logged("left");
    const answer = await (async () => stage.runtime.receive!("die", stays))().catch(
      (error: unknown) => error,
    );
    expect(answer).toMatchObject({
      hook: "receive",
      message: expect.stringContaining("its worker ended by itself"),
    });
    await stage.logged("set up", 2);
    await stage.logged("joined", 3);
    expect(stage.said("joined")).toEqual([{ id: "stays" }, { id: "goes" }, { id: "stays" }]);
    expect(stays.received).toEqual(["welcome", "welcome"]);
    while (stage.committed.length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(stage.data).toEqual(["from source", "from source"]);
  });

  test("a sink that waited gets what came meanwhile; the batch it held is lost and counted", async () => {
    await using stage = await open({
      setup: `
        return { sink(messages) {
          const data = messages.map((message) => message.data);
          if (data.includes("evil")) process.exit(1);
          log.info("sunk", { data });
        } };`,
    });
    await stage.channel.publish([{ data: "evil" }]);
    await stage.logged(ENDED);
    await stage.channel.publish([{ data: "a" }, { data: "b" }]);
    await stage.logged("sunk");
    expect(stage.said("sunk")).toEqual([{ data: ["a", "b"] }]);
    expect(stage.runtime.stats()[0]!.hooks.sink).toEqual({ errors: 1, dropped: 1 });
  });

  test("the delay grows while it does not stay up", async () => {
    await using stage = await open({ setup: evil("process.exit(1);") });
    for (let restart = 1; restart <= 4; restart++) {
      await stage.channel.publish([{ data: "evil" }]);
      await stage.logged(BACK, restart);
    }
    const delays = stage.said(ENDED).map((fields) => (fields as { delayMs: number }).delayMs);
    expect(delays).toEqual([100, 200, 400, 800]);
  });

  test("a setup that fails then is tried again", async () => {
    await using stage = await open({
      setup: `
        const lives = ((await store.get("lives")) ?? 0) + 1;
        await store.set("lives", lives);
        if (lives === 2) throw new Error("not yet");
        return { transform: (draft) => (draft.data === "evil" ? process.exit(1) : { data: [lives, draft.data] }) };`,
    });
    await stage.channel.publish([{ data: "evil" }]);
    await stage.logged(BACK);
    await stage.channel.publish([{ data: "after" }]);
    expect(stage.data).toEqual([[3, "after"]]);
    expect(stage.lines.some(({ message }) => message === "plugin failed in setup")).toBe(true);
  });
});

describe("While its worker is down", () => {
  test("authorize denies, and receive tells the client", async () => {
    await using stage = await open({
      setup: `
        const lives = ((await store.get("lives")) ?? 0) + 1;
        await store.set("lives", lives);
        if (lives > 1) await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return { authorize: (request) => (request.query.has("die") ? process.exit(1) : "allow"), receive: () => null };`,
    });
    const ask = async (query: string) =>
      stage.runtime.authorize!({
        action: "subscribe",
        transport: "sse",
        headers: new Headers(),
        query: new URLSearchParams(query),
        address: "",
      });
    expect(await ask("")).toBe("allowed");
    expect(await ask("die")).toBe("failed");
    await stage.logged(ENDED);
    expect(await ask("")).toBe("failed");
    const failure = await (async () => stage.runtime.receive!(1, createFakeClient("c")))().catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({
      hook: "receive",
      message: expect.stringContaining("it is started again"),
    });
  });
});

describe("The end of the channel", () => {
  test("ends a worker whose close loops", async () => {
    const stage = await open({ setup: `return { close() { for (;;); } };` }, SILENT);
    await stage.stop();
    expect(stage.runtime.stats()[0]!.hooks.close).toEqual({ errors: 1, dropped: 0 });
  });

  test.skipIf(process.platform !== "linux")("leaves no thread behind", async () => {
    const threads = () => readdirSync("/proc/self/task").length;
    const once = async () => {
      await using stage = await open({ setup: evil("process.exit(1);") });
      await stage.channel.publish([{ data: 1 }]);
      await stage.channel.publish([{ data: "evil" }]);
      await stage.logged(BACK);
    };
    await once();
    const before = threads();
    await Promise.all(Array.from({ length: 8 }, once));
    while (threads() > before + 4) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(threads()).toBeLessThanOrEqual(before + 4);
  });
});
