/** The `authorize` hook over real listeners: every way to read and to publish, and what a denial tells. */
import { afterEach, describe, expect, test } from "bun:test";
import { definePlugin, type AccessRequest, type Hooks, type Verdict } from "../plugin/sdk.ts";
import {
  server,
  start,
  CHANNEL,
  url,
  as,
  get,
  post,
  SUBSCRIBE_DENIED,
  PUBLISH_DENIED,
  expectForbidden,
  gated,
  UPGRADE,
  byToken,
  use,
} from "./authorize-testing.ts";
import { runNode } from "./http2-testing.ts";
import { rawGet, sendRaw } from "./raw-http-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer } from "./testing.ts";
import { until } from "./until-testing.ts";

afterEach(() => server.stop());

describe("reading", () => {
  test("by a WebSocket on the channel's URL is refused before the upgrade, with or without frames", async () => {
    const record = await start();
    for (const protocol of ["", "Sec-WebSocket-Protocol: tidewire.v1\r\n"]) {
      const answer = await sendRaw(url(), rawGet(CHANNEL, UPGRADE + protocol));
      expect([answer.status, answer.headers.get("content-type")]).toEqual([
        403,
        "application/problem+json",
      ]);
      expect(JSON.parse(answer.body)).toMatchObject({ detail: SUBSCRIBE_DENIED });
    }
    for (const protocol of [undefined, "tidewire.v1"] as const) {
      const socket = await TestSocket.open(url(`${CHANNEL}?token=reader`), protocol);
      if (protocol) expect(await socket.json()).toMatchObject({ type: "subscribed" });
      socket.close();
    }
    const asked = { action: "subscribe", channel: "room/a", transport: "websocket" };
    expect(record.asked).toEqual(Array(4).fill(asked));
    await until(() => record.joined.length === 4);
    expect(record.joined.toSorted()).toEqual([
      "-websocket",
      "-websocket",
      "websocket",
      "websocket",
    ]);
  });

  test("by a socket for many is refused channel by channel, and the socket lives on", async () => {
    const authorize = ({ channel }: AccessRequest): Verdict =>
      channel === "room/mine" ? "allow" : { deny: "not a member" };
    const record = await start(authorize);
    const socket = await TestSocket.open(url("/channels"), "tidewire.v1");
    const subscribe = (channel: string, ref: number) =>
      socket.ask({ type: "subscribe", channel, ref });
    expect(await subscribe("room/theirs", 1)).toEqual({
      type: "error",
      ref: 1,
      code: "forbidden",
      message: SUBSCRIBE_DENIED,
    });
    expect(await subscribe("room/mine", 2)).toMatchObject({ type: "subscribed", ref: 2 });
    expect(await subscribe("open", 3)).toMatchObject({ type: "subscribed", ref: 3 });
    expect(record.asked.map(({ channel }) => channel)).toEqual(["room/theirs", "room/mine"]);
    expect(record.joined).toEqual(["websocket"]);
    socket.close();
  });

  test("of a name that UTF-8 can't write is refused: another channel's messages would come by it", async () => {
    const record = await start(() => "allow");
    const socket = await TestSocket.open(url("/channels"), "tidewire.v1");
    for (const type of ["subscribe", "publish"]) {
      const frame = { type, channel: "room/\ud800", ...(type === "publish" && { data: 1 }) };
      expect(await socket.ask(frame)).toMatchObject({ type: "error", code: "unknown-channel" });
    }
    expect(record.asked).toEqual([]);
    expect([...server.channels.live].map(({ name }) => name)).toEqual(["open"]);
    socket.close();
  });

  test("by SSE and by long-poll is refused, each request by itself", async () => {
    const record = await start();
    const sse = { accept: "text/event-stream" };
    await expectForbidden(await get(CHANNEL, sse));
    await expectForbidden(await get(`${CHANNEL}?wait=0`));
    expect((await get(`${CHANNEL}?wait=0`, as("reader"))).status).toBe(204);
    await expectForbidden(await get(`${CHANNEL}?wait=0`));
    const stop = new AbortController();
    const stream = await fetch(url(), {
      headers: { ...sse, ...as("reader") },
      signal: stop.signal,
    });
    expect(stream.status).toBe(200);
    stop.abort();
    expect(record.asked.map(({ transport }) => transport)).toEqual([
      "sse",
      "long-poll",
      "long-poll",
      "long-poll",
      "sse",
    ]);
    await until(() => record.joined.length === 2);
    expect(record.joined).toEqual(["sse", "-sse"]);
  });

  test("of history is refused: a page, a message, and either by HEAD", async () => {
    const record = await start();
    const { id } = (await (await post("1", as("good"))).json()) as { id: string };
    record.asked.length = 0;
    for (const path of [`${CHANNEL}/messages`, `${CHANNEL}/messages/${id}`]) {
      await expectForbidden(await get(path));
      expect((await fetch(url(path), { method: "HEAD" })).status).toBe(403);
      expect((await get(path, as("reader"))).status).toBe(200);
    }
    const asked = { action: "subscribe", channel: "room/a", transport: "history" };
    expect(record.asked).toEqual(Array(6).fill(asked));
  });

  test("of history does not tell who is denied whether the channel is alive, or what it had", async () => {
    await start();
    await post("1", as("good"));
    const dead = "/channels/room/never";
    for (const path of ["/messages", "/messages/abc-1", "/messages/latest"]) {
      await expectForbidden(await get(CHANNEL + path));
      await expectForbidden(await get(dead + path));
    }
  });

  test("by HTTP/2 push is refused; who is let in is pushed what is published", async () => {
    const listen = { hostname: "127.0.0.1", port: 0 };
    const record = await start(byToken, { server: { http2Push: { listen, tls: null } } });
    using client = await runNode(
      server.urls.http2Push!,
      `
      const session = connect({ enablePush: true });
      const accept = "application/vnd.tidewire.push";
      const denied = await request(session, { ":path": "${CHANNEL}", accept });
      say([denied.status, JSON.parse(denied.text).type]);
      session.on("stream", async (pushed, headers) => {
        say(["pushed", headers[":path"].replace(/[^/]+$/, ""), await read(pushed)]);
        session.close();
      });
      const held = session.request({ ":path": "${CHANNEL}", accept, cookie: ["a=1", "token=b"], "x-token": "reader" });
      const [response] = await once(held, "response");
      held.setEncoding("utf8");
      held.once("data", () => say([response[":status"]]));
      `,
    );
    expect(await client.next()).toEqual([403, "urn:tidewire:problem:forbidden"]);
    expect(await client.next()).toEqual([200]);
    expect((await post('"hello"', as("good"))).status).toBe(201);
    expect(await client.next()).toEqual(["pushed", `${CHANNEL}/messages/`, '"hello"']);
    const transports = record.asked.map(({ transport }) => transport);
    expect(transports).toEqual(["http2-push", "http2-push", "post"]);
  });

  test("tells the page of another origin too that it is refused", async () => {
    await start(({ origin }) => (origin === "https://app.example" ? "allow" : "deny"), {
      server: { cors: ["https://app.example", "https://other.example"] },
    });
    const ask = (origin: string) => get(`${CHANNEL}?wait=0`, { origin });
    expect((await ask("https://app.example")).status).toBe(204);
    const denied = await ask("https://other.example");
    expect(denied.headers.get("access-control-allow-origin")).toBe("https://other.example");
    await expectForbidden(denied);
  });
});

