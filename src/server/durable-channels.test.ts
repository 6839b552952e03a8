/** Channels of patterns over a broker that outlives them. */
import { afterAll, afterEach, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteTables } from "../broker/sqlite-tables.ts";
import { definePlugin } from "../plugin/sdk.ts";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

const folder = mkdtempSync(join(tmpdir(), "tidewire-durable-"));
let server: TestServer;
let count = 0;
afterEach(() => server.stop());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const newBroker = () => {
  return { use: "sqlite", path: join(folder, `${++count}.db`), durability: "normal" } as const;
};
const start = async (config: TestConfig) => void (server = await startTestServer(config));

async function post(name: string, body: string): Promise<Response> {
  return fetch(`${server.urls.public}/channels/${name}`, {
    method: "POST",
    body,
    headers: { "content-type": "text/plain" },
  });
}

async function page(name: string): Promise<unknown[]> {
  const response = await fetch(`${server.urls.public}/channels/${name}/messages`);
  const { messages } = (await response.json()) as { messages: { data: unknown }[] };
  return messages.map(({ data }) => data);
}

test("history is read of a channel that nobody has used since the start", async () => {
  const config = { broker: newBroker(), channels: { "room/{name}": {} } };
  await start(config);
  const { id } = (await (await post("room/a", "one")).json()) as { id: string };
  await server.stop();
  await start(config);
  const message = await fetch(`${server.urls.public}/channels/room/a/messages/${id}`);
  expect([message.status, await message.text()]).toEqual([200, "one"]);
  await server.stop();
  await start(config);
  expect(await page("room/a")).toEqual(["one"]);
});

test("at limits.channels one that nobody uses makes room, and loses nothing", async () => {
  await start({ broker: newBroker(), channels: { "room/{name}": {} }, limits: { channels: 1 } });
  expect((await post("room/a", "one")).status).toBe(201);
  expect((await post("room/b", "two")).status).toBe(201);
  expect(await page("room/a")).toEqual(["one"]);
  expect([...server.channels.live].map(({ name }) => name)).toEqual(["room/a"]);
});

test("a channel whose history can't be opened is told of as such, and leaves no plugin behind", async () => {
  const closed = Promise.withResolvers<void>();
  const guest = definePlugin({
    name: "guest",
    setup: () => ({ close: () => closed.resolve() }),
  });
  const channels = { "room/{name}": { plugins: [guest] } };
  await start({ broker: newBroker(), channels, limits: { channels: 1 } });
  const found = spyOn(SqliteTables.prototype, "channel").mockImplementation(() => {
    throw new Error("the disk can't be read");
  });
  try {
    const refused = await post("room/a", "one");
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ type: "urn:tidewire:problem:storage-failed" });
    await closed.promise;
  } finally {
    found.mockRestore();
  }
  expect((await post("room/a", "one")).status).toBe(201);
});

test("a channel that a reload adds goes on where a pattern's has ended meanwhile", async () => {
  const broker = newBroker();
  const room = { "room/{name}": { history: { size: 10, ttlMs: 600_000 } } };
  await start({ broker, channels: room });
  const arrived = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const slow = definePlugin({
    name: "slow",
    async setup() {
      arrived.resolve();
      await gate.promise;
      return {};
    },
  });
  const reloading = server.become({
    broker,
    channels: { ...room, "room/a": {}, other: { plugins: [slow] } },
  });
  await arrived.promise;
  expect((await post("room/a", "one")).status).toBe(201);
  await server.channels.sweep(Date.now() + 700_000);
  expect([...server.channels.live]).toEqual([]);
  gate.resolve();
  await reloading;
  expect((await post("room/a", "two")).status).toBe(201);
  expect(await page("room/a")).toEqual(["one", "two"]);
});

test("a channel that was taken out of the config and put back has its history, and keeps what it may", async () => {
  const broker = newBroker();
  const news = (size: number) => ({
    broker,
    channels: { news: { history: { size, ttlMs: 6e5 } } },
  });
  await start(news(3));
  const ids: unknown[] = [];
  const publish = async (body: string) => {
    ids.push(((await (await post("news", body)).json()) as { id: string }).id);
  };
  for (const body of ["1", "2", "3"]) await publish(body);
  await server.become({ broker, channels: {} });
  expect((await post("news", "4")).status).toBe(404);
  await server.become(news(2));
  await publish("4");
  expect(await page("news")).toEqual(["3", "4"]);
  await server.become(news(1));
  expect(await page("news")).toEqual(["4"]);
  const [first, , , last] = ids as string[];
  expect(last).toBe(first!.replace(/-1$/, "-4"));
});

test("channels are reported though the history of one can't be read", async () => {
  const control = { listen: { hostname: "127.0.0.1", port: 0 }, token: null };
  await start({ broker: newBroker(), control, channels: { a: {}, b: {} } });
  await post("a", "one");
  const mark = spyOn(SqliteTables.prototype, "mark").mockImplementation(() => {
    throw new Error("the disk can't be read");
  });
  try {
    const response = await fetch(`${server.urls.control}/channels`);
    const { channels } = (await response.json()) as { channels: object[] };
    expect(channels).toMatchObject([
      { name: "a", published: 1, history: { count: null, bytes: null } },
      { name: "b", history: { count: 0, bytes: 0 } },
    ]);
  } finally {
    mark.mockRestore();
  }
});
