/** What a plugin's hooks see of clients, and what clients see of hooks, over every way to connect. */
import { afterEach, describe, expect, test } from "bun:test";
import { definePlugin, type Client, type Hooks } from "../plugin/sdk.ts";
import { connectTcp } from "./raw-http-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestChannel, type TestServer } from "./testing.ts";

let server: TestServer;
afterEach(() => server.stop());

/** A server with one pattern channel, whose plugin has these hooks. */
async function start(hooks: Hooks, channel: TestChannel = {}): Promise<TestServer> {
  const plugin = definePlugin({ name: "test", setup: () => hooks });
  return (server = await startTestServer({
    channels: { "room/{name}": { ...channel, plugins: [plugin] } },
  }));
}

function post(body: string, type = "application/json"): Promise<Response> {
  return fetch(`${server.urls.public}/channels/room/a`, {
    method: "POST",
    body,
    headers: { "content-type": type },
  });
}

/** An event stream, read until it holds what is awaited. */
async function openStream(path = "/channels/room/a") {
  const stop = new AbortController();
  const response = await fetch(server.urls.public + path, {
    headers: { accept: "text/event-stream" },
    signal: stop.signal,
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    async until(part: string): Promise<string> {
      while (!text.includes(part)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`the stream ended: ${text}`);
        text += value;
      }
      return text;
    },
    async end(): Promise<string> {
      for (let item = await reader.read(); !item.done; item = await reader.read())
        text += item.value;
      return text;
    },
    close: () => stop.abort(),
  };
}

const answering: Hooks = {
  receive(data, client) {
    if (data === "swallow") return null;
    if (typeof data === "object" && data !== null && "ask" in data) {
      client.send({ answer: (data as { ask: unknown }).ask, via: client.transport });
      return null;
    }
    return { data: [data, client.transport] };
  },
};

describe("receive", () => {
  test("takes a POST: publishes what it returns, answers what it sends, swallows the rest", async () => {
    await start(answering, { publish: "nobody" });
    const published = await post("1");
    expect(published.status).toBe(201);
    const location = server.urls.public + published.headers.get("location")!;
    expect(await (await fetch(location)).json()).toEqual([1, "post"]);
    const answered = await post('{"ask":7}');
    expect([answered.status, await answered.json()]).toEqual([200, { answer: 7, via: "post" }]);
    const swallowed = await post('"swallow"');
    expect([swallowed.status, await swallowed.json()]).toEqual([202, { id: null }]);
  });

  test("answers a POST with text, bytes, or several things", async () => {
    await start({
      receive(data, client) {
        if (data === "text") client.send("<b>text");
        if (data === "bytes") client.send(new Uint8Array([1, 255]));
        if (data === "many") [1, "two"].forEach((item) => client.send(item));
        return null;
      },
    });
    const text = await post('"text"');
    expect(text.headers.get("content-type")).toStartWith("text/plain");
    expect(await text.text()).toBe("<b>text");
    expect(await (await post('"bytes"')).bytes()).toEqual(new Uint8Array([1, 255]));
    expect(await (await post('"many"')).json()).toEqual([1, "two"]);
  });

  test("takes each line of NDJSON; what they come to is published together or not at all", async () => {
    await start({
      receive(data) {
        if (data === "bad") throw new Error("bad line");
        return { data };
      },
    });
    expect((await post("1\n2\n3", "application/x-ndjson")).status).toBe(201);
    const failed = await post('4\n"bad"', "application/x-ndjson");
    expect(failed.status).toBe(500);
    expect(await failed.json()).toMatchObject({
      type: "urn:tidewire:problem:plugin-failed",
      detail: "a plugin of the channel failed at this message; the server's log says why",
    });
    expect(server.channels.peek("room/a")!.channel.published).toBe(3);
  });

  test("answers a raw WebSocket, and it alone", async () => {
    await start(answering, { publish: "nobody" });
    const asks = await TestSocket.open(`${server.urls.public}/channels/room/a`);
    const hears = await TestSocket.open(`${server.urls.public}/channels/room/a`);
    asks.send({ ask: 1 });
    expect(await asks.json()).toEqual({ answer: 1, via: "websocket" });
    asks.send("hello");
    expect(await asks.next()).toBe('["hello","websocket"]');
    // The answer would have come first.
    expect(await hears.next()).toBe('["hello","websocket"]');
    asks.close();
    hears.close();
  });

  test("answers a tidewire.v1 socket, subscribed to the channel or not", async () => {
    await start(answering, { publish: "nobody" });
    const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
    const channel = "room/a";
    const answer = { type: "message", channel, data: { answer: 1, via: "websocket" } };
    expect(await socket.ask({ type: "publish", channel, data: { ask: 1 }, ref: 1 })).toEqual(
      answer,
    );
    expect(await socket.json()).toEqual({ type: "ack", ref: 1, id: null });
    await socket.ask({ type: "subscribe", channel });
    expect(await socket.ask({ type: "publish", channel, data: { ask: 1 }, ref: 2 })).toEqual(
      answer,
    );
    socket.close();
  });

  test("keeps the frames of one socket in order, whatever it waits for", async () => {
    const waits = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await start({
      async receive(data) {
        await waits[data as number]?.promise;
        return { data };
      },
    });
    const socket = await TestSocket.open(`${server.urls.public}/channels/room/a`, "tidewire.v1");
    await socket.json();
    for (const data of [0, 1, 2]) socket.send({ type: "publish", data });
    waits[1]!.resolve();
    waits[0]!.resolve();
    for (const data of [0, 1, 2]) expect(await socket.json()).toMatchObject({ data });
    socket.close();
  });
});

