import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rawGet, sendRaw } from "./raw-http-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
let ids: string[];
beforeAll(async () => {
  server = await startTestServer({
    channels: {
      all: {},
      stream: { transports: ["sse"] },
      "poll/{name}": { transports: ["long-poll"] },
    },
  });
  const response = await fetch(`${server.urls.public}/channels/all`, {
    method: "POST",
    body: "1\n2\n3\n4",
    headers: { "content-type": "application/x-ndjson" },
  });
  ({ ids } = (await response.json()) as { ids: string[] });
});
afterAll(() => server.stop());

function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(server.urls.public + path, { headers });
}

async function problemOf(response: Response): Promise<Record<string, unknown>> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return (await response.json()) as Record<string, unknown>;
}

/** The ids of an event stream up to the one that is awaited. */
async function idsUntil(response: Response, last: string): Promise<string[]> {
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes(`id: ${last}\n`)) break;
  }
  return [...text.matchAll(/^id: (.*)$/gm)].map((match) => match[1]!);
}

describe("a channel answers", () => {
  test("an Accept header in any case (RFC 9110 §8.3.1)", async () => {
    const stream = await get("/channels/stream?last=1", { accept: "TEXT/Event-Stream" });
    expect(stream.headers.get("content-type")).toBe("text/event-stream");
    await stream.body!.cancel();
    const accept = "Application/VND.tidewire+JSON";
    const page = await get("/channels/all?after=earliest", { accept });
    expect(page.headers.get("content-type")).toBe("application/vnd.tidewire+json");
  });

  test("a GET by long-poll, unless the request says something else", async () => {
    const response = await get("/channels/all?after=earliest");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.text()).toBe("1");
  });

  test("Accept: text/event-stream by SSE, among other types too", async () => {
    for (const accept of ["text/event-stream", "text/html, text/event-stream;q=0.9"]) {
      const response = await get("/channels/all?after=earliest", { accept });
      expect(response.headers.get("content-type")).toBe("text/event-stream");
      expect(await idsUntil(response, ids[3]!)).toEqual(ids);
    }
  });

  test("Upgrade: websocket by WebSocket, in any case", async () => {
    const request = rawGet(
      "/channels/all",
      "Upgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    );
    expect((await sendRaw(server.urls.public, request)).status).toBe(101);
  });

  test("?transport= before what the headers ask for", async () => {
    const accept = "text/event-stream";
    const poll = await get("/channels/all?transport=long-poll&after=earliest", { accept });
    expect(await poll.text()).toBe("1");
    const stream = await get("/channels/all?transport=sse&after=earliest", { accept: "*/*" });
    expect(await idsUntil(stream, ids[3]!)).toEqual(ids);
  });

  test("http2-push by SSE where the connection takes no pushes", async () => {
    const response = await get("/channels/all?transport=http2-push&after=earliest");
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(await idsUntil(response, ids[3]!)).toEqual(ids);
  });

  test("406 with the list of its transports for one that it does not expose", async () => {
    const response = await get("/channels/stream");
    expect(response.status).toBe(406);
    expect(await problemOf(response)).toEqual({
      type: "urn:tidewire:problem:transport-not-exposed",
      title: "transport not exposed",
      status: 406,
      detail: 'channel "stream" does not expose long-poll; it exposes sse',
      transports: ["sse"],
    });
    const socket = await get("/channels/stream?transport=websocket");
    expect(socket.status).toBe(406);
    // A channel that is refused is not brought to life for it.
    expect((await get("/channels/poll/new?transport=sse")).status).toBe(406);
    expect(server.channels.peek("poll/new")).toBeNull();
  });

  test("400 for a transport that there is not", async () => {
    const response = await get("/channels/all?transport=carrier-pigeon");
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({
      type: "urn:tidewire:problem:unknown-transport",
      detail:
        'transport is "carrier-pigeon"; it must be one of websocket, http2-push, sse, long-poll',
    });
  });

  test("426 when a WebSocket is asked for without its handshake", async () => {
    const response = await get("/channels/all?transport=websocket");
    expect(response.status).toBe(426);
    expect(response.headers.get("upgrade")).toBe("websocket");
    expect(await problemOf(response)).toMatchObject({ type: "urn:tidewire:problem:bad-handshake" });
  });

  test("400 for a subprotocol that it does not speak", async () => {
    const request = rawGet(
      "/channels/all",
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n",
    );
    const { status, body } = await sendRaw(server.urls.public, request);
    expect(status).toBe(400);
    expect(JSON.parse(body)).toMatchObject({
      type: "urn:tidewire:problem:unknown-subprotocol",
      detail:
        'the subprotocol is "mqtt"; Tidewire speaks "tidewire.v1", or raw frames when none is offered',
    });
  });
});

