/** A client that does not read: it is told to come back, its position still works, nobody else notices. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "../../src/server/testing.ts";
import type { Received, Way } from "./clients/client.ts";
import { eventSource } from "./clients/sse.ts";
import {
  connectTcp,
  get,
  maskedFrame,
  readFrames,
  WEBSOCKET_HEADERS,
  type TcpClient,
} from "./clients/tcp.ts";
import { frameWebSocket, manyWebSocket } from "./clients/websocket.ts";
import { BIG, BUFFER, MOST } from "./overfill.ts";
import { publishText } from "./publish-text.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    channels: { "room/{name}": { history: { size: 1000, ttlMs: 600_000 } } },
    limits: { buffer: BUFFER, message: 128 * 1024 },
  });
});
afterAll(() => server.stop());

function held(channel: string): number {
  return server.channels.peek(channel)!.held;
}

const publish = (channel: string, text: string) => publishText(server, channel, text);

/** Publishes until the slow client is let go of; gives back the ids, while a healthy client gets all. */
async function overwhelm(channel: string, slow: TcpClient, way: Way): Promise<string[]> {
  const healthy = await way.open({ url: server.urls.public, channel });
  slow.socket.pause();
  const sent: string[] = [];
  while (held(channel) === 2 && sent.length < MOST) {
    sent.push(await publish(channel, `${sent.length} ${BIG}`));
    const got = (await healthy.next()) as Received & { type: "message" };
    expect(got.text.startsWith(`${sent.length - 1} `)).toBe(true);
  }
  expect(held(channel)).toBe(1);
  sent.push(await publish(channel, "after"));
  expect(await healthy.next()).toMatchObject({ type: "message", text: "after" });
  await healthy.close();
  slow.socket.resume();
  await slow.ended;
  return sent;
}

