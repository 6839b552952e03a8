/** Reloads that meet channels which come to life, or end, at the same moment. */
import { afterEach, expect, test } from "bun:test";
import { definePlugin, type Plugin } from "../plugin/sdk.ts";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
afterEach(() => server.stop());

const publish = (channel: string, data: string) =>
  fetch(`${server.urls.public}/channels/${channel}`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: data,
  });

/** Its setup waits for the gate; what is set up and closed is written down. */
function gated(mark: string, gate: Promise<void>, events: string[]): Plugin {
  return definePlugin({
    name: "gated",
    async setup({ channel }) {
      events.push(`setup ${mark} ${channel.name}`);
      await gate;
      return { close: () => void events.push(`close ${mark} ${channel.name}`) };
    },
  }) as Plugin;
}

async function until(test: () => boolean): Promise<void> {
  while (!test()) await new Promise((resolve) => setImmediate(resolve));
}

test("a channel of a pattern that comes to life while it is declared by name is one channel", async () => {
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  const limits = { channels: 1 };
  server = await startTestServer({
    limits,
    channels: { "room/{name}": { plugins: [gated("pattern", gate.promise, events)] } },
  });
  const published = publish("room/x", "first");
  await until(() => events.length === 1);
  const named = gated("named", Promise.resolve(), events);
  const channels = { "room/{name}": {}, "room/x": { plugins: [named] } };
  await server.become({ limits, channels });
  const live = server.channels.peek("room/x");
  gate.resolve();
  expect((await published).status).toBe(201);
  expect(server.channels.peek("room/x")).toBe(live);
  expect(events).toEqual(["setup pattern room/x", "setup named room/x", "close pattern room/x"]);
  // It is no longer one of the pattern's, of which there may be one.
  expect((await publish("room/y", "1")).status).toBe(201);
});

test("a channel that comes alive while its name is being set up is the one that stays", async () => {
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  server = await startTestServer({ channels: { "room/{name}": {} } });
  const slow = gated("slow", gate.promise, events);
  const reloaded = server.become({
    channels: { "room/{name}": {}, "room/x": {}, slow: { plugins: [slow] } },
  });
  await until(() => events.length === 1);
  const first = (await (await publish("room/x", "1")).json()) as { id: string };
  const live = server.channels.peek("room/x");
  gate.resolve();
  await reloaded;
  expect(server.channels.peek("room/x")).toBe(live);
  const second = (await (await publish("room/x", "2")).json()) as { id: string };
  expect(second.id).toBe(first.id.replace(/-1$/, "-2"));
});

test("a reload ends though channels of a pattern come to life all the while", async () => {
  let opened = 0;
  let isAsking = true;
  const asked: Promise<unknown>[] = [];
  server = await startTestServer({ channels: { "room/{name}": {} } });
  // Each setup of the new plugin sees another room come to life before it ends.
  const busy = definePlugin({
    name: "busy",
    async setup() {
      if (!isAsking || opened > 500) return {};
      const before = opened++;
      const asking = publish(`room/${before}`, "x");
      asked.push(asking);
      const timer = new Promise((resolve) => setTimeout(resolve, 20));
      await Promise.race([asking, timer]);
      return {};
    },
  });
  await publish("room/first", "x");
  await server.become({ channels: { "room/{name}": { plugins: [busy as Plugin] } } });
  isAsking = false;
  await Promise.all(asked);
  expect(opened).toBeLessThan(50);
});

test("stop() tells the setups of a reload and of a channel that comes to life, and ends both", async () => {
  const events: string[] = [];
  const patient = definePlugin({
    name: "patient",
    setup({ channel, signal }) {
      events.push(`setup ${channel.name}`);
      return new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    },
  }) as Plugin;
  const closing = definePlugin({
    name: "closing",
    setup: ({ channel }) => ({ close: () => void events.push(`close ${channel.name}`) }),
  }) as Plugin;
  const plugins = [closing, patient];
  server = await startTestServer({ channels: { "room/{name}": { plugins }, a: {} } });
  const published = publish("room/x", "1");
  await until(() => events.length === 1);
  const reloaded = server.become({ channels: { "room/{name}": { plugins }, a: { plugins } } });
  const failure = reloaded.catch(() => "failed");
  await until(() => events.length === 2);
  await server.stop();
  expect(await failure).toBe("failed");
  expect((await published).status).toBe(503);
  expect(events.toSorted()).toEqual(["close a", "close room/x", "setup a", "setup room/x"]);
});
