/** Compression as real clients see it: Chromium, curl, Node, Bun, `ws`, and bare sockets. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import zlib from "node:zlib";
import type { Browser } from "playwright-core";
// By its path: Bun puts its own client in the place of the package's name.
import { WebSocket } from "../node_modules/ws/wrapper.mjs";
import { definePlugin, type Client } from "../src/plugin/sdk.ts";
import { startTestServer, type TestServer } from "../src/server/testing.ts";
import { startBrowser } from "./examples/browser.ts";
import { Folder, freePort } from "./executable.ts";
import { startNginx } from "./nginx.ts";
import { logOf } from "./page.ts";
import { connectTcp, get, readFrames, WEBSOCKET_HEADERS } from "./transports/clients/tcp.ts";
import { publishText } from "./transports/publish-text.ts";

type Coding = "zstd" | "gzip";

const folder = new Folder({ "index.html": "<!doctype html><title>page</title>" });
const LARGE = JSON.stringify({ text: "again and ".repeat(300) });
const DATA = ["one", LARGE, "two", LARGE];
let browser: Browser;
const clients = new Set<Client>();
const knowing = definePlugin({
  name: "knowing",
  setup: () => ({
    joined: (client) => void clients.add(client),
    left: (client) => void clients.delete(client),
  }),
});

beforeAll(async () => {
  browser = await startBrowser({});
});
afterAll(async () => {
  await browser?.close();
  folder[Symbol.dispose]();
});

async function start(
  http: readonly Coding[] = ["zstd", "gzip"],
  more: {
    websocket?: boolean;
    heartbeatMs?: number;
    buffer?: number;
    message?: number;
    slow?: "disconnect" | "drop-oldest";
  } = {},
): Promise<AsyncDisposable & TestServer> {
  const server = await startTestServer({
    channels: { "room/{name}": { plugins: [knowing], slow: more.slow ?? "disconnect" } },
    server: {
      static: { root: folder.path, push: {} },
      compression: { http, websocket: more.websocket ?? false },
      http2Push: { listen: { hostname: "127.0.0.1", port: 0 }, tls: null },
    },
    sse: { heartbeatMs: more.heartbeatMs ?? 15_000, retryMs: 20 },
    limits: { buffer: more.buffer ?? 1 << 20, message: more.message ?? 1 << 20 },
  });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.stop() });
}

const publish = (server: TestServer, text: string) => publishText(server, "room/a", text);

/** Random, for it is bytes as they are sent that fill a buffer. */
function random(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(30_000))).toString("hex");
}

/** Resolves when the channel has so many clients. */
async function held(server: TestServer, count: number): Promise<void> {
  while ((server.channels.peek("room/a")?.held ?? 0) !== count) await Bun.sleep(2);
}

/** The data of the events in a stream's text. */
function dataOf(text: string): string[] {
  return [...text.matchAll(/^data: (.*)$/gm)].map((match) => match[1]!);
}

function readerOf(response: Response) {
  return response.body!.pipeThrough(new TextDecoderStream()).getReader();
}

/** Publishes `DATA`; each is read before anything else is sent. @returns What was read. */
async function readAsPublished(
  server: TestServer,
  reader: ReturnType<typeof readerOf>,
): Promise<string> {
  let text = "";
  for (const [index, data] of DATA.entries()) {
    await publish(server, data);
    while (dataOf(text).length <= index) text += (await reader.read()).value!;
  }
  expect(dataOf(text)).toEqual(DATA);
  return text;
}

/** What a command prints when `DATA` is published to it and the server stops after that. */
async function commandThatListens(server: TestServer, command: readonly string[]) {
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe" });
  await held(server, 1);
  for (const data of DATA) await publish(server, data);
  let stdout = "";
  let stopped: Promise<void> | null = null;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    stdout += part;
    if (dataOf(stdout).length === DATA.length) stopped ??= server.stop();
  }
  await stopped;
  return { code: await child.exited, stdout, stderr: await new Response(child.stderr).text() };
}

const EVENTS = ["-H", "Accept: text/event-stream"];

