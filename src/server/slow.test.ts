/** `slow`, the policy for slow subscribers, by reload and in the report. */
import { afterEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

let server: TestServer;
afterEach(() => server?.stop());

const BUFFER = 64 * 1024;
const configOf = (slow: "disconnect" | "drop-oldest" | "latest"): TestConfig => ({
  control: { listen: { hostname: "127.0.0.1", port: 0 }, token: null },
  channels: { prices: { slow } },
  limits: { buffer: BUFFER },
});

async function report(): Promise<unknown> {
  const response = await fetch(`${server.urls.control}/channels/prices`);
  return ((await response.json()) as { slow: unknown }).slow;
}

/** An event stream whose client reads its beginning and then no more. */
async function stalled(): Promise<Socket> {
  const { hostname, port } = new URL(server.urls.public);
  const socket = connect(Number(port), hostname);
  socket.write(
    "GET /channels/prices HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
  );
  let text = "";
  await new Promise<void>((resolve) =>
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.includes("id: ")) resolve();
    }),
  );
  return socket.pause();
}

/** Publishes until no stream is in the live group. */
async function overwhelm(): Promise<void> {
  const { channel } = server.channels.peek("prices")!;
  const live = () => channel.fanOut.size - channel.laggards.size;
  for (let sent = 0; live() > 0; sent++) {
    expect(sent).toBeLessThan(4000);
    void channel.publish([{ data: "x".repeat(10_000), key: `${sent % 2}` }]);
    channel.fanOut.flush();
    // The writes of a stream are not made in the turn of its batch.
    await new Promise(setImmediate);
  }
}

test("another policy by reload is for subscribers that come from then on", async () => {
  server = await startTestServer(configOf("disconnect"));
  const sockets = [await stalled()];
  expect(await report()).toEqual({ policy: "disconnect", lagging: 0, dropped: 0 });
  expect((await server.become(configOf("latest"))).changed).toEqual(["prices"]);
  sockets.push(await stalled());
  await server.become(configOf("drop-oldest"));
  sockets.push(await stalled());
  expect(server.channels.peek("prices")!.held).toBe(3);
  await overwhelm();
  expect(server.channels.peek("prices")!.held).toBe(2);
  expect(await report()).toEqual({ policy: "drop-oldest", lagging: 2, dropped: 0 });
  for (const socket of sockets) socket.resume();
  const { laggards } = server.channels.peek("prices")!.channel;
  while (laggards.size > 0) await new Promise(setImmediate);
  expect(await report()).toMatchObject({ policy: "drop-oldest", lagging: 0 });
  for (const socket of sockets) socket.destroy();
});

test("messages that were dropped are counted once for each subscriber that was told", async () => {
  server = await startTestServer(configOf("latest"));
  const sockets = [await stalled(), await stalled()];
  await overwhelm();
  const { channel } = server.channels.peek("prices")!;
  for (let i = 0; i < 10; i++) void channel.publish([{ data: i, key: "0" }]);
  channel.fanOut.flush();
  expect(channel.laggards).toMatchObject({ size: 2, dropped: 0 });
  let text = "";
  sockets[0]!.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  sockets[0]!.resume();
  while (!text.includes(`id: ${channel.position}\n`)) await new Promise(setImmediate);
  const gaps = [...text.matchAll(/"after":"\w+-(\d+)","id":"\w+-(\d+)"/g)];
  const lost = gaps.reduce((sum, [, after, id]) => sum + Number(id) - Number(after), 0);
  expect(lost).toBeGreaterThanOrEqual(9);
  expect(await report()).toEqual({ policy: "latest", lagging: 1, dropped: lost });
  for (const socket of sockets) socket.destroy();
});
