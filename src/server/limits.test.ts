/** Every limit of the config, over real listeners: what is refused, with which code, and what the report says. */
import { afterEach, describe, expect, test } from "bun:test";
import http2 from "node:http2";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { connectTcp, rawGet, sendRaw } from "./raw-http-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";
import { until } from "./until-testing.ts";

let server: TestServer;
afterEach(() => server?.stop());
const listen = { hostname: "127.0.0.1", port: 0 };
const control = { listen, token: null };
const start = async (config: TestConfig) => void (server = await startTestServer(config));

async function report(): Promise<any> {
  const response = await fetch(`${server.urls.control}/channels`);
  return ((await response.json()) as { limits: unknown }).limits;
}

const post = (path: string, body: string, type = "text/plain") =>
  fetch(server.urls.public + path, { method: "POST", body, headers: { "content-type": type } });

async function problemOf(response: Response): Promise<unknown[]> {
  const { type, detail } = (await response.json()) as { type: string; detail: string };
  const code = type.replace("urn:tidewire:problem:", "");
  return [response.status, code, response.headers.get("retry-after"), detail];
}

/** An open SSE stream, once its first bytes are there. */
async function openStream(path: string): Promise<AbortController> {
  const leave = new AbortController();
  const headers = { accept: "text/event-stream" };
  const response = await fetch(server.urls.public + path, { headers, signal: leave.signal });
  if (response.status !== 200) throw response;
  await response.body!.getReader().read();
  return leave;
}