describe.each(["zstd", "gzip"] as const)("an event stream in %s", (coding) => {
  test("is what curl --compressed prints, and has a good end when the server stops", async () => {
    const server = await start([coding]);
    const url = `${server.urls.public}/channels/room/a`;
    const got = await commandThatListens(server, ["curl", "-sSNi", "--compressed", ...EVENTS, url]);
    expect(got.stdout.toLowerCase()).toContain(`\r\ncontent-encoding: ${coding}\r\n`);
    expect(got.stdout.toLowerCase()).toContain("\r\nvary: accept, accept-encoding\r\n");
    expect(got.stdout.toLowerCase()).toContain("\r\nx-accel-buffering: no\r\n");
    expect(dataOf(got.stdout)).toEqual(DATA);
    // What the server says last is there too.
    expect(got.stdout.match(/^retry: /gm)).toHaveLength(2);
    expect({ code: got.code, stderr: got.stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("is what Bun's fetch reads, piece by piece, to its end", async () => {
    await using server = await start([coding]);
    const response = await fetch(`${server.urls.public}/channels/room/a`, {
      headers: { accept: "text/event-stream", "accept-encoding": coding },
    });
    expect(response.headers.get("content-encoding")).toBe(coding);
    const reader = readerOf(response);
    let text = await readAsPublished(server, reader);
    const stopped = server.stop();
    for (let part; !(part = await reader.read()).done;) text += part.value;
    expect(text).toContain("retry: ");
    await stopped;
  });

  test("is what Chromium's EventSource and fetch read; EventSource resumes by itself", async () => {
    await using server = await start([coding]);
    const logged = logOf(
      browser,
      server.urls.public,
      `const url = "/channels/room/a";
       const source = new EventSource(url);
       source.onmessage = ({ data }) => console.log("EventSource", data.length);
       await new Promise((resolve) => (source.onopen = resolve));
       const response = await fetch(url, { headers: { accept: "text/event-stream" } });
       console.log("coding", response.headers.get("content-encoding"));
       let text = "";
       for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
         text += part;
         const count = [...text.matchAll(/^data: (.*)$/gm)].length;
         if (count >= ${DATA.length}) break;
       }
       console.log("fetch", [...text.matchAll(/^data: (.*)$/gm)].map((match) => match[1].length));`,
      2 + 2 * DATA.length,
    );
    // A failure of the page is told of where it is awaited.
    logged.catch(() => {});
    await held(server, 2);
    for (const data of DATA) await publish(server, data);
    // Only the EventSource is left: it loses its connection, and comes back.
    await held(server, 1);
    for (const client of clients) client.close();
    for (const data of DATA) await publish(server, data);
    const lines = await logged;
    const lengths = DATA.map(({ length }) => length);
    const of = (who: string) => lines.filter(([name]) => name === who).map(([, value]) => value);
    expect(of("coding")).toEqual([coding]);
    expect(of("fetch")).toEqual([lengths]);
    expect(of("EventSource")).toEqual([...lengths, ...lengths]);
  });

  test("has heartbeats that are decoded as they come", async () => {
    await using server = await start([coding], { heartbeatMs: 20 });
    const response = await fetch(`${server.urls.public}/channels/room/a`, {
      headers: { accept: "text/event-stream", "accept-encoding": coding },
    });
    const reader = readerOf(response);
    let text = "";
    while ((text.match(/^:$/gm)?.length ?? 0) < 4) text += (await reader.read()).value!;
    await publish(server, LARGE);
    while (dataOf(text).length === 0) text += (await reader.read()).value!;
    expect(dataOf(text)).toEqual([LARGE]);
    await reader.cancel();
  });

  test("of a slow client ends as a whole stream, and its last id still works", async () => {
    const buffer = 64 * 1024;
    await using server = await start([coding], { buffer, message: buffer });
    const request = get(
      "/channels/room/a",
      `Accept: text/event-stream\r\nAccept-Encoding: ${coding}\r\n`,
    );
    const slow = await connectTcp(server.urls.public, request);
    await held(server, 1);
    slow.socket.pause();
    const sent: string[] = [];
    while ((server.channels.peek("room/a")?.held ?? 0) === 1)
      sent.push(await publish(server, random()));
    slow.socket.resume();
    await slow.until((text) => text.endsWith("0\r\n\r\n"));
    slow.socket.destroy();
    const text = decode(coding, unchunked(Buffer.from(slow.text(), "latin1"))).toString();
    const ids = [...text.matchAll(/^id: (.*)$/gm)].map((match) => match[1]!);
    // The first is where it started.
    expect(ids.slice(1)).toEqual(sent.slice(0, ids.length - 1));
    const rest = await fetch(`${server.urls.public}/channels/room/a/messages?after=${ids.at(-1)!}`);
    const page = (await rest.json()) as { messages: { id: string }[]; gap: boolean };
    expect(page.gap).toBe(false);
    expect(page.messages.map(({ id }) => id)).toEqual(sent.slice(ids.length - 1));
  });

  test("of a client that may lag goes on whole, with a gap where messages were dropped", async () => {
    const buffer = 64 * 1024;
    await using server = await start([coding], { buffer, message: buffer, slow: "drop-oldest" });
    const request = get(
      "/channels/room/a",
      `Accept: text/event-stream\r\nAccept-Encoding: ${coding}\r\n`,
    );
    const lagging = await connectTcp(server.urls.public, request);
    await held(server, 1);
    lagging.socket.pause();
    // More than the kernel takes for one connection, and the buffer.
    for (let i = 0; i < 200; i++) await publish(server, random());
    expect(server.channels.peek("room/a")!.held).toBe(1);
    lagging.socket.resume();
    const marker = Buffer.from("the last one of them").toString("base64");
    await publish(server, marker);
    await lagging.until((text) => text.includes(marker));
    await server.stop();
    await lagging.ended;
    const text = decode(coding, unchunked(Buffer.from(lagging.text(), "latin1"))).toString();
    expect(text).toContain("event: tidewire:gap\n");
    expect(text).toContain(`data: ${marker}\n`);
  });

  test("comes over HTTP/2 as well, decoded by Node", async () => {
    await using server = await start([coding]);
    const session = await import("node:http2").then((http2) =>
      http2.connect(server.urls.http2Push!),
    );
    const stream = session.request({
      ":path": "/channels/room/a?transport=sse&after=earliest",
      "accept-encoding": coding,
    });
    const [headers] = (await once(stream, "response")) as [Record<string, string>];
    expect(headers["content-encoding"]).toBe(coding);
    const decoder = coding === "gzip" ? zlib.createGunzip() : zlib.createZstdDecompress();
    // The test ends in the middle of the stream.
    decoder.on("error", () => {});
    let text = "";
    const whole = Promise.withResolvers<void>();
    stream.pipe(decoder as zlib.Gunzip).on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (dataOf(text).length === DATA.length) whole.resolve();
    });
    for (const data of DATA) await publish(server, data);
    await whole.promise;
    expect(dataOf(text)).toEqual(DATA);
    session.destroy();
  });

  test.skipIf(!Bun.which("nginx"))("passes nginx as it is, and at once", async () => {
    await using server = await start([coding]);
    const port = freePort();
    await using _nginx = await startNginx(
      folder,
      `server {
        listen 127.0.0.1:${port};
        gzip on; gzip_proxied any; gzip_types *;
        location / { proxy_pass ${server.urls.public}; proxy_http_version 1.1; }
      }`,
    );
    const response = await fetch(`http://127.0.0.1:${port}/channels/room/a`, {
      headers: { accept: "text/event-stream", "accept-encoding": coding },
    });
    expect(response.headers.get("content-encoding")).toBe(coding);
    const reader = readerOf(response);
    await readAsPublished(server, reader);
    await reader.cancel();
  });
});

test("an event stream in gzip is what Node's fetch reads to its end", async () => {
  const server = await start();
  const script = `
    const response = await fetch(process.argv[1], { headers: { accept: "text/event-stream" } });
    console.log(response.headers.get("content-encoding"));
    for await (const part of response.body) process.stdout.write(part);
    console.log("ended");`;
  const url = `${server.urls.public}/channels/room/a`;
  const got = await commandThatListens(server, ["node", "--input-type=module", "-e", script, url]);
  expect({ code: got.code, stderr: got.stderr }).toEqual({ code: 0, stderr: "" });
  expect(got.stdout).toStartWith("gzip\n");
  expect(got.stdout).toEndWith("ended\n");
  expect(dataOf(got.stdout)).toEqual(DATA);
});

/** The bodies of a chunked answer (RFC 9112 §7.1). */
function unchunked(answer: Buffer): Buffer {
  const chunks: Buffer[] = [];
  let at = answer.indexOf("\r\n\r\n") + 4;
  for (;;) {
    const end = answer.indexOf("\r\n", at);
    const length = parseInt(answer.toString("latin1", at, end), 16);
    if (length === 0) return Buffer.concat(chunks);
    chunks.push(answer.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}

function decode(coding: Coding, bytes: Buffer): Buffer {
  return coding === "gzip" ? zlib.gunzipSync(bytes) : zlib.zstdDecompressSync(bytes);
}

describe("a long-poll", () => {
  test.each(["zstd", "gzip"] as const)(
    "in %s is what a loop of Chromium's fetch goes on from, by the tag in its cache",
    async (coding) => {
      await using server = await start([coding]);
      const bodies = DATA.map((data, index) => `${index} ${data}`);
      for (const body of bodies) await publish(server, body);
      const lines = await logOf(
        browser,
        server.urls.public,
        `for (;;) {
         const response = await fetch("/channels/room/a?after=earliest&wait=5");
         const { headers } = response;
         console.log(await response.text(), headers.get("content-encoding"), headers.get("etag"));
       }`,
        bodies.length,
      );
      expect(lines.map(([text]) => text)).toEqual(bodies);
      const weak = expect.stringMatching(/^W\/"[a-z0-9]+-\d+"$/);
      const strong = expect.stringMatching(/^"[a-z0-9]+-\d+"$/);
      expect(lines.map(([, used]) => used)).toEqual([null, coding, null, coding]);
      expect(lines.map(([, , tag]) => tag)).toEqual([strong, weak, strong, weak]);
    },
  );

  test("in an envelope, and by curl", async () => {
    await using server = await start();
    await publish(server, LARGE);
    const command = ["curl", "-sSi", "--compressed", "-H", "Accept: application/vnd.tidewire+json"];
    const url = `${server.urls.public}/channels/room/a?after=earliest`;
    const out = await new Response(Bun.spawn([...command, url]).stdout).text();
    expect(out.toLowerCase()).toContain("\r\ncontent-encoding: zstd\r\n");
    expect(JSON.parse(out.slice(out.indexOf("\r\n\r\n")))).toMatchObject({
      messages: [{ data: LARGE }],
      gap: false,
    });
  });
});

describe("history", () => {
  test("is compressed: a page, and a message, whose tag is weak then", async () => {
    await using server = await start();
    const id = await publish(server, LARGE);
    const url = `${server.urls.public}/channels/room/a/messages`;
    for (const coding of ["zstd", "gzip"]) {
      const headers = { "accept-encoding": coding };
      const page = await fetch(url, { headers });
      expect(page.headers.get("content-encoding")).toBe(coding);
      expect(page.headers.get("vary")).toBe("Accept-Encoding");
      expect(await page.json()).toMatchObject({ messages: [{ data: LARGE }] });
      const one = await fetch(`${url}/${id}`, { headers });
      expect(one.headers.get("content-encoding")).toBe(coding);
      expect(one.headers.get("etag")).toBe(`W/"${id}"`);
      expect(await one.text()).toBe(LARGE);
    }
    const plain = await fetch(`${url}/${id}`, { headers: { "accept-encoding": "identity" } });
    expect(plain.headers.has("content-encoding")).toBe(false);
    expect(plain.headers.get("etag")).toBe(`"${id}"`);
    expect(plain.headers.get("vary")).toBe("Accept-Encoding");
  });

  test("that is small, or bytes, is sent as it is", async () => {
    await using server = await start();
    const id = await publish(server, "small");
    const url = `${server.urls.public}/channels/room/a`;
    const bytes = await fetch(url, {
      method: "POST",
      body: new Uint8Array(5000),
      headers: { "content-type": "application/octet-stream" },
    });
    const { id: bytesId } = (await bytes.json()) as { id: string };
    for (const one of [id, bytesId]) {
      const response = await fetch(`${url}/messages/${one}`);
      expect(response.headers.has("content-encoding")).toBe(false);
    }
  });
});

describe("server.compression", () => {
  test("none: nothing is compressed, whatever a client asks for", async () => {
    await using server = await start([]);
    await publish(server, LARGE);
    const url = `${server.urls.public}/channels/room/a`;
    const accept = "text/event-stream";
    const stream = await fetch(url, { headers: { accept } });
    expect(stream.headers.has("content-encoding")).toBe(false);
    await stream.body!.cancel();
    const poll = await fetch(`${url}?after=earliest`);
    expect(poll.headers.has("content-encoding")).toBe(false);
    const page = await fetch(`${url}/messages`);
    expect(page.headers.has("content-encoding")).toBe(false);
  });

  test("a reload holds for those who come; those who are there go on as they are", async () => {
    const config = (http: readonly Coding[], minBytes: number, websocket = false) => ({
      channels: { "room/{name}": {} },
      server: { compression: { http, minBytes, websocket } },
    });
    const server = await startTestServer(config(["gzip"], 1024));
    await using _stop = { [Symbol.asyncDispose]: () => server.stop() };
    const open = (coding: string) =>
      fetch(`${server.urls.public}/channels/room/a`, {
        headers: { accept: "text/event-stream", "accept-encoding": coding },
      });
    const before = await open("gzip, zstd");
    expect(before.headers.get("content-encoding")).toBe("gzip");
    expect(await server.become(config(["zstd"], 1))).toMatchObject({ needsRestart: [] });
    const after = await open("gzip, zstd");
    expect(after.headers.get("content-encoding")).toBe("zstd");
    const late = await open("gzip");
    expect(late.headers.has("content-encoding")).toBe(false);
    await publish(server, LARGE);
    for (const stream of [before, after, late]) {
      const reader = readerOf(stream);
      let text = "";
      while (dataOf(text).length === 0) text += (await reader.read()).value!;
      expect(dataOf(text)).toEqual([LARGE]);
      await reader.cancel();
    }
    expect(await server.become(config(["zstd"], 1, true))).toMatchObject({
      needsRestart: ["server.compression.websocket"],
    });
  });
});

const DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/** Opens a WebSocket over a bare socket. */
async function openSocket(server: TestServer, headers = "") {
  const request = get("/channels/room/a", WEBSOCKET_HEADERS + headers);
  const client = await connectTcp(server.urls.public, request);
  await client.until((text) => text.includes("\r\n\r\n"));
  const received = () => Buffer.from(client.text(), "latin1");
  const start = received().indexOf("\r\n\r\n") + 4;
  return { client, head: client.text().slice(0, start), frames: () => received().subarray(start) };
}

describe("permessage-deflate", () => {
  test("is for frames that are worth it, and for clients that ask for it alone", async () => {
    await using server = await start([], { websocket: true });
    const deflating = await openSocket(server, DEFLATE);
    const plain = await openSocket(server);
    expect(deflating.head.toLowerCase()).toContain("sec-websocket-extensions: permessage-deflate");
    expect(plain.head.toLowerCase()).not.toContain("sec-websocket-extensions");
    await held(server, 2);
    await publish(server, "small");
    await publish(server, LARGE);
    await plain.client.until((text) => text.endsWith(LARGE));
    expect(readFrames(plain.frames()).map(({ payload }) => payload.toString())).toEqual([
      "small",
      LARGE,
    ]);
    await deflating.client.until(() => readFrames(deflating.frames()).length === 2);
    const [first, second] = readFrames(deflating.frames());
    expect(first!.payload.toString()).toBe("small");
    // RFC 7692 §7.2.2: what a deflate with a sync flush ends with was left out.
    const whole = Buffer.concat([second!.payload, Buffer.from([0, 0, 0xff, 0xff])]);
    const inflated = zlib.inflateRawSync(whole, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
    expect(inflated.toString()).toBe(LARGE);
    expect(second!.payload.length).toBeLessThan(LARGE.length / 10);
    deflating.client.socket.destroy();
    plain.client.socket.destroy();
  });

  test("is not offered unless the config says so", async () => {
    await using server = await start();
    const { head, client } = await openSocket(server, DEFLATE);
    expect(head.toLowerCase()).not.toContain("sec-websocket-extensions");
    client.socket.destroy();
  });

  test("takes history and what a client sends too", async () => {
    await using server = await start([], { websocket: true });
    await publish(server, LARGE);
    const url = `${server.urls.public.replace("http", "ws")}/channels/room/a?after=earliest`;
    const socket = new WebSocket(url, [], { perMessageDeflate: { threshold: 0 } });
    const [first] = (await once(socket, "message")) as [Buffer];
    expect(first.toString()).toBe(LARGE);
    expect(socket.extensions).toBe("permessage-deflate");
    socket.send(LARGE);
    const [second] = (await once(socket, "message")) as [Buffer];
    expect(second.toString()).toBe(LARGE);
    socket.terminate();
  });

  test("a frame that unpacks to more than a frame may have closes its socket, and no other", async () => {
    await using server = await start([], { websocket: true, message: 64 * 1024 });
    const url = `${server.urls.public.replace("http", "ws")}/channels/room/a`;
    const healthy = new WebSocket(url);
    const bomber = new WebSocket(url, [], { perMessageDeflate: true });
    await Promise.all([once(healthy, "open"), once(bomber, "open")]);
    const closed = once(bomber, "close");
    // 100 MiB of zeros in 100 KB.
    bomber.on("error", () => {});
    bomber.send(new Uint8Array(100 * 1024 * 1024));
    const [code] = (await closed) as [number];
    expect([1006, 1009]).toContain(code);
    const next = once(healthy, "message");
    await publish(server, "still here");
    const [frame] = (await next) as [Buffer];
    expect(frame.toString()).toBe("still here");
    healthy.terminate();
  });
});