describe("a client starts", () => {
  const sse = { accept: "text/event-stream" };

  test("after Last-Event-ID rather than after or last", async () => {
    const response = await get(`/channels/all?after=${ids[0]}&last=4`, {
      ...sse,
      "last-event-id": ids[2]!,
    });
    expect(await idsUntil(response, ids[3]!)).toEqual([ids[3]!]);
  });

  test("after ?after= rather than ?last=", async () => {
    const response = await get(`/channels/all?last=4&after=${ids[1]}`, sse);
    expect(await idsUntil(response, ids[3]!)).toEqual(ids.slice(2));
  });

  test("with the newest ?last= messages, and live where it is 0", async () => {
    expect(await idsUntil(await get("/channels/all?last=2", sse), ids[3]!)).toEqual(ids.slice(2));
    expect((await get("/channels/all?last=0&wait=0")).status).toBe(204);
    expect((await get("/channels/all?last=99999&wait=0")).status).toBe(200);
  });

  test("after If-None-Match by long-poll, and only there", async () => {
    const headers = { "if-none-match": `"${ids[2]}"` };
    const response = await get("/channels/all?after=earliest", headers);
    expect(await response.text()).toBe("4");
    const weak = await get("/channels/all", { "if-none-match": `W/"${ids[0]}"` });
    expect(await weak.text()).toBe("2");
    const stream = await get("/channels/all?after=earliest", { ...sse, ...headers });
    expect(await idsUntil(stream, ids[3]!)).toEqual(ids);
  });

  test("with a gap when If-None-Match is of something else", async () => {
    const response = await get("/channels/all", { "if-none-match": '"of another cache"' });
    expect(response.headers.get("tidewire-gap")).toBe(
      `after="unknown-0", id="${ids[0]!.replace(/1$/, "0")}"`,
    );
    expect(await response.text()).toBe("1");
  });

  test("live with none of them", async () => {
    const socket = await TestSocket.open(`${server.urls.public}/channels/all`, "tidewire.v1");
    expect(await socket.json()).toMatchObject({
      type: "subscribed",
      id: ids[3]!,
      recovered: false,
    });
    socket.close();
  });

  const bad: [string, string, Record<string, string>?][] = [
    [
      "?after=yesterday",
      'after is "yesterday"; it must be the id of a message, such as "mfz3k9-42", "earliest" or "state"',
    ],
    ["?after=abc-01", 'after is "abc-01"; it must be'],
    ["?after=abc-1e3", 'after is "abc-1e3"; it must be'],
    ["?after=abc--1", 'after is "abc--1"; it must be'],
    [`?after=abc-${"9".repeat(16)}`, "it must be"],
    ["?last=-1", 'last is "-1"; it must be a whole number such as last=10'],
    ["?last=all", 'last is "all"'],
    ["?last=1e3", 'last is "1e3"'],
    ["?wait=soon", 'wait is "soon"; it must be a number of seconds from 0 to 60, such as wait=25'],
    ["?wait=61", 'wait is "61"'],
    ["?wait=-1", 'wait is "-1"'],
    [
      "",
      'Last-Event-ID is "x"; it must be the id of a message, such as "mfz3k9-42"',
      { "last-event-id": "x" },
    ],
  ];
  for (const [query, detail, headers] of bad) {
    test(`nowhere with ${query || JSON.stringify(headers)}: 400 says what would be right`, async () => {
      const response = await get(`/channels/all${query}`, headers);
      expect(response.status).toBe(400);
      expect((await problemOf(response))["detail"]).toContain(detail);
    });
  }

  test("nowhere with ?limit= out of range, where it counts", async () => {
    const accept = "application/vnd.tidewire+json";
    for (const limit of ["0", "1001", "ten", "-1", "1.5"]) {
      const response = await get(`/channels/all?limit=${limit}`, { accept });
      expect(response.status).toBe(400);
      expect((await problemOf(response))["detail"]).toBe(
        `limit is "${limit}"; it must be a whole number from 1 to 1000`,
      );
    }
  });

  test("nowhere with a value that is long: the answer quotes its beginning", async () => {
    for (const query of ["wait", "after", "last", "transport", "limit"]) {
      const response = await get(`/channels/all?${query}=${"x".repeat(5000)}`, {
        accept: "application/vnd.tidewire+json",
      });
      expect(response.status).toBe(400);
      expect((await response.text()).length).toBeLessThan(400);
    }
  });
});