describe("limits.connections_per_address", () => {
  test("is one for streams, polls and WebSockets, and what is closed makes room", async () => {
    await start({ control, channels: { news: {} }, limits: { connectionsPerAddress: 3 } });
    const stream = await openStream("/channels/news");
    const socket = await TestSocket.open(`${server.urls.public}/channels/news`);
    const many = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
    expect((await report()).connections_per_address).toEqual({ limit: 3, now: 3 });
    const refused = await fetch(`${server.urls.public}/channels/news`);
    expect(await problemOf(refused)).toEqual([
      429,
      "too-many-connections-of-address",
      "5",
      "your address holds 3 connections, as many as one may; close some, or try again later",
    ]);
    const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    const raw = rawGet(
      "/channels/news",
      `${upgrade}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`,
    );
    expect((await sendRaw(server.urls.public, raw)).status).toBe(429);
    // What holds no connection goes on.
    expect((await post("/channels/news", "x")).status).toBe(201);
    stream.abort();
    socket.close();
    await until(() => server.connections === 1);
    expect((await report()).connections_per_address).toEqual({ limit: 3, now: 1 });
    (await openStream("/channels/news")).abort();
    many.close();
    await until(() => server.connections === 0);
    expect((await report()).connections).toEqual({ limit: 100_000, now: 0 });
  });

  test("holds from a reload on, and drops nobody", async () => {
    const channels = { news: {} };
    await start({ channels });
    const streams = [await openStream("/channels/news"), await openStream("/channels/news")];
    await server.become({ channels, limits: { connectionsPerAddress: 1 } });
    expect((await fetch(`${server.urls.public}/channels/news`)).status).toBe(429);
    expect(server.connections).toBe(2);
    for (const stream of streams) stream.abort();
    await until(() => server.connections === 0);
    (await openStream("/channels/news")).abort();
  });

  test("holds from a reload on for polls that were held before", async () => {
    const channels = { news: {} };
    await start({ control, channels });
    const url = `${server.urls.public}/channels/news`;
    const polls = [fetch(url), fetch(url)];
    await until(() => server.connections === 2);
    expect((await report()).connections_per_address).toEqual({ limit: null, now: 2 });
    await server.become({ control, channels, limits: { connectionsPerAddress: 2 } });
    expect((await fetch(url)).status).toBe(429);
    await post("/channels/news", "x");
    for (const poll of polls) expect((await poll).status).toBe(200);
    expect((await report()).connections_per_address).toEqual({ limit: 2, now: 0 });
  });

  test("holds for connections of the HTTP/2 listener too", async () => {
    await start({
      channels: { news: {} },
      server: { http2Push: { listen, tls: null } },
      limits: { connectionsPerAddress: 1 },
    });
    const url = server.urls.http2Push!;
    const first = http2.connect(url);
    await new Promise((resolve) => first.once("remoteSettings", resolve));
    const second = http2.connect(url);
    const goaway = await new Promise((resolve) => {
      second.on("error", () => {});
      second.once("goaway", resolve);
    });
    expect(goaway).toBe(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    first.destroy();
    second.destroy();
  });
});

describe("limits.connections", () => {
  test("refuses a further one with 503, and the report counts them", async () => {
    await start({ control, channels: { news: {} }, limits: { connections: 1 } });
    const stream = await openStream("/channels/news");
    const refused = await fetch(`${server.urls.public}/channels/news`);
    expect((await problemOf(refused)).slice(0, 3)).toEqual([503, "too-many-connections", "5"]);
    expect((await report()).connections).toEqual({ limit: 1, now: 1 });
    stream.abort();
    await until(() => server.connections === 0);
  });
});

describe("limits.polls", () => {
  test("refuses a further poll that would wait, and answers those that need not", async () => {
    await start({ control, channels: { news: {} }, limits: { polls: 1 } });
    const url = `${server.urls.public}/channels/news`;
    const waiting = fetch(url);
    await until(() => server.connections === 1);
    expect((await report()).polls).toEqual({ limit: 1, now: 1 });
    expect(await problemOf(await fetch(url))).toEqual([
      503,
      "too-many-polls",
      "5",
      "1 long-polls wait on this server, its limit; try again later, or ask with wait=0",
    ]);
    expect((await fetch(`${url}?wait=0`)).status).toBe(204);
    await post("/channels/news", "x");
    expect(await (await waiting).text()).toBe("x");
    expect(await (await fetch(`${url}?after=earliest`)).text()).toBe("x");
    expect((await report()).polls).toEqual({ limit: 1, now: 0 });
  });

  test("counts no poll whose client left, however long it had been held", async () => {
    await start({ control, channels: { news: {} } });
    const open = () => connectTcp(server.urls.public, rawGet("/channels/news?wait=60"));
    const early = await open();
    const late = await open();
    await until(() => server.connections === 2);
    early.terminate();
    // What is answered when it has waited long enough is answered by a look at all that are held.
    await fetch(`${server.urls.public}/channels/news?wait=0.01`);
    expect((await report()).polls.now).toBe(1);
    // The request may be let go of by now: its end is heard of all the same.
    Bun.gc(true);
    late.terminate();
    await until(() => server.connections === 0);
    expect((await report()).polls.now).toBe(0);
  });
});

describe("limits.subscriptions", () => {
  test("refuses a further one of a socket, and takes it when one is given up", async () => {
    await start({ control, channels: { "room/{name}": {} }, limits: { subscriptions: 2 } });
    const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
    const ask = (type: string, name: string) => socket.ask({ type, channel: `room/${name}` });
    for (const name of ["a", "b"])
      expect((await ask("subscribe", name))["type"]).toBe("subscribed");
    expect(await ask("subscribe", "c")).toMatchObject({
      type: "error",
      code: "too-many-subscriptions",
      message: "a socket has at most 2 subscriptions",
    });
    expect((await report()).subscriptions).toEqual({ limit: 2, now: 2 });
    expect((await report()).channels).toEqual({ limit: 10_000, now: 2 });
    await ask("unsubscribe", "a");
    expect((await ask("subscribe", "c"))["type"]).toBe("subscribed");
    socket.close();
    const merged = "/channels?channel=room/a&channel=room/b";
    expect((await fetch(`${server.urls.public}${merged}&wait=0`)).status).toBe(204);
    const refused = await fetch(`${server.urls.public}${merged}&channel=room/c&wait=0`);
    expect(await problemOf(refused)).toEqual([
      400,
      "too-many-channels-asked",
      null,
      "3 channels are asked for; one stream carries at most 2",
    ]);
  });
});

describe("limits.publishes", () => {
  const limits = { publishes: { perSecond: 1, burst: 3, loopback: true } };

  test("refuses a POST of an address that is too fast, and lets the control listener", async () => {
    await start({ control, channels: { news: {} }, limits });
    expect((await post("/channels/news", "1\n2", "application/x-ndjson")).status).toBe(201);
    expect((await post("/channels/news", "3")).status).toBe(201);
    const [status, code, retry, detail] = await problemOf(await post("/channels/news", "4"));
    expect([status, code, retry]).toEqual([429, "rate-limited", "1"]);
    expect(detail).toBe(
      "you publish too fast: a client may publish 1 messages a second, and 3 at once; try again in 1 s",
    );
    expect((await report()).publishes).toEqual({
      per_second: 1,
      burst: 3,
      loopback: true,
      addresses: 1,
    });
    for (let i = 0; i < 5; i++) {
      const body = JSON.stringify({ channel: "news", data: i });
      const publish = { method: "POST", body };
      expect((await fetch(`${server.urls.control}/publish`, publish)).status).toBe(201);
    }
    // A socket is a client by itself.
    const socket = await TestSocket.open(`${server.urls.public}/channels/news`, "tidewire.v1");
    await socket.json();
    socket.send({ type: "publish", data: 5 });
    expect(await socket.json()).toMatchObject({ type: "message", data: 5 });
    socket.close();
  });

  test("lets POSTs from this machine, where a proxy may stand for many, unless told otherwise", async () => {
    const publishes = { perSecond: 1, burst: 1 };
    await start({ control, channels: { news: {} }, limits: { publishes } });
    for (let i = 0; i < 5; i++) expect((await post("/channels/news", `${i}`)).status).toBe(201);
    await server.become({
      control,
      channels: { news: {} },
      limits: { publishes: { ...publishes, loopback: true } },
    });
    expect((await post("/channels/news", "5")).status).toBe(201);
    expect((await post("/channels/news", "6")).status).toBe(429);
  });

  test("answers a frame with an error, and the socket goes on", async () => {
    await start({ channels: { a: {}, b: {} }, limits });
    const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
    const publish = (ref: number) =>
      socket.ask({ type: "publish", channel: ref % 2 ? "a" : "b", data: ref, ref });
    for (const ref of [1, 2, 3]) expect(await publish(ref)).toMatchObject({ type: "ack", ref });
    expect(await publish(4)).toMatchObject({
      type: "error",
      ref: 4,
      code: "rate-limited",
      retryAfter: 1,
    });
    expect((await socket.ask({ type: "subscribe", channel: "a" }))["type"]).toBe("subscribed");
    // Another connection has a bucket of its own.
    const other = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
    expect(await other.ask({ type: "publish", channel: "b", data: 0, ref: 0 })).toMatchObject({
      type: "ack",
    });
    other.close();
    socket.close();
  });

  test("closes a raw socket with 4029", async () => {
    await start({ channels: { news: {} }, limits });
    const socket = await TestSocket.open(`${server.urls.public}/channels/news`);
    for (let i = 0; i < 4; i++) socket.send(`${i}`);
    let closed = await socket.next();
    // It is closed before the turn's batch goes out, and what it published waits for it in history.
    while (typeof closed === "string") closed = await socket.next();
    expect(closed).toMatchObject({ code: 4029 });
    expect((closed as { reason: string }).reason).toStartWith("you publish too fast");
    expect(server.channels.peek("news")!.channel.published).toBe(3);
  });
});

describe("limits.headers", () => {
  test("answers 431 to more, on the public and the control listener", async () => {
    await start({ control, channels: { news: {} }, limits: { headers: 8192 } });
    const ask = (url: string, bytes: number) =>
      sendRaw(url, rawGet("/channels", `X-Long: ${"x".repeat(bytes)}\r\n`));
    for (const url of [server.urls.public, server.urls.control!]) {
      expect((await ask(url, 7000)).status).not.toBe(431);
      expect((await ask(url, 9000)).status).toBe(431);
    }
    await server.stop();
    await start({ channels: { news: {} }, limits: { headers: 65_536 } });
    expect((await ask(server.urls.public, 40_000)).status).not.toBe(431);
    expect((await ask(server.urls.public, 70_000)).status).toBe(431);
  });
});

describe("limits.http2", () => {
  test("tells a client how many streams and what fields it may send", async () => {
    await start({
      channels: { news: {} },
      server: { http2Push: { listen, tls: null } },
      limits: { headers: 8192, http2: { streams: 7 } },
    });
    const client = http2.connect(server.urls.http2Push!);
    const settings = await new Promise<http2.Settings>((resolve) =>
      client.once("remoteSettings", resolve),
    );
    expect([settings.maxConcurrentStreams, settings.maxHeaderListSize]).toEqual([7, 8192]);
    client.destroy();
  });

  test("ends the connection of a client that resets too many streams", async () => {
    await start({
      channels: { news: {} },
      server: { http2Push: { listen, tls: null } },
      limits: { http2: { resets: { perSecond: 1, burst: 5 } } },
    });
    const client = http2.connect(server.urls.http2Push!);
    const ended = new Promise((resolve) => {
      client.on("error", () => {});
      client.once("goaway", resolve);
    });
    for (let i = 0; i < 20; i++) {
      const stream = client.request({ ":path": "/channels/news" });
      stream.on("error", () => {});
      stream.once("ready", () => stream.close(http2.constants.NGHTTP2_CANCEL));
    }
    expect(await ended).toBe(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    client.destroy();
  });
});

/** Sends a request and then a byte now and then; gives all that came back when the connection ends. */
function trickle(
  open: () => ReturnType<typeof connect>,
  head: string,
  piece: string,
): Promise<string> {
  const socket = open();
  let text = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => (text += chunk.toString("latin1")));
  socket.write(head);
  const timer = setInterval(() => socket.write(piece), 20);
  return new Promise((resolve) =>
    socket.on("close", () => {
      clearInterval(timer);
      resolve(text);
    }),
  );
}

describe("limits.body", () => {
  const limits = { body: { timeMs: 200, rate: 1024 } };
  const FIELDS = "Host: localhost\r\nContent-Type: text/plain\r\n";
  const LENGTH = `${FIELDS}Content-Length: 100\r\n\r\n`;
  const CHUNKED = `${FIELDS}Transfer-Encoding: chunked\r\n\r\n`;

  test.each([
    ["with its length", LENGTH, "x"],
    ["in chunks", CHUNKED, "1\r\nx\r\n"],
  ])("ends a body that trickles in, %s, with 408", async (_how, fields, piece) => {
    await start({ control, channels: { news: {} }, limits });
    for (const [url, path] of [
      [server.urls.public, "/channels/news"],
      [server.urls.control!, "/publish?channel=news"],
    ] as const) {
      const { hostname, port } = new URL(url);
      const open = () => connect(Number(port), hostname);
      const answer = await trickle(open, `POST ${path} HTTP/1.1\r\n${fields}`, piece);
      expect(answer).toStartWith("HTTP/1.1 408 ");
      expect(answer).toContain("urn:tidewire:problem:body-too-slow");
      expect(answer).toContain(
        "the body came too slowly: it has 0.2 s, and a second more for each 1024 bytes",
      );
    }
    expect(server.channels.peek("news")!.channel.published).toBe(0);
  });

  test("gives a body more time for each byte that it has", async () => {
    await start({ channels: { news: {} }, limits: { body: { timeMs: 100, rate: 16 } } });
    const { hostname, port } = new URL(server.urls.public);
    for (const [fields, body] of [
      [`${FIELDS}Content-Length: 100\r\nConnection: close\r\n\r\n`, "x".repeat(10)],
      [`${FIELDS}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n`, "a\r\nxxxxxxxxxx\r\n"],
    ] as const) {
      // Ten pieces, 20 ms apart: longer than 100 ms in all, and fast enough.
      const socket = connect(Number(port), hostname);
      const answer = new Promise<string>((resolve) => {
        let text = "";
        socket.on("data", (chunk) => (text += chunk.toString("latin1")));
        socket.on("close", () => resolve(text));
      });
      socket.write(`POST /channels/news HTTP/1.1\r\n${fields}`);
      for (let sent = 0; sent < 10; sent++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        socket.write(body);
      }
      if (body.startsWith("a")) socket.write("0\r\n\r\n");
      expect(await answer).toStartWith("HTTP/1.1 201 ");
    }
  });

  test("ends one on the HTTP/2 listener, over HTTP/2 and HTTP/1.1", async () => {
    await start({
      channels: { news: {} },
      server: { http2Push: { listen, tls: "self-signed" } },
      limits,
    });
    const { hostname, port } = new URL(server.urls.http2Push!);
    const tls = { host: hostname, port: Number(port), rejectUnauthorized: false };
    const answer = await trickle(
      () => connectTls(tls),
      `POST /channels/news HTTP/1.1\r\n${LENGTH}`,
      "x",
    );
    expect(answer).toStartWith("HTTP/1.1 408 ");

    const client = http2.connect(server.urls.http2Push!, { rejectUnauthorized: false });
    const stream = client.request({ ":method": "POST", ":path": "/channels/news" });
    stream.on("error", () => {});
    const status = new Promise((resolve) =>
      stream.once("response", (headers) => resolve(headers[":status"])),
    );
    const ended = new Promise((resolve) => stream.once("close", resolve));
    const timer = setInterval(() => !stream.destroyed && stream.write("x"), 20);
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    expect(await status).toBe(408);
    await ended;
    clearInterval(timer);
    expect(JSON.parse(body)).toMatchObject({ type: "urn:tidewire:problem:body-too-slow" });
    client.destroy();
  });
});

describe("header fields that trickle in", () => {
  test("end their connection, on each listener", async () => {
    await start({
      control,
      channels: { news: {} },
      server: { http2Push: { listen, tls: "self-signed" } },
    });
    const { public: url, http2Push, control: private_ } = server.urls;
    const tcp = (to: string) => () => connect(Number(new URL(to).port), "127.0.0.1");
    const tls = () =>
      connectTls({ port: Number(new URL(http2Push!).port), rejectUnauthorized: false });
    const head = "GET /channels/news HTTP/1.1\r\nHost: localhost\r\nX-A: ";
    const ends = [tcp(url), tcp(private_!), tls].map((open) => trickle(open, head, "b"));
    expect(await Promise.all(ends)).toEqual(["", "", ""]);
  }, 30_000);
});

describe("a reload", () => {
  test("lets new limits hold, and says which need a restart", async () => {
    const channels = { news: {} };
    await start({ control, channels });
    const { needsRestart } = await server.become({
      control,
      channels,
      limits: { polls: 1, subscriptions: 2, publishes: { perSecond: 3, burst: 4 } },
    });
    expect(needsRestart).toEqual([]);
    expect(await report()).toMatchObject({
      polls: { limit: 1 },
      subscriptions: { limit: 2 },
      publishes: { per_second: 3, burst: 4 },
    });
    const others = await server.become({
      control,
      channels,
      limits: { headers: 8192, http2: { streams: 3 } },
      idempotency: { keys: 5, windowMs: 1000 },
    });
    expect(others.needsRestart.toSorted()).toEqual([
      "idempotency.keys",
      "limits.headers",
      "limits.http2",
    ]);
    expect(await report()).toMatchObject({
      headers: 16_384,
      http2: { streams: 100 },
      idempotency: { keys: 100_000, window: 1000 },
    });
  });
});
