/** The four transports in the executable: one history, and a real push over TLS. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Folder, start, WrittenLog, type RunningServer } from "./executable.ts";
import type { TestClient } from "./transports/clients/client.ts";
import { http2Push } from "./transports/clients/http2-push.ts";
import { rawPoll } from "./transports/clients/long-poll.ts";
import { eventSource } from "./transports/clients/sse.ts";
import { manyWebSocket } from "./transports/clients/websocket.ts";

const CHANNELS = `control: { listen: 127.0.0.1:0 }
channels:
  news: { transports: [websocket, sse, long-poll, http2-push], history: { size: 4 } }
`;

const folder = new Folder({
  "cleartext.yaml": `server: { listen: 127.0.0.1:0, http2_push: { listen: 127.0.0.1:0 } }
${CHANNELS}`,
  "tls.yaml": `server:
  listen: 127.0.0.1:0
  http2_push: { listen: 127.0.0.1:0, tls: self-signed }
  static: { root: ./public, push: { /: [/style.css] } }
${CHANNELS}`,
  "public/index.html": '<link rel="stylesheet" href="/style.css">',
  "public/style.css": "body { color: teal }",
});
let cleartext: RunningServer;
let tls: RunningServer;

beforeAll(async () => {
  [cleartext, tls] = await Promise.all([
    start(folder, { config: "cleartext.yaml" }),
    start(folder, { config: "tls.yaml" }),
  ]);
});
afterAll(async () => {
  await cleartext[Symbol.asyncDispose]();
  await tls[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

async function publish(server: RunningServer, ...texts: readonly string[]): Promise<void> {
  const entries = texts.map((data) => ({ channel: "news", data }));
  const response = await fetch(`${server.controlUrl}/publish`, {
    method: "POST",
    body: JSON.stringify(entries),
  });
  expect(response.status).toBe(201);
}

/** Takes these messages from a client, no other between them, and gives the position of the last. */
async function take(client: TestClient, ...texts: readonly string[]): Promise<string> {
  let id = "";
  for (const text of texts) {
    const received = await client.next();
    expect(received).toMatchObject({ type: "message", text });
    if (received.type === "message") id = received.id!;
  }
  return id;
}

test("a client goes from transport to transport with its position and misses nothing", async () => {
  const at = { url: cleartext.publicUrl, channel: "news" };
  const sse = await eventSource.open(at);
  await publish(cleartext, "1", "2");
  let after = await take(sse, "1", "2");
  await sse.close();

  await publish(cleartext, "3");
  const poll = await rawPoll.open({ ...at, after });
  await publish(cleartext, "4");
  after = await take(poll, "3", "4");
  await poll.close();

  await publish(cleartext, "5");
  const socket = await manyWebSocket.open({ ...at, after });
  await publish(cleartext, "6");
  after = await take(socket, "5", "6");
  await socket.close();

  await publish(cleartext, "7");
  const push = await http2Push.open({ ...at, url: cleartext.pushUrl, after });
  await publish(cleartext, "8");
  const last = await take(push, "7", "8");
  await push.close();

  // Four are kept: 5 is the first of them, and who has 2 has missed some.
  const [epoch] = last.split("-");
  const late = await eventSource.open({ ...at, after: `${epoch}-2` });
  expect(await late.next()).toEqual({ type: "gap", after: `${epoch}-2`, id: `${epoch}-4` });
  await take(late, "5", "6", "7", "8");
  await late.close();
});

test("messages are pushed to nghttp over TLS with a self-signed certificate", async () => {
  await publish(tls, "before");
  const child = Bun.spawn(
    [
      "nghttp",
      "--verbose",
      "--header=accept: application/vnd.tidewire.push",
      `${tls.pushUrl}/channels/news?after=earliest`,
    ],
    { stdout: "pipe", stderr: "ignore" },
  );
  const out = new WrittenLog(child.stdout);
  const isPromise = (line: string) => line.includes("recv PUSH_PROMISE frame");
  await out.line(isPromise);
  await publish(tls, "now");
  await out.line(isPromise, 2);
  await out.line((line) => line.startsWith("now"));
  const paths = out.lines.flatMap((line) => /recv .* :path: (.*)$/.exec(line)?.[1] ?? []);
  expect(paths).toEqual([
    expect.stringMatching(/^\/channels\/news\/messages\/\w+-1$/),
    expect.stringMatching(/^\/channels\/news\/messages\/\w+-2$/),
  ]);
  child.kill();
  await child.exited;
});

test("a page's stylesheet is pushed to nghttp, which asked for the page alone", async () => {
  const child = Bun.spawn(["nghttp", "--verbose", tls.pushUrl], {
    stdout: "pipe",
    stderr: "ignore",
  });
  const out = await new Response(child.stdout).text();
  expect(out.match(/recv \(.*\) :path: .*/g)).toEqual([expect.stringMatching(/ \/style\.css$/)]);
  expect(out).toContain("body { color: teal }");
  expect(out).toContain('<link rel="stylesheet" href="/style.css">');
});
