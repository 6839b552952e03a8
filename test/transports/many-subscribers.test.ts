/** 500 subscribers of one channel, on each transport: every one gets everything, in one order. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "../../src/server/testing.ts";
import { connectTcp, get, readFrames, WEBSOCKET_HEADERS, type TcpClient } from "./clients/tcp.ts";
import { publishText } from "./publish-text.ts";

const SUBSCRIBERS = 500;
const MESSAGES = 20;
const EXPECTED = Array.from({ length: MESSAGES }, (_, i) => `message ${i}`);

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    channels: { "room/{name}": {} },
    server: { http2Push: { listen: { hostname: "127.0.0.1", port: 0 }, tls: null } },
  });
});
afterAll(() => server.stop());

async function subscribe(request: string, opened: string): Promise<TcpClient[]> {
  return Promise.all(
    Array.from({ length: SUBSCRIBERS }, async () => {
      const client = await connectTcp(server.urls.public, request);
      await client.until((text) => text.includes(opened));
      return client;
    }),
  );
}

async function publishAll(channel: string): Promise<void> {
  for (const text of EXPECTED) await publishText(server, channel, text);
}

test("WebSocket serves 500 subscribers", async () => {
  const clients = await subscribe(get("/channels/room/ws", WEBSOCKET_HEADERS), "\r\n\r\n");
  await publishAll("room/ws");
  for (const client of clients) {
    await client.until((text) => text.includes(EXPECTED.at(-1)!));
    const text = client.text();
    const frames = readFrames(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1"));
    expect(frames.map(({ payload }) => payload.toString())).toEqual(EXPECTED);
    client.socket.destroy();
  }
});

test("SSE serves 500 subscribers", async () => {
  const clients = await subscribe(
    get("/channels/room/sse", "Accept: text/event-stream\r\n"),
    "id: ",
  );
  await publishAll("room/sse");
  for (const client of clients) {
    await client.until((text) => text.includes(EXPECTED.at(-1)!));
    expect([...client.text().matchAll(/^data: (.*)$/gm)].map((match) => match[1]!)).toEqual(
      EXPECTED,
    );
    client.socket.destroy();
  }
});

test("long-poll serves 500 subscribers", async () => {
  const poll = async () => {
    const got: string[] = [];
    const client = await connectTcp(server.urls.public, get("/channels/room/poll?after=earliest"));
    for (let at = 0; got.length < MESSAGES;) {
      const ending = () => client.text().indexOf("\r\n\r\n", at);
      await client.until(() => ending() >= 0);
      const head = client.text().slice(at, ending());
      const length = Number(/content-length: (\d+)/i.exec(head)![1]);
      const body = ending() + 4;
      await client.until((text) => text.length >= body + length);
      got.push(client.text().slice(body, body + length));
      at = body + length;
      client.socket.write(get(/<([^>]+)>; rel="next"/.exec(head)![1]!));
    }
    client.socket.destroy();
    return got;
  };
  const polls = Array.from({ length: SUBSCRIBERS }, poll);
  await publishAll("room/poll");
  for (const got of await Promise.all(polls)) expect(got).toEqual(EXPECTED);
});

const HTTP2_SCRIPT = `
import http2 from "node:http2";
const [url, subscribers, messages] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
const got = [];
let open = 0;
const sessions = [];
// One connection takes at most 100 streams of its client at once.
for (let i = 0; i < subscribers; i++) {
  if (i % 100 === 0) {
    const session = http2.connect(url);
    session.pushed = new Map();
    // Which subscriber a push is for is told by the stream that it was promised on, which Node does
    // not show: each subscriber of a connection gets every message, so they are counted.
    session.on("stream", (stream, headers) => {
      const chunks = [];
      stream.on("data", (chunk) => chunks.push(chunk));
      stream.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        session.pushed.set(text, (session.pushed.get(text) ?? 0) + 1);
        done();
      });
    });
    sessions.push(session);
  }
  const held = sessions.at(-1).request({ ":path": "/channels/room/push", accept: "application/vnd.tidewire.push" });
  held.once("data", () => { if (++open === subscribers) console.log("open"); });
}
let total = 0;
function done() {
  if (++total < subscribers * messages) return;
  console.log(JSON.stringify(sessions.map((session) => [...session.pushed])));
  process.exit();
}
`;

test("HTTP/2 push serves 500 subscribers", async () => {
  const child = Bun.spawn(
    [
      "node",
      "--input-type=module",
      "-e",
      HTTP2_SCRIPT,
      server.urls.http2Push!,
      String(SUBSCRIBERS),
      String(MESSAGES),
    ],
    { stdout: "pipe", stderr: "inherit" },
  );
  let said = "";
  let isPublished = false;
  for await (const chunk of child.stdout) {
    said += new TextDecoder().decode(chunk);
    if (isPublished || !said.includes("open\n")) continue;
    isPublished = true;
    await publishAll("room/push");
  }
  const sessions = JSON.parse(said.split("\n")[1]!) as [string, number][][];
  expect(sessions).toHaveLength(SUBSCRIBERS / 100);
  for (const pushed of sessions) {
    expect(pushed.toSorted()).toEqual(
      EXPECTED.map((text): [string, number] => [text, 100]).toSorted(),
    );
  }
});
