/** A worker that says more than anybody can take is held up, and one that never stops is ended. */
import { describe, expect, test } from "bun:test";
import { createFakeClient } from "../fake-client.ts";
import { Taken } from "./flow.ts";
import { Stage } from "./stage.testing.ts";
import type { ToHost } from "./wire.ts";

const open = (setup: string, timeoutMs: number) =>
  Stage.open([{ setup }], { isIsolated: true, limits: { timeoutMs } });

describe("An endless loop that", () => {
  test.each([
    ["sends to a client", `for (;;) client.send("again");`],
    ["logs", `for (;;) log.debug("again");`],
    ["emits", `for (;;) emit({ data: "again" });`],
    ["asks its store", `for (;;) void store.get("again");`],
    ["turns in microtasks", `for (;;) { client.send("again"); await null; }`],
  ])("%s is an endless loop all the same", async (_what, loop) => {
    const setup = `return { async receive(data, client) { ${loop} } };`;
    await using stage = await open(setup, 250);
    const answer = await (async () => stage.runtime.receive!(1, createFakeClient("c")))().catch(
      (error: unknown) => error,
    );
    expect((answer as Error).message).toContain(`gave no sign of life for 0.25 s`);
    await stage.logged("plugin's worker is there again");
  });
});

test("A flood arrives whole and in its order", async () => {
  const setup = `
    return { receive(data, client) { for (let i = 0; i < 20_000; i++) client.send(i); return null; } };`;
  // No sign of life until it is through, which takes its time on a busy machine.
  await using stage = await open(setup, 60_000);
  const client = createFakeClient("c");
  await stage.runtime.receive!(1, client);
  expect(client.received).toEqual(Array.from({ length: 20_000 }, (_, i) => i));
});

describe("What a worker says and the server has not taken", () => {
  /** A worker that says this message without end, to a server that takes none, and then one. */
  async function saysAtMost(most: number, message: ToHost): Promise<void> {
    const taken = new Taken();
    const code = `
      const { Said } = await import(${JSON.stringify(new URL("./flow.ts", import.meta.url).href)});
      self.onmessage = ({ data: { shared, count, message } }) => {
        const said = new Said(shared);
        const all = new Int32Array(count);
        for (;;) { said.wait(message); Atomics.add(all, 0, 1); Atomics.notify(all, 0); }
      };
      postMessage("ready");`;
    const worker = new Worker(
      URL.createObjectURL(new Blob([code], { type: "application/typescript" })),
    );
    await new Promise((resolve) => (worker.onmessage = resolve));
    const count = new SharedArrayBuffer(4);
    const all = new Int32Array(count);
    worker.postMessage({ shared: taken.shared, count, message });
    for (const said of [most, most + 1]) {
      while (all[0]! < said) await new Promise((resolve) => setImmediate(resolve));
      expect(all[0]).toBe(said);
      taken.take(message);
    }
    worker.terminate();
  }

  test("is a thousand messages at most, and fewer large ones", async () => {
    const small: ToHost = { say: "send", handle: 1, args: ["x"] };
    const large: ToHost = { say: "send", handle: 1, args: ["x".repeat(16 * 1024 * 99)] };
    await saysAtMost(1000, small);
    await saysAtMost(10, large);
  });
});
