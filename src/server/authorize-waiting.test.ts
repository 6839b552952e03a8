/** What `authorize` costs while it takes its time, who it must not lock out, and plugins that are reloaded. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Config } from "../config/config.ts";
import { definePlugin, type Plugin } from "../plugin/sdk.ts";
import { Sources } from "../plugin/source-text.ts";
import {
  server,
  start,
  CHANNEL,
  url,
  as,
  get,
  post,
  expectForbidden,
  gated,
  UPGRADE,
  byToken,
  use,
} from "./authorize-testing.ts";
import { connectTcp, rawGet } from "./raw-http-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, testConfig } from "./testing.ts";
import { until } from "./until-testing.ts";

afterEach(() => server.stop());

describe("limits.channels", () => {
  test("is not used up by those who are denied, also where the channel's own source publishes", async () => {
    let published = 0;
    const source = async function* () {
      yield { data: ++published };
    };
    await start(byToken, { limits: { channels: 2 }, hooks: { source } });
    for (let i = 1; i <= 6; i++) {
      await expectForbidden(await get(`/channels/room/${i}?wait=0`));
      await until(() => published >= i);
    }
    expect((await get("/channels/room/mine?after=earliest", as("reader"))).status).toBe(200);
    for (let i = 1; i <= 6; i++) await expectForbidden(await get(`/channels/room/${i}?wait=0`));
    // Who was let in may come back to what was published.
    expect(server.channels.peek("room/mine")).not.toBeNull();
  });

  test("is not used up by those who wait for a verdict", async () => {
    const { authorize, calls, asked } = gated();
    await start((request) => (request.query.has("slow") ? authorize(request) : byToken(request)), {
      limits: { channels: 2 },
    });
    const slow = ["1", "2"].map((name) => get(`/channels/room/${name}?wait=0&slow`));
    await asked(2);
    expect((await get("/channels/room/3?wait=0", as("reader"))).status).toBe(204);
    expect((await get("/channels/room/4?wait=0", as("reader"))).status).toBe(204);
    expect(server.channels.peek("room/1")).toBeNull();
    // Its channel is opened again, and its new plugins are asked.
    for (const { answer } of calls.splice(0)) answer("allow");
    await asked(2);
    for (const { answer } of calls) answer("allow");
    const statuses = (await Promise.all(slow)).map(({ status }) => status);
    expect(statuses).toEqual([204, 204]);
  });
});

describe("while a verdict is awaited", () => {
  test("a client that leaves is not taken for one that came", async () => {
    const { authorize, calls, asked } = gated();
    const record = await start(authorize);
    const requests = [
      rawGet(CHANNEL, "Accept: text/event-stream\r\n"),
      rawGet(CHANNEL),
      rawGet(CHANNEL, UPGRADE),
    ];
    for (const [index, request] of requests.entries()) {
      const socket = await connectTcp(url(), request);
      await asked(index + 1);
      expect(server.connections).toBe(1);
      socket.end();
      // The server has read the end of the connection when it answers a later one.
      await get("/channels/open?wait=0");
      calls[index]!.answer("allow");
      await until(() => server.connections === 0);
    }
    expect(record.joined).toEqual([]);
    expect(server.channels.peek("room/a")!.held).toBe(0);
  });

  test("a client of a socket for many may leave", async () => {
    const { authorize, calls, asked } = gated();
    const record = await start(authorize);
    const socket = await TestSocket.open(url("/channels"), "tidewire.v1");
    socket.send({ type: "subscribe", channel: "room/a" });
    await asked(1);
    socket.close();
    await until(() => server.connections === 0);
    calls[0]!.answer("allow");
    await get("/channels/open?wait=0");
    expect([record.joined, server.channels.peek("room/a")!.held]).toEqual([[], 0]);
  });

  test("the server stops: the client is told at once, and is not let in", async () => {
    const { authorize, calls, asked } = gated();
    const record = await start(authorize);
    const waits = get(CHANNEL, { accept: "text/event-stream" });
    await asked(1);
    const stopped = server.stop();
    const refused = await waits;
    expect([refused.status, ((await refused.json()) as { type: string }).type]).toEqual([
      503,
      "urn:tidewire:problem:stopping",
    ]);
    calls[0]!.answer("allow");
    await stopped;
    expect(record.joined).toEqual([]);
  });

  test("a subscriber counts as a connection, and further ones are refused with 503", async () => {
    const { authorize, calls, asked } = gated();
    await start(authorize, { limits: { connections: 2 } });
    const waits = [1, 2].map(() => get(`${CHANNEL}?wait=0`));
    await asked(2);
    expect(server.connections).toBe(2);
    const refused = await get(`${CHANNEL}?wait=0`);
    expect([refused.status, ((await refused.json()) as { type: string }).type]).toEqual([
      503,
      "urn:tidewire:problem:too-many-connections",
    ]);
    // Publishers hold no connection, but no more of them than that may wait.
    const overloaded = await post("1");
    expect([overloaded.status, overloaded.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(calls).toHaveLength(2);
    for (const { answer } of calls) answer("allow");
    expect((await Promise.all(waits)).map(({ status }) => status)).toEqual([204, 204]);
    expect(server.connections).toBe(0);
  });

  test("a POST whose body comes later is asked for once, before it", async () => {
    const { authorize, calls, asked } = gated();
    await start(authorize);
    const body = new TransformStream<Uint8Array, Uint8Array>();
    const writer = body.writable.getWriter();
    const answer = fetch(url(), {
      method: "POST",
      body: body.readable,
      headers: { "content-type": "text/plain" },
    });
    await asked(1);
    calls[0]!.answer("allow");
    await writer.write(new TextEncoder().encode("hello"));
    await writer.close();
    expect((await answer).status).toBe(201);
    expect(calls).toHaveLength(1);
  });
});

describe("a reload of the plugins", () => {
  test("has the next frame and the next subscription of an open socket asked for anew", async () => {
    const record = await start(() => "allow");
    const socket = await TestSocket.open(url("/channels"), "tidewire.v1");
    const publish = () =>
      socket.ask({ type: "publish", channel: "room/a", data: 1, ref: "published" });
    const subscribe = () => socket.ask({ type: "subscribe", channel: "room/a", ref: "subscribed" });
    expect((await publish())["type"]).toBe("ack");
    expect((await publish())["type"]).toBe("ack");
    expect((await subscribe())["type"]).toBe("subscribed");
    await socket.ask({ type: "unsubscribe", channel: "room/a" });
    expect((await subscribe())["type"]).toBe("subscribed");
    await socket.ask({ type: "unsubscribe", channel: "room/a" });
    expect(record.asked.map(({ action }) => action)).toEqual(["publish", "subscribe"]);

    const strict = definePlugin({ name: "strict", setup: () => ({ authorize: () => "deny" }) });
    const config = testConfig({
      channels: { "room/{name}": { publish: "authorized", plugins: [strict] } },
    });
    await reload(config, strict);
    expect(await publish()).toMatchObject({ code: "forbidden", ref: "published" });
    expect(await subscribe()).toMatchObject({ code: "forbidden", ref: "subscribed" });
    socket.close();
  });

  test("has the next subscription of a socket on the channel's own URL asked for anew too", async () => {
    await start(() => "allow");
    const socket = await TestSocket.open(url(), "tidewire.v1");
    expect(await socket.json()).toMatchObject({ type: "subscribed" });
    await socket.ask({ type: "unsubscribe", channel: "room/a" });
    const strict = definePlugin({ name: "strict", setup: () => ({ authorize: () => "deny" }) });
    const config = testConfig({
      channels: { "room/{name}": { publish: "authorized", plugins: [strict] } },
    });
    await reload(config, strict);
    const again = { type: "subscribe", channel: "room/a", after: "earliest" };
    expect(await socket.ask(again)).toMatchObject({ code: "forbidden" });
    socket.close();
  });

  test("has new plugins asked where the old ones were still asked, and ended over it", async () => {
    const { calls, authorize, asked } = gated();
    await start((request) => (request.action === "subscribe" ? "allow" : authorize(request)));
    const socket = await TestSocket.open(url());
    socket.send("hello");
    await asked(1);
    const next = definePlugin({ name: "next", setup: () => ({ authorize: () => "allow" }) });
    const config = testConfig({
      channels: { "room/{name}": { publish: "authorized", plugins: [next] } },
    });
    await reload(config, next);
    calls[0]!.answer(true as never);
    expect(await socket.next()).toBe("hello");
    socket.close();
  });
});

test("a channel that takes nothing from clients any more takes nothing that was asked for before", async () => {
  const { calls, authorize, asked } = gated();
  const guard = definePlugin({
    name: "guard",
    setup: () => ({
      authorize: (request) => (request.action === "subscribe" ? "allow" : authorize(request)),
    }),
  });
  const declare = (publish: "authorized" | "nobody") => ({
    channels: { "room/{name}": { publish, plugins: [guard] } },
  });
  const started = await startTestServer(declare("authorized"));
  use(started);
  const socket = await TestSocket.open(url());
  socket.send("hello");
  await asked(1);
  await started.become(declare("nobody"));
  calls[0]!.answer("allow");
  expect(await socket.next()).toMatchObject({ code: 4003 });
  expect(started.channels.peek("room/a")!.channel.published).toBe(0);
});

async function reload(config: Config, plugin: Plugin): Promise<void> {
  const use = `${plugin.name}#0`;
  const loaded = { use, file: null, plugin, sources: Sources.none };
  await server.channels.reload(config, new Map([[use, loaded]]), () => {});
}

test("who comes back to a channel that was let go of meanwhile gets what its next life has", async () => {
  await start(() => "allow");
  const socket = await TestSocket.open(url(), "tidewire.v1");
  expect(await socket.json()).toMatchObject({ type: "subscribed" });
  await socket.ask({ type: "unsubscribe", channel: "room/a" });
  await server.channels.sweep(Date.now() + 3_600_000);
  expect(server.channels.peek("room/a")).toBeNull();
  expect(await socket.ask({ type: "publish", channel: "room/a", data: 1, ref: 1 })).toMatchObject({
    type: "ack",
  });
  expect(await socket.ask({ type: "subscribe", channel: "room/a" })).toMatchObject({
    type: "subscribed",
  });
  expect((await post("2")).status).toBe(201);
  expect(await socket.json()).toMatchObject({ type: "message", data: 2 });
  socket.close();
});