test("a slow WebSocket is closed with 4008", async () => {
  const slow = await connectTcp(server.urls.public, get("/channels/room/raw", WEBSOCKET_HEADERS));
  await slow.until((text) => text.includes("\r\n\r\n"));
  await overwhelm("room/raw", slow, frameWebSocket);
  const text = slow.text();
  const frames = readFrames(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1"));
  const last = frames.at(-1)!;
  expect(last.opcode).toBe(8);
  expect(last.payload.readUInt16BE(0)).toBe(4008);
  expect(last.payload.subarray(2).toString()).toContain("slow consumer");
  // What it was sent before is whole and in order.
  const numbers = frames.slice(0, -1).map(({ payload }) => parseInt(payload.toString("latin1")));
  expect(numbers).toEqual(numbers.map((_, i) => i));
});

test("a slow tidewire.v1 socket comes back with its last id and misses nothing", async () => {
  const slow = await connectTcp(
    server.urls.public,
    get("/channels/room/v1", `${WEBSOCKET_HEADERS}Sec-WebSocket-Protocol: tidewire.v1\r\n`),
  );
  await slow.until((text) => text.includes('"subscribed"'));
  const sent = await overwhelm("room/v1", slow, frameWebSocket);
  const text = slow.text();
  const frames = readFrames(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1"));
  expect(frames.at(-1)!.payload.readUInt16BE(0)).toBe(4008);
  const got = frames
    .slice(1, -1)
    .map(({ payload }) => (JSON.parse(payload.toString()) as { id: string }).id);
  expect(got).toEqual(sent.slice(0, got.length));
  const back = await frameWebSocket.open({
    url: server.urls.public,
    channel: "room/v1",
    after: got.at(-1)!,
  });
  for (const id of sent.slice(got.length)) expect(await back.next()).toMatchObject({ id });
  await back.close();
});

test("a slow SSE stream ends, and its last id still works", async () => {
  const slow = await connectTcp(
    server.urls.public,
    get("/channels/room/sse", "Accept: text/event-stream\r\nConnection: close\r\n"),
  );
  await slow.until((text) => text.includes("id: "));
  const sent = await overwhelm("room/sse", slow, eventSource);
  expect(slow.text().endsWith("0\r\n\r\n")).toBe(true);
  const got = [...slow.text().matchAll(/^id: (.*-[1-9]\d*)$/gm)].map((match) => match[1]!);
  expect(got).toEqual(sent.slice(0, got.length));
  expect(got.length).toBeLessThan(sent.length);
  const back = await eventSource.open({
    url: server.urls.public,
    channel: "room/sse",
    after: got.at(-1)!,
  });
  for (const id of sent.slice(got.length)) expect(await back.next()).toMatchObject({ id });
  await back.close();
});

const V1 = `${WEBSOCKET_HEADERS}Sec-WebSocket-Protocol: tidewire.v1\r\n`;
/** JSON writes each of its characters with six. */
const CONTROL = "\u0001".repeat(40_000);

/** What it was sent, in order: the number that each message starts with. */
const numbersIn = (text: string) =>
  [...text.matchAll(/(?<![\d.])(\d+) (?:x{100}|\\u0001)/g)].map((match) => Number(match[1]));

describe("a client with more history to read than any buffer holds", () => {
  test.each([
    ["SSE", "sse", "Accept: text/event-stream\r\n", BIG],
    ["raw WebSocket", "raw", WEBSOCKET_HEADERS, BIG],
    ["tidewire.v1", "v1", V1, BIG],
    ["tidewire.v1, six bytes for each that is kept,", "control", V1, CONTROL],
  ])("%s catches up at its own pace, and is live then", async (_, name, headers, data) => {
    const channel = `room/history-${name}`;
    const count = 150;
    for (let i = 0; i < count; i++) await publish(channel, `${i} ${data}`);
    const slow = await connectTcp(
      server.urls.public,
      get(`/channels/${channel}?after=earliest`, headers),
    );
    await slow.until((text) => numbersIn(text.slice(0, 500_000)).length > 0);
    slow.socket.pause();
    const { channel: live } = server.channels.peek(channel)!;
    // Still there, and not level: the server waits for it to read.
    for (let turn = 0; turn < 20; turn++) {
      await Bun.sleep(2);
      expect([held(channel), live.fanOut.size]).toEqual([1, 0]);
    }
    slow.socket.resume();
    while (live.fanOut.size === 0) await Bun.sleep(2);
    const last = await publish(channel, `${count} ${data}`);
    expect(last).toEndWith(`-${count + 1}`);
    const chunk = () => slow.text().slice(-700_000);
    await slow.until(() =>
      chunk().includes(`${count} ${data.slice(0, 1) === "x" ? "x" : "\\u0001"}`),
    );
    expect(numbersIn(slow.text())).toEqual(Array.from({ length: count + 1 }, (_, i) => i));
    slow.socket.destroy();
  });
});

test("a slow socket with many channels, each with little to send, is closed with 4008", async () => {
  // Each sends less than the part of a buffer after which a group looks at its members.
  const channels = Array.from({ length: 300 }, (_, i) => `room/many-${i}`);
  const data = "x".repeat(50_000);
  const slow = await connectTcp(server.urls.public, get("/channels", V1));
  await slow.until((text) => text.includes("\r\n\r\n"));
  for (const channel of channels) {
    slow.socket.write(maskedFrame(JSON.stringify({ type: "subscribe", channel })));
  }
  await slow.until((text) => text.split('"subscribed"').length === channels.length + 1);
  const healthy = await manyWebSocket.open({ url: server.urls.public, channel: channels[0]! });
  slow.socket.pause();
  for (const [i, channel] of channels.entries()) await publish(channel, `${i} ${data}`);
  expect([held(channels[0]!), held(channels[1]!)]).toEqual([1, 0]);
  expect(await healthy.next()).toMatchObject({ type: "message", text: `0 ${data}` });
  await publish(channels[0]!, "after");
  expect(await healthy.next()).toMatchObject({ type: "message", text: "after" });
  await healthy.close();
  slow.socket.resume();
  await slow.ended;
  const text = slow.text();
  const frames = readFrames(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1"));
  expect(frames.at(-1)!.opcode).toBe(8);
  expect(frames.at(-1)!.payload.readUInt16BE(0)).toBe(4008);
  expect(numbersIn(text)).toEqual(numbersIn(text).map((_, i) => i));
});
