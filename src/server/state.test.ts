/** Channels with `latest_by_key`: what clients see of their state. */
import { afterEach, expect, test } from "bun:test";
import { TestSocket } from "./socket-testing.ts";
import { clientOf, entries, KEYED, type Page } from "./state-testing.ts";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

const CONTROL = { listen: { hostname: "127.0.0.1", port: 0 }, token: null };

let server: TestServer;
afterEach(() => server.stop());
const start = async (config: TestConfig) => void (server = await startTestServer(config));
const { fill, get, page, publish } = clientOf(() => server);

test.each(["/channels/prices/messages", "/channels/prices"])(
  "GET %s?after=state gives the state page by page, then what came since",
  async (path) => {
    await start({ channels: { prices: { history: KEYED } } });
    await fill("prices");
    const first = await page(`${path}?after=state&limit=2`);
    expect([first.gap, entries(first)]).toEqual([false, ["a=0", "c=3"]]);
    await publish("prices", "a", "new");
    await publish("prices", "b", "newer");
    // All that was left of the state has changed: it comes as what changed.
    const rest: string[] = [];
    let { next } = first;
    while (rest.length < 2) {
      const answer = await page(`${path}?after=${next}&limit=1&wait=0`);
      expect(answer.gap).toBe(false);
      rest.push(...entries(answer));
      ({ next } = answer);
    }
    expect(rest).toEqual(["a=new", "b=newer"]);
  },
);

test("a page is not empty where more of what is asked for is there: the rest of the state may all have changed", async () => {
  await start({ channels: { prices: { history: KEYED } } });
  await fill("prices");
  const { next } = await page("/channels/prices/messages?after=state&limit=2");
  await publish("prices", "b", "newer");
  expect(entries(await page(`/channels/prices/messages?after=${next}`))).toEqual(["b=newer"]);
});

test.each([
  "/channels/prices/messages?",
  "/channels/prices?wait=0&",
  "/channels?channel=prices&transport=long-poll&wait=0&",
])("GET %s gives the state to who reads more slowly than history is kept", async (path) => {
  await start({ channels: { prices: { history: KEYED } } });
  for (const key of ["a", "b", "c", "d"]) await publish("prices", key, 0);
  const map = new Map<string, unknown>();
  let next = "state";
  // More is published between two pages than history has room for, and each page has less.
  for (let n = 1; map.get("d") !== 12; n++) {
    const answer = await page(`${path}limit=1&after=${next}`);
    expect(answer.gap).toBe(false);
    for (const { key, data } of answer.messages) map.set(key!, data);
    ({ next } = answer);
    if (n > 3) continue;
    for (const key of ["a", "a", "b", "d"]) await publish("prices", key, n * 4);
  }
  expect([...map].toSorted()).toEqual([
    ["a", 12],
    ["b", 12],
    ["c", 0],
    ["d", 12],
  ]);
});

test("GET <channel>/messages/<id> finds what a state has that was built of a part of the history", async () => {
  const with_ = (latestByKey: boolean) => ({
    channels: { prices: { history: { ...KEYED, latestByKey } } },
  });
  await start(with_(false));
  const ids = await fill("prices");
  await server.become(with_(true));
  for (let n = 0; n < 3; n++) await publish("prices", "other", n);
  const response = await get(`/channels/prices/messages/${ids[3]}`);
  expect([response.status, await response.text()]).toEqual([200, "3"]);
  expect((await get(`/channels/prices/messages/${ids[2]}`)).status).toBe(404);
});

test("tidewire.v1 tells of no complete state where there is a gap in it", async () => {
  await start({ channels: { prices: { history: KEYED } } });
  const ids = await fill("prices");
  const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
  socket.send({ type: "subscribe", channel: "prices", after: "other-1~6" });
  const frames = [];
  for (let i = 0; i < 5; i++) frames.push(await socket.json());
  expect(frames.map(({ type }) => type)).toEqual([
    ...["subscribed", "gap", "message", "message", "message"],
  ]);
  expect(frames[4]).toMatchObject({ id: ids[5]! });
  expect(await socket.ask({ type: "unsubscribe", channel: "prices", ref: 2 })).toMatchObject({
    type: "unsubscribed",
  });
  socket.close();
});

