/** What hooks send to one client, and how long they take for it, on every transport that has room for it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { definePlugin } from "../../src/plugin/sdk.ts";
import { TestSocket } from "../../src/server/socket-testing.ts";
import { startTestServer, type TestServer } from "../../src/server/testing.ts";
import { connectTcp, get, maskedFrame, readFrames, WEBSOCKET_HEADERS } from "./clients/tcp.ts";
import { publishText } from "./publish-text.ts";

const BUFFER = 64 * 1024;
const LARGE = "x".repeat(BUFFER + 5000);

/** Frames that wait in `receive` until the test lets them go. */
const waiting: (() => void)[] = [];

const snapshot = definePlugin({
  name: "snapshot",
  setup: () => ({ joined: (client) => client.send(LARGE, { event: "snapshot" }) }),
});
const flood = definePlugin({
  name: "flood",
  setup: () => ({
    joined(client) {
      for (let i = 0; i < 100; i++) client.send(LARGE.slice(0, 5000));
    },
  }),
});
const bytes = definePlugin({
  name: "bytes",
  setup: () => ({
    receive(_data, client) {
      client.send(new Uint8Array([1, 2, 3]));
      return null;
    },
  }),
});
const slow = definePlugin({
  name: "slow",
  setup: () => ({
    receive: (data) =>
      new Promise((resolve) => waiting.push(() => resolve({ data: `slow ${String(data)}` }))),
  }),
});
const echo = definePlugin({
  name: "echo",
  setup: () => ({
    receive(_data, client) {
      client.send("x".repeat(10_000));
      return null;
    },
  }),
});

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    limits: { buffer: BUFFER },
    channels: {
      snapshot: { plugins: [snapshot] },
      flood: { plugins: [flood] },
      bytes: { plugins: [bytes] },
      slow: { plugins: [slow] },
      echo: { plugins: [echo] },
      quick: {},
    },
  });
});
afterAll(() => server.stop());

const publish = (channel: string, text: string) => publishText(server, channel, text);

describe("client.send() in joined(), over SSE", () => {
  // A buffer counts bytes as they are sent.
  const accept = { headers: { accept: "text/event-stream", "accept-encoding": "identity" } };

  test("may send more than the buffer at once: the stream goes on", async () => {
    const client = await connectTcp(
      server.urls.public,
      get("/channels/snapshot", "Accept: text/event-stream\r\n"),
    );
    await client.until((text) => text.includes("\nid: "));
    await publish("snapshot", "live");
    await client.until((text) => text.includes("data: live"));
    expect(
      client
        .text()
        .match(/x{100,}/g)!
        .join(""),
    ).toBe(LARGE);
    client.socket.destroy();
  });

  test("ends the stream of more than the buffer piece by piece, and leaves no member behind", async () => {
    const response = await fetch(`${server.urls.public}/channels/flood`, accept);
    const text = await response.text();
    expect(text.length).toBeGreaterThan(BUFFER - 10_000);
    // A quarter more than the buffer, which may be full of what is for all.
    expect(text.length).toBeLessThan(BUFFER * 1.25 + 10_000);
    const live = server.channels.peek("flood")!;
    expect([live.held, live.channel.fanOut.size]).toEqual([0, 0]);
  });
});

describe("client.send() over tidewire.v1", () => {
  test("sends bytes as base64, and says so", async () => {
    const socket = await TestSocket.open(`${server.urls.public}/channels/bytes`, "tidewire.v1");
    await socket.json();
    expect(await socket.ask({ type: "publish", data: "x" })).toEqual({
      type: "message",
      channel: "bytes",
      data: "AQID",
      encoding: "base64",
    });
    socket.close();
  });
});

describe("a client that reads none of the answers to its frames", () => {
  test.each([
    ["raw", WEBSOCKET_HEADERS, "x"],
    [
      "tidewire.v1",
      `${WEBSOCKET_HEADERS}Sec-WebSocket-Protocol: tidewire.v1\r\n`,
      JSON.stringify({ type: "publish", data: "x" }),
    ],
  ])("is closed with 4008, %s", async (_, headers, frame) => {
    const client = await connectTcp(server.urls.public, get("/channels/echo", headers));
    await client.until((text) => text.includes("\r\n\r\n"));
    client.socket.pause();
    const live = server.channels.peek("echo")!;
    for (let i = 0; live.held === 1 && i < 5000; i++) {
      client.socket.write(maskedFrame(frame));
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.socket.resume();
    await client.ended;
    const text = client.text();
    const frames = readFrames(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1"));
    expect(frames.at(-1)!.opcode).toBe(8);
    expect(frames.at(-1)!.payload.readUInt16BE(0)).toBe(4008);
  });
});

describe("a receive() that takes its time on one channel of a socket", () => {
  test("holds up that channel's frames, in order, and no other channel", async () => {
    const socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
    for (const ref of [1, 2]) socket.send({ type: "publish", channel: "slow", data: ref, ref });
    expect(await socket.ask({ type: "subscribe", channel: "quick", ref: 3 })).toMatchObject({
      type: "subscribed",
      ref: 3,
    });
    socket.send({ type: "publish", channel: "quick", data: "x", ref: 4 });
    const answers = [await socket.json(), await socket.json()].map(({ type }) => type);
    expect(answers.toSorted()).toEqual(["ack", "message"]);
    expect(waiting).toHaveLength(1);
    waiting.shift()!();
    expect(await socket.json()).toMatchObject({ type: "ack", ref: 1 });
    waiting.shift()!();
    expect(await socket.json()).toMatchObject({ type: "ack", ref: 2 });
    socket.close();
  });
});
