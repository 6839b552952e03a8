/** A POST to a channel with a `receive` hook: when the hook runs, and what its client is good for later. */
import { afterEach, expect, test } from "bun:test";
import { definePlugin, RefusedError, type Client } from "../plugin/sdk.ts";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
afterEach(() => server.stop());

test("a POST whose body comes slowly never reaches a plugin that is closed", async () => {
  const events: string[] = [];
  const plugin = definePlugin({
    name: "recording",
    setup() {
      let state = "open";
      return {
        receive(data) {
          events.push(`${String(data)} while ${state}`);
          return { data };
        },
        close: () => void (state = "closed"),
      };
    },
  });
  const history = { size: 10, ttlMs: 60_000 };
  server = await startTestServer({ channels: { "room/{name}": { plugins: [plugin], history } } });
  const { hostname, port } = new URL(server.urls.public);
  const answered = Promise.withResolvers<string>();
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: { data: (_, chunk) => answered.resolve(chunk.toString()) },
  });
  socket.write(
    "POST /channels/room/a HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nab",
  );
  await fetch(`${server.urls.public}/nothing`);
  await server.channels.sweep(Date.now() + 120_000);
  socket.write("cd");
  expect(await answered.promise).toStartWith("HTTP/1.1 201 ");
  expect(events).toEqual(["abcd while open"]);
  socket.terminate();
});

test("a channel that a receive hook works for is not let go of", async () => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const events: string[] = [];
  const plugin = definePlugin({
    name: "slow",
    setup: () => ({
      async receive(data) {
        begun.resolve();
        await gate.promise;
        events.push("received");
        return { data };
      },
      close: () => void events.push("closed"),
    }),
  });
  const history = { size: 10, ttlMs: 60_000 };
  server = await startTestServer({ channels: { "room/{name}": { plugins: [plugin], history } } });
  const post = fetch(`${server.urls.public}/channels/room/a`, { method: "POST", body: "x" });
  await begun.promise;
  await server.channels.sweep(Date.now() + 120_000);
  gate.resolve();
  expect((await post).status).toBe(201);
  expect(events).toEqual(["received"]);
  await server.channels.sweep(Date.now() + 120_000);
  expect(events).toEqual(["received", "closed"]);
});

test.each(["answered", "published", "failed"])(
  "what a plugin sends to a client whose POST was %s is not kept",
  async (outcome) => {
    const clients: Client[] = [];
    const plugin = definePlugin({
      name: "keeps-clients",
      setup: () => ({
        receive(data, client) {
          clients.push(client);
          if (outcome === "failed") throw new Error("as it should");
          if (outcome === "published") return { data };
          client.send("the answer");
          return null;
        },
      }),
    });
    server = await startTestServer({ channels: { echo: { plugins: [plugin] } } });
    const post = await fetch(`${server.urls.public}/channels/echo`, { method: "POST", body: "x" });
    expect(post.status).toBe({ answered: 200, published: 201, failed: 500 }[outcome]!);
    const sent = (() => {
      const data = { late: true };
      clients[0]!.send(data);
      clients[0]!.close();
      return new WeakRef(data);
    })();
    // A WeakRef holds its target until the end of the turn.
    await new Promise((resolve) => setTimeout(resolve, 0));
    Bun.gc(true);
    expect(sent.deref()).toBeUndefined();
    expect(clients.length).toBe(1);
  },
);

test("a hook gets the very text of a JSON body, which its sender may have signed", async () => {
  const plugin = definePlugin({
    name: "signed",
    setup: () => ({ receive: (data, _client, raw) => ({ data: { data, raw } }) }),
  });
  server = await startTestServer({ channels: { hooks: { plugins: [plugin] } } });
  const url = `${server.urls.public}/channels/hooks`;
  const body = ' { "id": 12345678901234567890.0 }\n';
  const headers = { "content-type": "application/json" };
  await fetch(url, { method: "POST", headers, body });
  const page = (await (await fetch(`${url}/messages?after=earliest`)).json()) as {
    messages: { data: { raw: string } }[];
  };
  expect(page.messages[0]!.data.raw).toBe(body);
});

test("what a hook refuses is told to its client, and logged as no failure", async () => {
  const plugin = definePlugin({
    name: "guard",
    setup: () => ({
      receive() {
        throw new RefusedError("the signature is wrong");
      },
    }),
  });
  server = await startTestServer({ channels: { hooks: { plugins: [plugin] } } });
  const url = `${server.urls.public}/channels/hooks`;
  const headers = { "content-type": "application/json" };
  const refused = await fetch(url, { method: "POST", headers, body: "{}" });
  expect(refused.status).toBe(403);
  expect(await refused.json()).toEqual({
    type: "urn:tidewire:problem:refused",
    title: "refused",
    status: 403,
    detail: "the signature is wrong",
  });
  const framed = new WebSocket(url.replace("http", "ws"), "tidewire.v1");
  const frames: Record<string, unknown>[] = [];
  const answered = Promise.withResolvers<void>();
  framed.onmessage = ({ data }) => {
    frames.push(JSON.parse(String(data)) as Record<string, unknown>);
    if (frames.at(-1)!["type"] === "error") answered.resolve();
  };
  framed.onopen = () =>
    framed.send(JSON.stringify({ type: "publish", channel: "hooks", data: 1, ref: 7 }));
  await answered.promise;
  expect(frames.at(-1)).toMatchObject({
    ref: 7,
    code: "refused",
    message: "the signature is wrong",
  });
  framed.close();
  const raw = new WebSocket(url.replace("http", "ws"));
  const closed = new Promise<CloseEvent>((resolve) => (raw.onclose = resolve));
  raw.onopen = () => raw.send("1");
  expect(await closed).toMatchObject({ code: 4003, reason: "the signature is wrong" });
  expect(server.logged.filter(({ level }) => level === "error")).toEqual([]);
});