test("a position within the state is good on another transport, and one of another epoch is a gap", async () => {
  await start({ channels: { prices: { history: { ...KEYED, size: 100 } } } });
  await fill("prices");
  const { next } = await page("/channels/prices/messages?after=state&limit=1");
  expect(next).toMatch(/^[0-9a-z]+-1~6$/);
  const socket = await TestSocket.open(
    `${server.urls.public}/channels/prices?after=${next}`,
    "tidewire.v1",
  );
  expect(await socket.json()).toMatchObject({ type: "subscribed", recovered: true });
  expect([await socket.json(), await socket.json()]).toMatchObject([{ key: "c" }, { key: "b" }]);
  socket.close();
  const merged = await get(`/channels?channel=prices&after=${next}&transport=long-poll`);
  expect(entries((await merged.json()) as Page)).toEqual(["c=3", "b=4"]);
  const other = await page(`/channels/prices?after=${next.replace(/^\w+/, "other")}`);
  expect([other.gap, other.messages.length]).toEqual([true, 6]);
  const ahead = await page(`/channels/prices?after=${next}9&wait=0`);
  expect([ahead.gap, ahead.messages.length]).toEqual([true, 0]);
});

test("SSE leaves the client with the id of where the state ends, not of its last message", async () => {
  await start({ channels: { prices: { history: KEYED } } });
  const ids = await fill("prices");
  const response = await get("/channels/prices?after=state", { accept: "text/event-stream" });
  let text = "";
  for await (const chunk of response.body!) {
    text += new TextDecoder().decode(chunk);
    if (text.includes(ids[5]!)) break;
  }
  const said = text.split("\n").filter((line) => /^(id|data): /.test(line));
  expect(said).toEqual([
    ...[`id: ${ids[0]}`, "data: 0", `id: ${ids[3]}`, "data: 3", `id: ${ids[4]}`, "data: 4"],
    `id: ${ids[5]}`,
  ]);
});

test("tidewire.v1 tells the keys, and with a state frame that the state is complete, and where", async () => {
  await start({ channels: { prices: { history: KEYED } } });
  const ids = await fill("prices");
  const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
  socket.send({ type: "subscribe", channel: "prices", after: "state", ref: 1 });
  const frames = [];
  for (let i = 0; i < 5; i++) frames.push(await socket.json());
  expect(frames).toMatchObject([
    { type: "subscribed", channel: "prices", recovered: false, ref: 1 },
    { type: "message", id: ids[0]!, key: "a", data: 0 },
    { type: "message", id: ids[3]!, key: "c", data: 3 },
    { type: "message", id: ids[4]!, key: "b", data: 4 },
    { type: "state", channel: "prices", id: ids[5]! },
  ]);
  socket.send({ type: "publish", channel: "prices", key: "a", data: null });
  expect(await socket.json()).toMatchObject({ type: "message", key: "a", data: null });
  socket.close();
});

test("a stream of many channels takes after=state for those that keep one, and pages through it", async () => {
  const channels = { prices: { history: KEYED }, alerts: { history: KEYED }, chat: {} };
  await start({ channels });
  await fill("prices");
  await fill("alerts");
  await publish("chat", "k", "before");
  const path = "/channels?channel=prices&channel=chat&channel=alerts&transport=long-poll&limit=2";
  const got: string[] = [];
  let next = "state";
  for (let polls = 0; polls < 3; polls++) {
    const answer = await page(`${path}&after=${next}`);
    got.push(
      ...(answer.messages as { channel?: string; data: unknown }[]).map(
        (m) => `${m.channel} ${m.data}`,
      ),
    );
    expect(answer.gap).toBe(false);
    ({ next } = answer);
  }
  expect(got.filter((each) => each.startsWith("prices"))).toEqual([
    "prices 0",
    "prices 3",
    "prices 4",
  ]);
  expect(got.filter((each) => each.startsWith("alerts"))).toEqual([
    "alerts 0",
    "alerts 3",
    "alerts 4",
  ]);
  await publish("chat", "k", "after");
  expect(entries(await page(`${path}&after=${next}`))).toEqual(["k=after"]);
});

