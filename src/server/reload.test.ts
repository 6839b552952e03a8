/** A reload: what changes takes hold in one turn, what does not is not touched, and nobody is dropped. */
import { afterEach, expect, test } from "bun:test";
import { definePlugin, type Client, type Plugin } from "../plugin/sdk.ts";
import { http2Push } from "../../test/transports/clients/http2-push.ts";
import type { TestClient } from "../../test/transports/clients/client.ts";
import {
  frameWebSocket,
  manyWebSocket,
  rawWebSocket,
} from "../../test/transports/clients/websocket.ts";
import { gated } from "./gated-testing.ts";
import type { LiveChannel } from "./live-channel.ts";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

let server: TestServer;
const clients: TestClient[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await server.stop();
});

const free = { hostname: "127.0.0.1", port: 0 };

async function publish(channel: string, data: unknown): Promise<Response> {
  return fetch(`${server.urls.public}/channels/${channel}`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: String(data),
  });
}

/** Resolves when the channel has other plugins than these, which may still be ending. */
async function untilReplaced(live: LiveChannel, plugins: unknown): Promise<void> {
  while (live.plugins === plugins) await new Promise((resolve) => setImmediate(resolve));
}

async function open(way: typeof rawWebSocket, channel: string): Promise<TestClient> {
  const url = way.transport === "http2-push" ? server.urls.http2Push! : server.urls.public;
  const client = await way.open({ url, channel });
  clients.push(client);
  return client;
}

/** Adds its mark to every message, and writes down what happens to it. */
function marking(mark: string, events: string[] = []): Plugin {
  return definePlugin({
    name: "marking",
    setup({ channel }) {
      events.push(`setup ${mark} ${channel.name}`);
      return {
        transform: (draft) => ({ ...draft, data: `${mark}${String(draft.data)}` }),
        joined: (client: Client) => void events.push(`joined ${mark} ${client.transport}`),
        left: (client: Client) => void events.push(`left ${mark} ${client.transport}`),
        close: () => void events.push(`close ${mark} ${channel.name}`),
      };
    },
  }) as Plugin;
}

const text = (item: unknown) => (item as { text: string }).text;

test("a channel that changed has its new plugins; its clients stay and its positions go on", async () => {
  const events: string[] = [];
  server = await startTestServer({ channels: { prices: { plugins: [marking("a", events)] } } });
  const client = await open(rawWebSocket, "prices");
  const first = (await (await publish("prices", 1)).json()) as { id: string };
  const changes = await server.become({
    channels: { prices: { plugins: [marking("b", events)] } },
  });
  expect(changes).toEqual({
    added: [],
    removed: [],
    changed: ["prices"],
    unchanged: 0,
    needsRestart: [],
  });
  const second = (await (await publish("prices", 2)).json()) as { id: string };
  expect([text(await client.next()), text(await client.next())]).toEqual(["a1", "b2"]);
  expect(second.id).toBe(first.id.replace(/-1$/, "-2"));
  expect(events).toEqual([
    "setup a prices",
    "joined a websocket",
    "setup b prices",
    "joined b websocket",
    "close a prices",
  ]);
});

test("what did not change is not touched", async () => {
  const events: string[] = [];
  const plugins = [marking("a", events)];
  server = await startTestServer({ channels: { same: { plugins }, other: {} } });
  const live = server.channels.peek("same")!;
  const { plugins: runtime } = live;
  const changes = await server.become({
    channels: { same: { plugins }, other: { publish: "nobody" } },
  });
  expect(changes).toMatchObject({ changed: ["other"], unchanged: 1 });
  expect(server.channels.peek("same")).toBe(live);
  expect(live.plugins).toBe(runtime);
  expect(events).toEqual(["setup a same"]);
});