describe("client.send", () => {
  test("reaches SSE as an event without an id", async () => {
    await start({ joined: (client) => client.send({ hello: client.transport }, { event: "hi" }) });
    const stream = await openStream();
    expect(await stream.until("hello")).toContain('event: hi\ndata: {"hello":"sse"}\n\n');
    stream.close();
  });

  test("refuses an event name that would write fields of its own", async () => {
    const errors: unknown[] = [];
    await start({
      joined(client) {
        for (const event of ["a\ndata: forged", "a\rid: 7", "tidewire:gap"]) {
          try {
            client.send("x", { event });
          } catch (error) {
            errors.push((error as Error).message);
          }
        }
        client.send("end");
      },
    });
    const stream = await openStream();
    expect(await stream.until("data: end")).not.toContain("forged");
    expect(errors).toEqual([
      "event has the control character U+000A at index 1",
      "event has the control character U+000D at index 1",
      'event "tidewire:gap" starts with "tidewire:", which is reserved',
    ]);
    stream.close();
  });
});

describe("joined and left", () => {
  /** Hooks that keep a record; `left(n)` resolves when n clients have left. */
  function record() {
    const events: string[] = [];
    let onEvent = () => {};
    const note = (what: string) => (client: Client) => {
      events.push(`${what} ${client.transport} ${client.id}`);
      onEvent();
    };
    const until = async (count: number) => {
      while (events.length < count) {
        const next = Promise.withResolvers<void>();
        onEvent = next.resolve;
        await next.promise;
      }
      return events;
    };
    return { hooks: { joined: note("joined"), left: note("left") }, events, until };
  }

  test("are each called once for a WebSocket, raw or with frames", async () => {
    const { hooks, until, events } = record();
    await start(hooks);
    for (const protocol of [undefined, "tidewire.v1"] as const) {
      events.length = 0;
      const socket = await TestSocket.open(`${server.urls.public}/channels/room/a`, protocol);
      await until(1);
      socket.close();
      const [joined, left] = await until(2);
      expect(joined).toMatch(/^joined websocket \w+$/);
      expect(left).toBe(joined!.replace("joined", "left"));
    }
    expect(server.connections).toBe(0);
  });

  test("are each called once for each channel of a socket with many", async () => {
    const { hooks, until } = record();
    await start(hooks);
    const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
    await socket.ask({ type: "subscribe", channel: "room/a" });
    await socket.ask({ type: "subscribe", channel: "room/b" });
    // Refused, so nobody came.
    await socket.ask({ type: "subscribe", channel: "room/b" });
    await socket.ask({ type: "unsubscribe", channel: "room/a" });
    // Publishing is not coming.
    await socket.ask({ type: "publish", channel: "room/c", data: 1, ref: 1 });
    expect(server.connections).toBe(1);
    socket.close();
    expect((await until(4)).map((event) => event.split(" ")[0]!)).toEqual([
      "joined",
      "joined",
      "left",
      "left",
    ]);
  });

  test("are each called once for SSE, and not for a poll or a POST", async () => {
    const { hooks, until, events } = record();
    await start(hooks);
    const stream = await openStream();
    await until(1);
    await post("1");
    await fetch(`${server.urls.public}/channels/room/a?after=earliest`);
    await fetch(`${server.urls.public}/channels/room/a?wait=0`);
    stream.close();
    await until(2);
    expect(events).toEqual([
      expect.stringMatching(/^joined sse/),
      expect.stringMatching(/^left sse/),
    ]);
    expect(server.connections).toBe(0);
  });

  test("may close the client at once, and nothing of it stays", async () => {
    const { hooks, until } = record();
    await start({
      ...hooks,
      joined(client) {
        hooks.joined(client);
        client.close(4403, "go away");
      },
    });
    expect(await (await openStream()).end()).not.toContain("id:");
    for (const protocol of [undefined, "tidewire.v1"] as const) {
      const socket = await TestSocket.open(`${server.urls.public}/channels/room/a`, protocol);
      expect(await socket.next()).toEqual({ code: 4403, reason: "go away" });
    }
    expect(await until(6)).toHaveLength(6);
    expect(server.connections).toBe(0);
    const live = server.channels.peek("room/a")!;
    expect([live.held, live.channel.fanOut.size]).toEqual([0, 0]);
  });

  test("forget a client that left while its channel was still being set up", async () => {
    const { hooks, events } = record();
    const setup = Promise.withResolvers<void>();
    const slow = definePlugin({
      name: "slow",
      async setup() {
        await setup.promise;
        return hooks;
      },
    });
    server = await startTestServer({ channels: { "room/{name}": { plugins: [slow] } } });
    const heads = ["Accept: text/event-stream\r\n", ""];
    const clients = await Promise.all(
      heads.map((head) =>
        connectTcp(server.urls.public, `GET /channels/room/a HTTP/1.1\r\nHost: a\r\n${head}\r\n`),
      ),
    );
    for (const client of clients) client.terminate();
    // Answered after the server has learnt that both are gone.
    await fetch(`${server.urls.public}/nothing`);
    setup.resolve();
    expect((await post("1")).status).toBe(201);
    expect(server.connections).toBe(0);
    expect(server.channels.peek("room/a")!.channel.fanOut.size).toBe(0);
    expect(events.filter((event) => event.startsWith("joined"))).toHaveLength(
      events.filter((event) => event.startsWith("left")).length,
    );
  });
});
