/** A channel is taken out of the config while a subscriber lags: what it never got is told before the end. */
import { afterEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

let server: TestServer;
afterEach(() => server?.stop());

const BUFFER = 64 * 1024;
const configOf = (...names: string[]): TestConfig => ({
  channels: Object.fromEntries(names.map((name) => [name, { slow: "drop-oldest" as const }])),
  limits: { buffer: BUFFER },
});

/** A WebSocket's request, of RFC 6455 §1.3. */
const UPGRADE =
  "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tidewire.v1\r\n\r\n";

/** Sends the request and what follows it, and reads until `begun` has come, then no more. */
async function stalled(request: string, begun: string, then = ""): Promise<Socket> {
  const { hostname, port } = new URL(server.urls.public);
  const socket = connect(Number(port), hostname);
  socket.write(request);
  let text = "";
  await new Promise<void>((resolve) =>
    socket.on("data", (chunk: Buffer) => {
      if (text === "" && then) socket.write(then, "latin1");
      text += chunk.toString("latin1");
      if (text.includes(begun)) resolve();
    }),
  );
  return socket.pause();
}

/** A text frame of a client (RFC 6455 §5.2), masked with zeros. */
function masked(text: string): string {
  return String.fromCharCode(0x81, 0x80 | text.length, 0, 0, 0, 0) + text;
}

const WAYS = [
  [
    "an event stream",
    () =>
      stalled(
        "GET /channels/prices HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
        "id: ",
      ),
    "event: tidewire:gone",
    /event: tidewire:gap\nid: .*\ndata: (.*)/,
  ],
  [
    "an event stream of many channels",
    () =>
      stalled(
        "GET /channels?channel=prices&channel=other HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
        "id: ",
      ),
    "event: tidewire:gone",
    /event: tidewire:gap\ndata: (.*)/,
  ],
  [
    "a WebSocket of one channel",
    () => stalled(`GET /channels/prices HTTP/1.1\r\n${UPGRADE}`, `"type":"subscribed"`),
    "no longer there",
    /(\{"type":"gap"[^}]*\})/,
  ],
  [
    "a WebSocket of many channels",
    () =>
      stalled(
        `GET /channels HTTP/1.1\r\n${UPGRADE}`,
        `"type":"subscribed"`,
        masked(`{"type":"subscribe","channel":"prices"}`),
      ),
    `"code":"channel-gone"`,
    /(\{"type":"gap"[^}]*\})/,
  ],
] as const;

test.each(WAYS)("%s", async (_way, open, end, gap) => {
  server = await startTestServer(configOf("prices", "other"));
  const socket = await open();
  const { channel } = server.channels.peek("prices")!;
  while (channel.laggards.size === 0) {
    void channel.publish([{ data: "x".repeat(10_000) }]);
    channel.fanOut.flush();
    // The writes of a stream are not made in the turn of its batch.
    await new Promise(setImmediate);
  }
  for (let i = 0; i < 3; i++) void channel.publish([{ data: i }]);
  channel.fanOut.flush();
  const top = channel.position;
  const read: Buffer[] = [];
  const text = () => Buffer.concat(read).toString("latin1");
  const ended = new Promise<void>((resolve) =>
    socket.on("data", (chunk: Buffer) => {
      read.push(chunk);
      if (text().includes(end)) resolve();
    }),
  );
  await server.become(configOf("other"));
  socket.resume();
  await ended;
  socket.destroy();
  const all = text();
  const told = JSON.parse(gap.exec(all)![1]!) as { after: string; id: string };
  expect(told).toMatchObject({ id: top });
  expect(all.indexOf(gap.exec(all)![0])).toBeLessThan(all.indexOf(end));
  // Whole messages came up to where it begins, and none after it.
  const count = Number(told.after.split("-")[1]);
  expect([...all.matchAll(/x{10000}/g)].length).toBe(count);
});