test("a change of path, schema, history or publish leaves the plugins at work", async () => {
  const events: string[] = [];
  const plugins = [marking("a", events)];
  const channel = { plugins, publish: "clients", schema: null } as const;
  server = await startTestServer({
    channels: { prices: { ...channel, history: { size: 10, ttlMs: 1e6 } } },
  });
  for (let i = 0; i < 5; i++) await publish("prices", i);
  const client = await open(rawWebSocket, "prices");
  await server.become({
    channels: {
      prices: {
        ...channel,
        path: "/elsewhere",
        schema: { type: "string" },
        history: { size: 2, ttlMs: 1e6 },
        transports: ["sse"],
      },
    },
  });
  expect(events).toEqual(["setup a prices", "joined a websocket"]);
  expect(server.channels.peek("prices")!.channel.log.stat().count).toBe(2);
  const { public: url } = server.urls;
  expect((await publish("prices", "x")).status).toBe(404);
  const post = (body: string) =>
    fetch(`${url}/elsewhere`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
  expect((await post(`"x"`)).status).toBe(201);
  // It came by a path and a transport that are not there any more, and stays.
  expect(text(await client.next())).toBe('"ax"');
  expect((await post("5")).status).toBe(422);
  expect((await fetch(`${url}/elsewhere?transport=long-poll`)).status).toBe(406);
});

test("channels that are new are served, and their sources run", async () => {
  const source = definePlugin({
    name: "source",
    setup: () => ({
      async *source() {
        yield { data: "from the source" };
      },
    }),
  });
  server = await startTestServer({ channels: { a: {} } });
  const changes = await server.become({ channels: { a: {}, b: { plugins: [source] } } });
  expect(changes).toMatchObject({ added: ["b"], unchanged: 1 });
  const answer = await fetch(`${server.urls.public}/channels/b?after=earliest`);
  expect(await answer.text()).toBe("from the source");
});

test("a channel that is gone ends its clients with a reason, after all that was published to it", async () => {
  server = await startTestServer({
    channels: { gone: {}, "room/{name}": {}, stays: {} },
    server: { http2Push: { listen: free, tls: null } },
  });
  const raw = await open(rawWebSocket, "gone");
  const framed = await open(frameWebSocket, "gone");
  const pushed = await open(http2Push, "gone");
  const events = await fetch(`${server.urls.public}/channels/gone`, {
    headers: { accept: "text/event-stream" },
  });
  const many = new WebSocket(`${server.urls.public.replace("http", "ws")}/channels`, "tidewire.v1");
  const frames: Record<string, unknown>[] = [];
  let wake = () => {};
  many.onmessage = ({ data }) => {
    frames.push(JSON.parse(String(data)) as Record<string, unknown>);
    wake();
  };
  const frame = async (test: (frame: Record<string, unknown>) => boolean) => {
    for (;;) {
      const found = frames.find(test);
      if (found) return found;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  await new Promise((resolve) => (many.onopen = resolve));
  for (const channel of ["gone", "room/a", "stays"]) {
    many.send(JSON.stringify({ type: "subscribe", channel }));
    await frame(({ type, channel: of }) => type === "subscribed" && of === channel);
  }
  const poll = fetch(`${server.urls.public}/channels/room/a?transport=long-poll`);
  while (server.channels.peek("room/a")!.held < 2)
    await new Promise((resolve) => setImmediate(resolve));

  const last = publish("gone", "last");
  await last;
  const changes = await server.become({
    channels: { stays: {} },
    server: { http2Push: { listen: free, tls: null } },
  });
  expect(changes).toMatchObject({ removed: ["gone", "room/{name}"], unchanged: 1 });
  expect(text(await raw.next())).toBe("last");
  expect(await raw.next()).toEqual({ type: "end", code: 4004 });
  expect(text(await framed.next())).toBe("last");
  expect(await framed.next()).toEqual({ type: "end", code: 4004 });
  expect(text(await pushed.next())).toBe("last");
  expect(await pushed.next()).toEqual({ type: "end", code: 4004 });
  const stream = await events.text();
  expect(stream).toContain("data: last");
  expect(stream).toEndWith(
    'event: tidewire:gone\ndata: {"channel":"gone","reason":"this channel is no longer there: the config was changed"}\n\n',
  );
  expect((await poll).status).toBe(410);
  await frame(
    ({ type, channel, code }) => type === "error" && channel === "gone" && code === "channel-gone",
  );
  await frame(
    ({ type, channel, code }) =>
      type === "error" && channel === "room/a" && code === "channel-gone",
  );
  // The socket goes on with its other channel.
  await publish("stays", "here");
  await frame(({ type, channel }) => type === "message" && channel === "stays");
  many.send(JSON.stringify({ type: "subscribe", channel: "gone", ref: 9 }));
  expect(await frame(({ ref }) => ref === 9)).toMatchObject({
    type: "error",
    code: "unknown-channel",
  });
  expect((await publish("gone", 1)).status).toBe(404);
  many.close();
});

test("a reload that fails leaves all as it was, and closes what it had set up", async () => {
  const events: string[] = [];
  const broken = definePlugin({
    name: "broken",
    setup() {
      throw new Error("no upstream");
    },
  });
  const before: TestConfig = { channels: { a: { plugins: [marking("a", events)] }, b: {} } };
  server = await startTestServer(before);
  const client = await open(rawWebSocket, "a");
  const failed = server.become({
    channels: {
      a: { plugins: [marking("new", events)] },
      b: { plugins: [broken] },
      c: {},
    },
  });
  await expect(failed).rejects.toThrow("no upstream");
  await publish("a", 1);
  expect(text(await client.next())).toBe("a1");
  expect((await publish("c", 1)).status).toBe(404);
  expect(events).toEqual(["setup a a", "joined a websocket", "setup new a", "close new a"]);
  // And the next one works.
  await server.become({ channels: { a: { plugins: [marking("b", events)] }, b: {} } });
  await publish("a", 2);
  expect(text(await client.next())).toBe("b2");
});

test("drafts under way in the old plugins are committed before any of the new", async () => {
  const slow = gated("slow", (draft) => ({ ...draft, data: `old ${String(draft.data)}` }));
  server = await startTestServer({ channels: { a: { plugins: [slow.plugin] } } });
  const client = await open(rawWebSocket, "a");
  const live = server.channels.peek("a")!;
  const { plugins } = live;
  const old = [live.publish([{ data: 1 }]), live.publish([{ data: 2 }])];
  await slow.begun;
  const settled = server.become({ channels: { a: {} } });
  await untilReplaced(live, plugins);
  const later = live.publish([{ data: "new" }]);
  slow.open();
  await settled;
  await Promise.all([...old, later]);
  const got = [await client.next(), await client.next(), await client.next()].map(text);
  expect(got).toEqual(["old 1", "old 2", "new"]);
});

test("what the old plugins emit when they are closed comes before anything of the new", async () => {
  const gate = Promise.withResolvers<void>();
  const holding = definePlugin({
    name: "holding",
    setup({ emit }) {
      let held: unknown = null;
      return {
        transform(draft) {
          held = draft.data;
          return null;
        },
        async close() {
          await gate.promise;
          emit({ data: `held ${String(held)}` });
        },
      };
    },
  });
  server = await startTestServer({ channels: { a: { plugins: [holding as Plugin] } } });
  const client = await open(rawWebSocket, "a");
  await publish("a", 1);
  const live = server.channels.peek("a")!;
  const { plugins } = live;
  const reloaded = server.become({ channels: { a: { plugins: [marking("new ")] } } });
  await untilReplaced(live, plugins);
  const later = live.publish([{ data: 2 }]);
  gate.resolve();
  await Promise.all([reloaded, later]);
  expect([text(await client.next()), text(await client.next())]).toEqual(["held 1", "new 2"]);
});

test("each message goes to the sinks of the plugins that it went through, and to no other", async () => {
  const seen: string[] = [];
  const sinking = (mark: string) =>
    definePlugin({
      name: "sinking",
      setup: () => ({
        sink: (messages) =>
          void seen.push(...messages.map(({ data }) => `${mark}:${String(data)}`)),
      }),
    }) as Plugin;
  server = await startTestServer({ channels: { a: { plugins: [sinking("old")] } } });
  await publish("a", 1);
  await server.become({ channels: { a: { plugins: [sinking("new")] } } });
  await publish("a", 2);
  await server.stop();
  expect(seen).toEqual(["old:1", "new:2"]);
});

test("sources of the new plugins start when the old ones have ended", async () => {
  const events: string[] = [];
  const sourcing = (mark: string) =>
    definePlugin({
      name: "sourcing",
      setup: ({ signal }) => ({
        async *source() {
          events.push(`start ${mark}`);
          yield { data: mark };
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
        },
        async close() {
          await new Promise((resolve) => setImmediate(resolve));
          events.push(`close ${mark}`);
        },
      }),
    }) as Plugin;
  server = await startTestServer({ channels: { a: { plugins: [sourcing("old")] } } });
  await server.become({ channels: { a: { plugins: [sourcing("new")] } } });
  expect(events).toEqual(["start old", "close old", "start new"]);
});

test("a client's frame that an old receive hook still works on is answered by it", async () => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  let isClosed = false;
  const old = definePlugin({
    name: "old",
    setup: () => ({
      async receive(data) {
        begun.resolve();
        await gate.promise;
        if (isClosed) throw new Error("used after its close");
        return { data: `received ${String(data)}` };
      },
      close: () => void (isClosed = true),
    }),
  });
  server = await startTestServer({ channels: { a: { plugins: [old as Plugin] } } });
  const client = await open(rawWebSocket, "a");
  const published = publish("a", 1);
  await begun.promise;
  const reloaded = server.become({ channels: { a: {} } });
  await fetch(`${server.urls.public}/nothing`);
  expect(isClosed).toBe(false);
  gate.resolve();
  await reloaded;
  expect((await published).status).toBe(201);
  expect(text(await client.next())).toBe("received 1");
  expect(isClosed).toBe(true);
});

test("live channels of a pattern get the new plugins, also when the parameter has another name", async () => {
  const named = definePlugin({
    name: "named",
    setup: ({ channel }) => ({
      transform: (draft) => ({ ...draft, data: JSON.stringify(channel.params) }),
    }),
  });
  server = await startTestServer({ channels: { "room/{a}": { plugins: [named as Plugin] } } });
  const client = await open(manyWebSocket, "room/x");
  await publish("room/x", 1);
  const changes = await server.become({ channels: { "room/{b}": { plugins: [named as Plugin] } } });
  expect(changes).toMatchObject({ added: ["room/{b}"], removed: ["room/{a}"] });
  await publish("room/x", 2);
  expect([text(await client.next()), text(await client.next())]).toEqual([
    '{"a":"x"}',
    '{"b":"x"}',
  ]);
});

test("a channel that comes to life while a config is read has the plugins of the one that holds", async () => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const slowStart = definePlugin({
    name: "slow-start",
    async setup() {
      begun.resolve();
      await gate.promise;
      return { transform: (draft) => ({ ...draft, data: "old" }) };
    },
  });
  server = await startTestServer({ channels: { "room/{a}": { plugins: [slowStart as Plugin] } } });
  const published = publish("room/x", "new");
  await begun.promise;
  await server.become({ channels: { "room/{a}": {} } });
  gate.resolve();
  expect((await published).status).toBe(201);
  const answer = await fetch(`${server.urls.public}/channels/room/x?after=earliest`);
  expect(await answer.text()).toBe("new");
});

test("settings of the server take hold, and those that can't are told by their keys", async () => {
  const control = { listen: free, token: "old" };
  server = await startTestServer({ channels: { a: {} }, control });
  const { public: url, control: controlUrl } = server.urls;
  const asked = () =>
    fetch(`${url}/channels/a?transport=long-poll&wait=0`, { headers: { origin: "http://page" } });
  expect((await asked()).headers.get("access-control-allow-origin")).toBeNull();
  const ask = (token: string) =>
    fetch(`${controlUrl}/channels`, { headers: { authorization: `Bearer ${token}` } });
  const changes = await server.become({
    channels: { a: {} },
    control: { listen: { hostname: "127.0.0.1", port: 0 }, token: "old" },
    server: {
      cors: ["http://page"],
      listen: { hostname: "127.0.0.1", port: 1 },
      tls: "self-signed",
    },
    limits: { connections: 0, message: 5 },
    sse: { retryMs: 77 },
  });
  expect(changes.needsRestart).toEqual(["server.listen", "server.tls", "limits.message"]);
  expect((await asked()).headers.get("access-control-allow-origin")).toBe("http://page");
  expect((await fetch(`${url}/channels/a?transport=sse`)).status).toBe(503);
  // Another address with another token: neither holds before the restart.
  const other = { listen: { hostname: "127.0.0.1", port: 1 }, token: null };
  expect((await server.become({ channels: { a: {} }, control: other })).needsRestart).toEqual([
    "control.listen",
  ]);
  expect((await ask("old")).status).toBe(200);
  expect((await fetch(`${controlUrl}/channels`)).status).toBe(401);
  await server.become({ channels: { a: {} }, control: { ...control, token: "new" } });
  expect([(await ask("old")).status, (await ask("new")).status]).toEqual([401, 200]);
  const events = await fetch(`${url}/channels/a?transport=sse`);
  const chunk = await events.body!.getReader().read();
  expect(new TextDecoder().decode(chunk.value)).toContain("retry: 2000");
});

test("limits.connections takes hold on the push listener too", async () => {
  const config: TestConfig = {
    channels: { a: {} },
    server: { http2Push: { listen: free, tls: null } },
  };
  server = await startTestServer({ ...config, limits: { connections: 0 } });
  await server.become({ ...config, limits: { connections: 1 } });
  const client = await open(http2Push, "a");
  await publish("a", 1);
  expect(text(await client.next())).toBe("1");
});

test("reloads that are asked for at once come one after the other", async () => {
  const events: string[] = [];
  server = await startTestServer({ channels: { a: { plugins: [marking("0", events)] } } });
  const marks = ["1", "2", "3"];
  await Promise.all(
    marks.map((mark) => server.become({ channels: { a: { plugins: [marking(mark, events)] } } })),
  );
  expect(events).toEqual([
    "setup 0 a",
    ...marks.flatMap((mark) => [`setup ${mark} a`, `close ${Number(mark) - 1} a`]),
  ]);
});

test("stop() during a reload ends the plugins of both", async () => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const events: string[] = [];
  const slowStart = definePlugin({
    name: "slow-start",
    async setup() {
      begun.resolve();
      await gate.promise;
      return { close: () => void events.push("close new") };
    },
  });
  server = await startTestServer({ channels: { a: { plugins: [marking("old", events)] } } });
  const reloaded = server.become({ channels: { a: { plugins: [slowStart as Plugin] } } });
  const failure = reloaded.catch((error: Error) => error.message);
  await begun.promise;
  const stopped = server.stop();
  gate.resolve();
  await stopped;
  expect(await failure).toBe("the server stops");
  expect(events).toEqual(["setup old a", "close old a", "close new"]);
});
