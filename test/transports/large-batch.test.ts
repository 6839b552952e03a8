/** One POST of more than any buffer holds: who keeps up gets all of it, who does not is told. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "../../src/server/testing.ts";
import { WAYS } from "./clients/all.ts";
import type { Received, Way } from "./clients/client.ts";
import { connectTcp, get, readFrames, WEBSOCKET_HEADERS, type TcpClient } from "./clients/tcp.ts";

const BUFFER = 1 << 20;
const COUNT = 15;
const SIZE = 1_000_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    channels: { "room/{name}": { history: { size: 100, ttlMs: 600_000 } } },
    server: { http2Push: { listen: { hostname: "127.0.0.1", port: 0 }, tls: null } },
    limits: { buffer: BUFFER },
  });
});
afterAll(() => server.stop());

/** Publishes all in one request: one batch. */
async function publish(channel: string): Promise<string[]> {
  const lines = Array.from({ length: COUNT }, (_, i) => JSON.stringify(`${i} `.padEnd(SIZE, "x")));
  const response = await fetch(`${server.urls.public}/channels/${channel}`, {
    method: "POST",
    body: lines.join("\n"),
    headers: { "content-type": "application/x-ndjson" },
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { ids: string[] }).ids;
}

const urlOf = ({ transport }: Way) =>
  transport === "http2-push" ? server.urls.http2Push! : server.urls.public;

describe.each(WAYS.map((way) => [way.name, way] as const))("%s", (name, way) => {
  test("gets all of a batch of fifteen times its buffer, coming back where it is told to", async () => {
    const channel = `room/${name.replaceAll(/\W/g, "-")}`;
    // The position before the first message, for a client that is told to go before it has one.
    const opened = await fetch(`${server.urls.public}/channels/${channel}?wait=0`);
    let after = /after=([^>]+)>/.exec(opened.headers.get("link")!)![1]!;
    let client = await way.open({ url: urlOf(way), channel, after });
    await publish(channel);
    for (let i = 0; i < COUNT;) {
      const got: Received = await client.next();
      if (got.type === "message") {
        expect(parseInt(got.text.replace(/^"/, ""))).toBe(i++);
        expect(got.text.length).toBeGreaterThanOrEqual(SIZE);
        after = got.id ?? after.replace(/\d+$/, String(i));
        continue;
      }
      // The network may not take it: then it is told, in a way that means "come back".
      expect(got).toMatchObject({ type: "end" });
      expect([4008, null]).toContain((got as Received & { type: "end" }).code);
      await client.close();
      client = await way.open({ url: urlOf(way), channel, after });
    }
    await client.close();
  });
});

async function stalled(request: string, opened: string): Promise<TcpClient> {
  const client = await connectTcp(server.urls.public, request);
  await client.until((text) => text.includes(opened));
  client.socket.pause();
  return client;
}

const framesOf = (client: TcpClient) => {
  const text = client.text();
  return readFrames(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1"));
};

const V1 = `${WEBSOCKET_HEADERS}Sec-WebSocket-Protocol: tidewire.v1\r\n`;

test("a WebSocket that reads nothing of it is closed with 4008, never cut off", async () => {
  const clients = [
    await stalled(get("/channels/room/stalled", WEBSOCKET_HEADERS), "\r\n\r\n"),
    await stalled(get("/channels/room/stalled", V1), '"subscribed"'),
  ];
  await publish("room/stalled");
  const { channel } = server.channels.peek("room/stalled")!;
  while (channel.fanOut.pendingBytes > 0) await Bun.sleep(2);
  for (const client of clients) {
    client.socket.resume();
    await client.ended;
    const frames = framesOf(client);
    const last = frames.at(-1)!;
    expect(last.opcode).toBe(8);
    expect(last.payload.readUInt16BE(0)).toBe(4008);
    expect(frames.length).toBeLessThan(COUNT);
  }
});

test("a stream that reads nothing of it keeps no more than a buffer and a message", async () => {
  const client = await stalled(
    get("/channels/room/sse", "Accept: text/event-stream\r\nConnection: close\r\n"),
    "id: ",
  );
  await publish("room/sse");
  const { channel } = server.channels.peek("room/sse")!;
  while (channel.fanOut.pendingBytes > 0) await Bun.sleep(2);
  expect(channel.fanOut.size).toBe(0);
  client.socket.resume();
  await client.ended;
  const got = [...client.text().matchAll(/^id: .*-([1-9]\d*)$/gm)].map((match) => Number(match[1]));
  expect(got).toEqual(got.map((_, i) => i + 1));
  // What the kernel took for the connection, and what waited.
  expect(got.length).toBeLessThan(COUNT - 3);
});

test("a held envelope poll is answered with no more of it than a page", async () => {
  const poll = fetch(`${server.urls.public}/channels/room/poll`, {
    headers: { accept: "application/vnd.tidewire+json" },
  });
  while ((server.channels.peek("room/poll")?.held ?? 0) === 0) await Bun.sleep(2);
  await publish("room/poll");
  const { length } = await (await poll).text();
  expect(length).toBeGreaterThan(SIZE);
  expect(length).toBeLessThan(SIZE + BUFFER);
});