test("after=state where none is kept is 400 no-state on every transport, and says what to write", async () => {
  const http2Push = { listen: { hostname: "127.0.0.1", port: 0 }, tls: null };
  await start({ channels: { chat: {}, prices: { history: KEYED } }, server: { http2Push } });
  const problem = {
    type: "urn:tidewire:problem:no-state",
    status: 400,
    detail: `after is "state", but channel "chat" keeps none; its config may say "history: { latest_by_key: true }", or ask for after=earliest`,
  };
  for (const path of [
    "/channels/chat?after=state&transport=long-poll",
    "/channels/chat?after=state&transport=sse",
    "/channels/chat?after=state&transport=http2-push",
    "/channels/chat/messages?after=state",
    "/channels?channel=chat&after=state&transport=sse",
    "/channels?channel=chat&after=state&transport=long-poll",
    "/channels?channel=prices&channel=chat&after=state&after=state&transport=sse",
    "/channels?channel=prices&channel=chat&after=state&after=state&transport=long-poll",
  ]) {
    const response = await get(path);
    expect([path, response.status]).toEqual([path, 400]);
    expect(await response.json()).toMatchObject(problem);
  }
  const upgrade = await get("/channels/chat?after=state", {
    ...{ upgrade: "websocket", connection: "upgrade", "sec-websocket-version": "13" },
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  });
  expect(upgrade.status).toBe(400);
  const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
  const error = await socket.ask({ type: "subscribe", channel: "chat", after: "state", ref: 1 });
  expect(error).toEqual({ type: "error", ref: 1, code: "no-state", message: problem.detail });
  // Nothing is left of the attempt.
  const subscribed = await socket.ask({ type: "subscribe", channel: "chat", ref: 2 });
  expect(subscribed).toMatchObject({ type: "subscribed", ref: 2 });
  socket.close();
});

test("a message that only the state has is found by its URL, with its key", async () => {
  await start({ channels: { prices: { history: KEYED } } });
  const id = await publish("prices", "k 世", { price: 1 });
  const replaced = await publish("prices", "b", 0);
  for (let i = 0; i < 5; i++) await publish("prices", "b", i);
  const response = await get(`/channels/prices/messages/${id}`);
  expect([response.status, await response.text()]).toEqual([200, '{"price":1}']);
  expect(response.headers.get("tidewire-key")).toBe("k%20%E4%B8%96");
  expect((await get(`/channels/prices/messages/${replaced}`)).status).toBe(404);
});

test("raw long-poll tells by a header which key a null deletes", async () => {
  await start({ channels: { prices: { history: KEYED } } });
  const first = await publish("prices", "a", 1);
  await publish("prices", "a", null);
  const response = await get(`/channels/prices?after=${first}`);
  expect([await response.text(), response.headers.get("tidewire-key")]).toEqual(["null", "a"]);
});

test("GET /channels tells how many keys the state has, and what it may have", async () => {
  const prices = { history: { ...KEYED, maxKeys: 9 } };
  await start({ channels: { prices, chat: {} }, control: CONTROL });
  await fill("prices");
  const response = await fetch(`${server.urls.control}/channels`);
  const { channels } = (await response.json()) as { channels: { history: object }[] };
  expect(channels.map(({ history }) => history)).toMatchObject([
    { count: 3, state: { keys: 3, bytes: 3 }, latestByKey: true, maxKeys: 9 },
    { count: 0 },
  ]);
  expect(channels[1]!.history).not.toHaveProperty("state");
});

test("a pattern's channel in memory is not let go of as long as it has keys", async () => {
  await start({ channels: { "room/{name}": { history: KEYED } } });
  await publish("room/a", "k", 1);
  await publish("room/b", "k", 1);
  await publish("room/b", "k", null);
  await server.channels.sweep(Date.now() + 700_000);
  expect([...server.channels.live].map(({ name }) => name)).toEqual(["room/a"]);
  expect(entries(await page("/channels/room/a/messages?after=state"))).toEqual(["k=1"]);
  expect(entries(await page("/channels/room/b/messages?after=state"))).toEqual([]);
});

test("a reload turns it on with what the history holds, and off, which a snapshot is told of", async () => {
  const with_ = (latestByKey: boolean) => ({
    channels: { prices: { history: { ...KEYED, latestByKey } } },
  });
  await start(with_(false));
  await fill("prices");
  expect((await get("/channels/prices/messages?after=state")).status).toBe(400);
  await server.become(with_(true));
  expect(entries(await page("/channels/prices/messages?after=state"))).toEqual(["c=3", "b=4"]);
  await publish("prices", "d", 6);
  const first = await page("/channels/prices?after=state&limit=1");
  expect(entries(first)).toEqual(["c=3"]);
  await publish("prices", "e", 7);
  await publish("prices", "f", 8);
  await server.become(with_(false));
  const response = await get("/channels/prices?after=state&transport=sse");
  expect(await response.json()).toMatchObject({ type: "urn:tidewire:problem:no-state" });
  const rest = await page(`/channels/prices?after=${first.next}`);
  expect(rest.gap).toBe(true);
  expect(entries(rest)).toEqual(["d=6", "e=7", "f=8"]);
});
