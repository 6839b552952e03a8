/** The frames of `tidewire.v1` against a real server: one socket, many channels. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
let socket: TestSocket;
beforeAll(async () => {
  server = await startTestServer({
    channels: {
      prices: {},
      stream: { transports: ["sse"] },
      closed: { publish: "nobody" },
      "chat/{room}": {},
      strict: { schema: { type: "object", properties: { n: { type: "integer" } } } },
      broken: {
        plugins: [
          definePlugin({
            name: "broken",
            setup: () => ({
              receive() {
                throw new Error("no such table: users");
              },
            }),
          }),
        ],
      },
      dropping: {
        plugins: [definePlugin({ name: "drop", setup: () => ({ transform: () => null }) })],
      },
    },
    limits: { message: 1000 },
  });
  socket = await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1");
});
afterAll(() => {
  socket.close();
  return server.stop();
});

async function publish(channel: string, data: string): Promise<string> {
  const response = await fetch(`${server.urls.public}/channels/${channel}`, {
    method: "POST",
    body: data,
    headers: { "content-type": "text/plain" },
  });
  return ((await response.json()) as { id: string }).id;
}

function connections(channel: string): number {
  return server.channels.peek(channel)?.held ?? 0;
}

describe("subscribe", () => {
  test("is answered with where the channel stands, then messages come", async () => {
    const answer = await socket.ask({ type: "subscribe", channel: "prices", ref: 1 });
    expect(answer).toEqual({
      type: "subscribed",
      channel: "prices",
      id: server.channels.peek("prices")!.channel.position,
      recovered: false,
      ref: 1,
    });
    const id = await publish("prices", "one");
    expect(await socket.json()).toEqual({
      type: "message",
      channel: "prices",
      id,
      time: expect.any(Number),
      data: "one",
    });
  });

  test("of the same channel again is refused", async () => {
    expect(await socket.ask({ type: "subscribe", channel: "prices", ref: "r" })).toEqual({
      type: "error",
      ref: "r",
      code: "already-subscribed",
      message: 'this socket is subscribed to channel "prices" already',
    });
    expect(connections("prices")).toBe(1);
  });

  test("finds a channel however its name is encoded, and unsubscribe does too", async () => {
    const first = await socket.ask({ type: "subscribe", channel: "chat/caf%C3%A9" });
    expect(first).toMatchObject({ type: "subscribed", channel: "chat/café" });
    expect(await socket.ask({ type: "subscribe", channel: "chat/café", ref: 2 })).toMatchObject({
      code: "already-subscribed",
    });
    expect(await socket.ask({ type: "unsubscribe", channel: "chat/%63af%C3%A9", ref: 3 })).toEqual({
      type: "unsubscribed",
      channel: "chat/café",
      ref: 3,
    });
    expect(connections("chat/café")).toBe(0);
  });

  test("resumes after a position, and says whether that worked", async () => {
    const ids = [await publish("chat/resume", "1"), await publish("chat/resume", "2")];
    const channel = "chat/resume";
    expect(await socket.ask({ type: "subscribe", channel, after: ids[0] })).toMatchObject({
      type: "subscribed",
      recovered: true,
      id: ids[0]!,
    });
    expect(await socket.json()).toMatchObject({ id: ids[1]!, data: "2" });
    await socket.ask({ type: "unsubscribe", channel });
    expect(await socket.ask({ type: "subscribe", channel, after: "another1-9" })).toMatchObject({
      type: "subscribed",
      recovered: false,
    });
    expect(await socket.json()).toMatchObject({ type: "gap", after: "another1-9" });
    expect([await socket.json(), await socket.json()]).toMatchObject([
      { data: "1" },
      { data: "2" },
    ]);
    await socket.ask({ type: "unsubscribe", channel });
    expect(await socket.ask({ type: "subscribe", channel, last: 1 })).toMatchObject({
      type: "subscribed",
    });
    expect(await socket.json()).toMatchObject({ data: "2" });
    await socket.ask({ type: "unsubscribe", channel });
  });

  const refused: [Record<string, unknown>, string, string][] = [
    [{ channel: "unknown" }, "unknown-channel", 'there is no channel "unknown"'],
    [{ channel: "" }, "unknown-channel", 'there is no channel ""'],
    [
      { channel: "stream" },
      "transport-not-exposed",
      'channel "stream" does not expose websocket; it exposes sse',
    ],
    [{ channel: "chat/%zz" }, "bad-encoding", 'the channel name "chat/%zz" has broken'],
    [{ channel: "chat/new", after: "soon" }, "bad-position", 'after is "soon"; it must be'],
    [
      { channel: "chat/new", last: -1 },
      "bad-frame",
      "last is -1; it must be a whole number from 0",
    ],
    [{ channel: "chat/new", last: 1e12 }, "bad-last", 'last is "1000000000000"; it must be'],
    [{}, "bad-frame", 'a subscribe frame needs "channel"'],
    [{ channel: 7 }, "bad-frame", "channel is 7; it must be a string"],
    [
      { channel: "prices", chanel: 1 },
      "bad-frame",
      '"chanel" is not a member of a subscribe frame',
    ],
  ];
  for (const [members, code, message] of refused) {
    test(`with ${JSON.stringify(members)} is refused: ${code}`, async () => {
      const answer = await socket.ask({ type: "subscribe", ref: 9, ...members });
      expect(answer).toMatchObject({ type: "error", ref: 9, code });
      expect(answer["message"]).toStartWith(message);
    });
  }
});

describe("unsubscribe", () => {
  test("ends the messages of that channel alone", async () => {
    await socket.ask({ type: "subscribe", channel: "chat/a" });
    await socket.ask({ type: "subscribe", channel: "chat/b" });
    expect(await socket.ask({ type: "unsubscribe", channel: "chat/a", ref: 4 })).toEqual({
      type: "unsubscribed",
      channel: "chat/a",
      ref: 4,
    });
    await publish("chat/a", "unheard");
    await publish("chat/b", "heard");
    expect(await socket.json()).toMatchObject({ channel: "chat/b", data: "heard" });
    await socket.ask({ type: "unsubscribe", channel: "chat/b" });
  });

  test("of what is not subscribed to is refused", async () => {
    expect(await socket.ask({ type: "unsubscribe", channel: "chat/a", ref: 5 })).toEqual({
      type: "error",
      ref: 5,
      code: "not-subscribed",
      message: 'this socket is not subscribed to channel "chat/a"',
    });
  });
});

describe("publish", () => {
  test("is acknowledged with the id, without a subscription too", async () => {
    const ack = await socket.ask({ type: "publish", channel: "chat/p", data: { a: 1 }, ref: 6 });
    expect(ack).toEqual({
      type: "ack",
      ref: 6,
      id: server.channels.peek("chat/p")!.channel.position,
    });
    const response = await fetch(`${server.urls.public}/channels/chat/p/messages`);
    expect(await response.json()).toMatchObject({ messages: [{ data: { a: 1 } }] });
  });

  test("without ref is not acknowledged", async () => {
    socket.send({ type: "publish", channel: "chat/p", data: 1 });
    expect(await socket.ask({ type: "publish", channel: "chat/p", data: 2, ref: 7 })).toMatchObject(
      {
        type: "ack",
        ref: 7,
      },
    );
  });

  test("is acknowledged with null when a transform dropped it", async () => {
    expect(await socket.ask({ type: "publish", channel: "dropping", data: 1, ref: 8 })).toEqual({
      type: "ack",
      ref: 8,
      id: null,
    });
  });

  const refused: [Record<string, unknown>, string, string][] = [
    [{ channel: "closed", data: 1 }, "publish-not-allowed", 'channel "closed" takes no messages'],
    [{ channel: "prices" }, "bad-frame", 'a publish frame needs "data"'],
    [{ data: 1 }, "bad-frame", 'a publish frame here needs "channel"'],
    [
      { channel: "strict", data: { n: "x" } },
      "schema",
      'data does not fit the schema of channel "strict": /n must be integer',
    ],
    [
      { channel: "prices", data: "x".repeat(1001) },
      "too-large",
      "data has 1001 bytes; at most 1000",
    ],
    [
      { channel: "prices", data: 1, event: "a\nb" },
      "invalid-message",
      "event has the control character",
    ],
    [{ channel: "prices", data: 1, event: 7 }, "invalid-message", "event is a number"],
    [{ channel: "prices", data: 1, key: {} }, "invalid-message", "key is an object"],
    // What a plugin says of its inside is for the log alone.
    [{ channel: "broken", data: 1 }, "plugin-failed", "a plugin of the channel failed"],
  ];
  for (const [members, code, message] of refused) {
    test(`with ${JSON.stringify(members).slice(0, 60)} is refused: ${code}`, async () => {
      const answer = await socket.ask({ type: "publish", ref: 9, ...members });
      expect(answer).toMatchObject({ type: "error", ref: 9, code });
      expect(answer["message"]).toStartWith(message);
    });
  }
});

describe("a frame that is none", () => {
  const bad: [string | Uint8Array, string][] = [
    ["", "the frame is not JSON"],
    ["hello", "the frame is not JSON"],
    ["x".repeat(50_000), "the frame is not JSON"],
    ["[]", 'a frame is an object such as {"type":"subscribe","channel":"prices"}'],
    ["null", "a frame is an object"],
    ["{}", 'type is missing; it must be "subscribe", "unsubscribe" or "publish"'],
    ['{"type":"ping"}', 'type is "ping"; it must be'],
    [`{"type":"${"x".repeat(50_000)}"}`, 'type is "xxx'],
    [`{"type":"subscribe","channel":"prices","${"x".repeat(50_000)}":1}`, '"xxx'],
    [`{"type":"subscribe","channel":{"a":"${"x".repeat(50_000)}"}}`, 'channel is {"a":"xxx'],
    ['{"type":"publish","__proto__":{"data":1},"channel":"prices"}', '"__proto__" is not a member'],
    ['{"type":"subscribe","ref":{},"channel":"prices"}', "ref must be a string or a number"],
    [new Uint8Array([1, 2]), "a tidewire.v1 frame is text, not binary"],
  ];
  for (const [frame, message] of bad) {
    test(`is answered with what is wrong: ${String(frame).slice(0, 50)}`, async () => {
      socket.send(frame);
      const answer = await socket.json();
      expect(answer).toMatchObject({ type: "error", code: "bad-frame" });
      expect(answer["message"]).toStartWith(message);
      expect((answer["message"] as string).length).toBeLessThan(400);
    });
  }
});

describe("a tidewire.v1 socket on a channel's URL", () => {
  test("takes frames for its channel, named or not, and for no other", async () => {
    const own = await TestSocket.open(`${server.urls.public}/channels/chat/own`, "tidewire.v1");
    expect(await own.json()).toMatchObject({ type: "subscribed", channel: "chat/own" });
    own.send({ type: "publish", data: 1, ref: 1 });
    own.send({ type: "publish", channel: "chat/own", data: 2, ref: 2 });
    const got: Record<string, unknown>[] = [];
    for (let i = 0; i < 4; i++) got.push(await own.json());
    const of = (type: string) => got.filter((frame) => frame["type"] === type);
    expect(of("ack").map(({ ref }) => ref)).toEqual([1, 2]);
    expect(of("message").map(({ data }) => data)).toEqual([1, 2]);
    expect(await own.ask({ type: "subscribe", channel: "prices", ref: 3 })).toEqual({
      type: "error",
      ref: 3,
      code: "other-channel",
      message: 'this socket is for channel "chat/own"; open one at /channels for several',
    });
    own.close();
  });
});

test("a socket at /channels needs the subprotocol", async () => {
  const response = await fetch(`${server.urls.public}/channels`, {
    headers: { upgrade: "websocket", connection: "upgrade" },
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    type: "urn:tidewire:problem:subprotocol-required",
    detail: expect.stringContaining('new WebSocket(url, "tidewire.v1")'),
  });
});