describe("publishing", () => {
  test("by POST is refused before the body is read, and reaches no receive hook", async () => {
    const record = await start();
    await expectForbidden(await post("1"), PUBLISH_DENIED);
    await expectForbidden(await post("1", as("reader")), PUBLISH_DENIED);
    const head = `POST ${CHANNEL} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
    expect((await sendRaw(url(), `${head}Content-Length: 1000\r\n\r\n`)).status).toBe(403);
    expect(record.received).toEqual([]);
    expect(server.channels.peek("room/a")!.channel.published).toBe(0);
    expect((await post("2", as("good"))).status).toBe(201);
    expect(record.received).toEqual([2]);
  });

  test("of many lines by one POST asks once", async () => {
    const record = await start();
    const type = { "content-type": "application/x-ndjson" };
    expect((await post("1\n2\n3", { ...type, ...as("good") })).status).toBe(201);
    expect(record.asked).toEqual([{ action: "publish", channel: "room/a", transport: "post" }]);
  });

  test("on a raw WebSocket is refused with close code 4003", async () => {
    const record = await start();
    const socket = await TestSocket.open(url(`${CHANNEL}?token=reader`));
    socket.send("one");
    socket.send("two");
    expect(await socket.next()).toEqual({ code: 4003, reason: PUBLISH_DENIED });
    expect(record.received).toEqual([]);
    expect(record.asked.map(({ action }) => action)).toEqual(["subscribe", "publish"]);
  });

  test("by frames is refused with an error frame, and the subscription goes on", async () => {
    await start();
    for (const [path, channel] of [
      [`${CHANNEL}?token=reader`, undefined],
      ["/channels?token=reader", "room/a"],
    ]) {
      const socket = await TestSocket.open(url(path), "tidewire.v1");
      if (channel) socket.send({ type: "subscribe", channel });
      await socket.json();
      const frame = { type: "publish", channel, data: 1, ref: "r" };
      const error = { type: "error", ref: "r", code: "forbidden", message: PUBLISH_DENIED };
      expect(await socket.ask(frame)).toEqual(error);
      expect((await post("7", as("good"))).status).toBe(201);
      expect(await socket.json()).toMatchObject({ type: "message", data: 7 });
      socket.close();
    }
  });

  test("on a socket for many needs no subscription, and each channel is asked for", async () => {
    const record = await start(({ channel }) => (channel === "room/b" ? "allow" : "deny"));
    const socket = await TestSocket.open(url("/channels"), "tidewire.v1");
    const publish = (channel: string) => socket.ask({ type: "publish", channel, data: 1, ref: 1 });
    expect(await publish("room/a")).toMatchObject({ code: "forbidden" });
    expect(await publish("room/b")).toMatchObject({ type: "ack", id: expect.any(String) });
    expect(await publish("room/b")).toMatchObject({ type: "ack" });
    expect(record.asked.map(({ action, channel }) => [action, channel])).toEqual([
      ["publish", "room/a"],
      ["publish", "room/b"],
    ]);
    socket.close();
  });

  test.each([undefined, "tidewire.v1"] as const)(
    "asks once for all frames of a socket (%p), and keeps their order while it is asked",
    async (protocol) => {
      const { authorize, calls, asked } = gated();
      const record = await start((request) =>
        request.action === "subscribe" ? "allow" : authorize(request),
      );
      const socket = await TestSocket.open(url(), protocol);
      if (protocol) await socket.json();
      const numbers = [1, 2, 3, 4, 5];
      for (const n of numbers) socket.send(protocol ? { type: "publish", data: n } : `{"n":${n}}`);
      await asked(1);
      expect(record.received).toEqual([]);
      calls[0]!.answer("allow");
      for (const n of numbers) {
        const frame = await socket.json();
        expect(protocol ? frame["data"] : frame["n"]).toBe(n);
      }
      expect(calls).toHaveLength(1);
      socket.close();
    },
  );

  test("on a socket for many is asked for once a channel, and again when a thousand others came", async () => {
    const record = await start(() => "allow");
    const socket = await TestSocket.open(url("/channels"), "tidewire.v1");
    const publish = async (room: string) => {
      const frame = { type: "publish", channel: `room/${room}`, data: 1, ref: room };
      expect(await socket.ask(frame)).toMatchObject({ type: "ack", ref: room });
    };
    for (const room of ["a", "b", "a", "b"]) await publish(room);
    expect(record.asked.map(({ channel }) => channel)).toEqual(["room/a", "room/b"]);
    for (let n = 0; n < 999; n++) await publish(`${n}`);
    await publish("b");
    expect(record.asked).toHaveLength(1001);
    // The one that was asked for first has made room.
    await publish("a");
    expect(record.asked).toHaveLength(1002);
    socket.close();
  });

  test("a denied frame may be sent again, and is asked for again", async () => {
    let isMember = false;
    await start(({ action }) => (action === "subscribe" || isMember ? "allow" : "deny"));
    const socket = await TestSocket.open(url(), "tidewire.v1");
    await socket.json();
    const publish = () => socket.ask({ type: "publish", data: 1, ref: 1 });
    expect(await publish()).toMatchObject({ code: "forbidden" });
    isMember = true;
    const next = [await publish(), await socket.json()].map(({ type }) => type);
    expect(next.toSorted()).toEqual(["ack", "message"]);
    socket.close();
  });

  test("`publish: nobody` stays nobody, and the hook is not asked", async () => {
    const record = await start(() => "allow", {
      channel: { publish: "nobody" },
      hooks: { receive: undefined as never },
    });
    const refused = await post("1");
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({
      type: "urn:tidewire:problem:publish-not-allowed",
    });
    expect(record.asked).toEqual([]);
  });

  test("`publish: nobody` with a receive hook asks before the hook is given anything", async () => {
    const record = await start(byToken, { channel: { publish: "nobody" } });
    await expectForbidden(await post("1"), PUBLISH_DENIED);
    expect(record.received).toEqual([]);
    expect((await post("1", as("good"))).status).toBe(201);
  });

  test("`publish: clients` asks the hook too", async () => {
    await start(byToken, { channel: { publish: "clients" } });
    await expectForbidden(await post("1"), PUBLISH_DENIED);
    expect((await post("1", as("good"))).status).toBe(201);
  });

  test("through the control listener is the operator's, and not asked for", async () => {
    const listen = { hostname: "127.0.0.1", port: 0 };
    const record = await start(() => "deny", { control: { listen, token: null } });
    const published = await fetch(`${server.urls.control}/publish`, {
      method: "POST",
      body: JSON.stringify({ channel: "room/a", data: 1 }),
    });
    expect(published.status).toBe(201);
    expect(record.asked).toEqual([]);
  });
});

describe("what the hook is given", () => {
  test("is the request's own: cookies, headers, query, parameters, origin and address", async () => {
    const seen: { [name: string]: unknown }[] = [];
    await start((request) => {
      const { cookies, headers, query, ...rest } = request;
      seen.push({
        ...rest,
        sid: cookies.get("sid"),
        agent: headers.get("user-agent"),
        q: `${query}`,
      });
      return "allow";
    });
    const headers = { cookie: "theme=dark; sid=a%20b", "user-agent": "test", origin: url("") };
    await get("/channels/room/caf%C3%A9?wait=0&x=1", headers);
    expect(seen).toEqual([
      {
        action: "subscribe",
        channel: "room/café",
        params: { name: "café" },
        transport: "long-poll",
        claims: null,
        origin: url(""),
        address: "127.0.0.1",
        sid: "a b",
        agent: "test",
        q: "wait=0&x=1",
      },
    ]);
  });

  test("on a WebSocket is of the request that opened it, also when it publishes later", async () => {
    const seen: (string | null)[] = [];
    await start(({ query, headers }) => {
      seen.push(query.get("token"), headers.get("upgrade"));
      return "allow";
    });
    const socket = await TestSocket.open(url(`${CHANNEL}?token=t`));
    socket.send("hello");
    expect(await socket.next()).toBe("hello");
    expect(seen).toEqual(["t", "websocket", "t", "websocket"]);
    socket.close();
  });
});

describe("a denial", () => {
  test("is told to the log with its reason, and to the client without", async () => {
    await start();
    const denied = await get(`${CHANNEL}?wait=0`, { ...as("forged"), cookie: "sid=c00kie" });
    expect(await denied.clone().text()).not.toContain("secret");
    await expectForbidden(denied);
    expect(server.logged.find(({ message }) => message === "access denied")).toMatchObject({
      level: "info",
      plugin: "guard",
      channel: "room/a",
      action: "subscribe",
      transport: "long-poll",
      address: "127.0.0.1",
      reason: "the secret token of forged is wrong",
    });
    expect(JSON.stringify(server.logged)).not.toContain("c00kie");
  });

  test.each<[string, Hooks["authorize"]]>([
    [
      "throws",
      () => {
        throw new Error("secret: no such host db1");
      },
    ],
    ["returns true", () => true as never],
  ])("is what comes of a hook that %s, with the error in the log", async (_what, authorize) => {
    await start(authorize);
    await expectForbidden(await get(`${CHANNEL}?wait=0`));
    await expectForbidden(await post("1"), PUBLISH_DENIED);
    const error = server.logged.find(({ message }) => message === "plugin failed in authorize");
    expect(error).toMatchObject({ level: "error", plugin: "guard", channel: "room/a" });
  });

  test("of a client that hammers takes few lines of the log, over whichever channels", async () => {
    await start();
    await Promise.all(Array.from({ length: 200 }, (_, i) => get(`/channels/room/${i}?wait=0`)));
    const lines = server.logged.filter(({ message }) =>
      String(message).startsWith("access denied"),
    );
    expect(lines).toHaveLength(20);
    await server.stop();
    expect(
      server.logged.findLast(({ message }) => String(message).startsWith("access")),
    ).toMatchObject({ message: "access denied 180 more times, the last as told here", count: 180 });
  });

  test("by a hook that fails takes few lines too, and every failure is counted", async () => {
    await start(() => {
      throw new Error("no database");
    });
    await Promise.all(Array.from({ length: 60 }, (_, i) => get(`/channels/room/${i}?wait=0`)));
    expect(server.logged.filter(({ level }) => level === "error")).toHaveLength(20);
    const counted = [...server.channels.live].flatMap(({ plugins }) => plugins.stats());
    expect(counted.filter(({ hooks }) => hooks.authorize?.errors === 1)).toHaveLength(60);
  });

  test("leaves nothing behind: no connection, no subscriber, no hook", async () => {
    const record = await start(async () => "deny" as const);
    await expectForbidden(await get(CHANNEL, { accept: "text/event-stream" }));
    await expectForbidden(await get(CHANNEL));
    expect((await sendRaw(url(), rawGet(CHANNEL, UPGRADE))).status).toBe(403);
    expect(server.connections).toBe(0);
    const live = server.channels.peek("room/a")!;
    expect([live.held, live.connections.size, live.isSpare(false)]).toEqual([0, 0, true]);
    expect([record.joined, record.received]).toEqual([[], []]);
  });
});

describe("`publish: authorized`", () => {
  test("without a plugin that has the hook stops the start of a static channel, and says so", async () => {
    await start();
    const plain = definePlugin({ name: "plain", setup: () => ({ close: () => void closed++ }) });
    let closed = 0;
    const started = startTestServer({
      channels: { orders: { publish: "authorized", plugins: [plain] } },
    });
    const error = await started.catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "no-authorize", channel: "orders" });
    expect((error as Error).message).toBe(
      'plugin "plain", setup, channel "orders": the config says "publish: authorized", but no plugin of this channel has the hook authorize, so nobody could publish; return one from setup, or say "publish: clients" or "publish: nobody"',
    );
    expect(closed).toBe(1);
  });

  test("fails closed where the config was not checked, or the channel is of a pattern", async () => {
    const plain = definePlugin({ name: "plain", setup: () => ({ receive: (data) => ({ data }) }) });
    use(
      await startTestServer({
        channels: {
          "room/{name}": { publish: "authorized" },
          "hall/{name}": { publish: "authorized", plugins: [plain] },
        },
      }),
    );
    const refused = await post("1");
    expect([refused.status, ((await refused.json()) as { type: string }).type]).toEqual([
      403,
      "urn:tidewire:problem:publish-not-allowed",
    ]);
    const type = { "content-type": "text/plain" };
    const failed = await fetch(url("/channels/hall/a"), {
      method: "POST",
      body: "1",
      headers: type,
    });
    expect([failed.status, ((await failed.json()) as { type: string }).type]).toEqual([
      503,
      "urn:tidewire:problem:channel-failed",
    ]);
    expect(JSON.stringify(server.logged)).toContain(
      "no plugin of this channel has the hook authorize",
    );
  });
});
