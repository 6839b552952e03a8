/** `slow: drop-oldest` and `latest`: a client that stops reading stays, and is told of all that was dropped. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "../../src/server/testing.ts";
import type { Message } from "../../src/channel/message.ts";
import {
  connectTcp,
  get,
  maskedFrame,
  readFrames,
  WEBSOCKET_HEADERS,
  type TcpClient,
} from "./clients/tcp.ts";
import { BIG, BUFFER, MOST } from "./overfill.ts";

const SMALL = "x".repeat(20_000);
const KEYS = ["a", "b", "c", "d"];

let server: TestServer;
beforeAll(async () => {
  const history = { size: 10, ttlMs: 600_000 };
  server = await startTestServer({
    server: { http2Push: { listen: { hostname: "127.0.0.1", port: 0 }, tls: null } },
    channels: {
      "oldest/{name}": { history, slow: "drop-oldest" },
      "latest/{name}": { history, slow: "latest" },
      "ended/{name}": { history },
    },
    limits: { buffer: BUFFER, message: 128 * 1024 },
  });
});
afterAll(() => server.stop());

const channelOf = (name: string) => server.channels.peek(name)!.channel;

function publish(name: string, text: string, key: string): Message {
  const { channel } = server.channels.peek(name)!;
  return (channel.publish([{ data: `${key} ${text}`, key }]) as readonly Message[])[0]!;
}

const sentOut = async (name: string, { offset }: Message) => {
  const { fanOut } = channelOf(name);
  while (fanOut.flushed < offset) await new Promise(setImmediate);
};

/** What a client got, in order. */
type Event = { gap: { after: string; id: string } } | { id: string; key: string };

interface Kind {
  readonly request: (channel: string) => string;
  /** What says that the subscription stands. */
  readonly stands: string;
  /** What it sends then. */
  readonly subscribes?: boolean;
  readonly read: (text: string) => Event[];
}

const payloads = (text: string) =>
  readFrames(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1"));

function readV1(text: string): Event[] {
  return payloads(text).flatMap(({ payload }): Event[] => {
    const { type, id, after, data } = JSON.parse(payload.toString()) as Record<string, string>;
    if (type === "gap") return [{ gap: { after: after!, id: id! } }];
    return type === "message" ? [{ id: id!, key: data![0]! }] : [];
  });
}

const V1 = `${WEBSOCKET_HEADERS}Sec-WebSocket-Protocol: tidewire.v1\r\n`;
const KINDS: Record<string, Kind> = {
  sse: {
    request: (channel) => get(`/channels/${channel}`, "Accept: text/event-stream\r\n"),
    stands: "id: ",
    read: (text) =>
      [...text.matchAll(/event: tidewire:gap\nid: .*\ndata: (.*)\n|id: (.*)\ndata: (\w) x/g)].map(
        ([, gap, id, key]) =>
          gap ? { gap: JSON.parse(gap) as { after: string; id: string } } : { id: id!, key: key! },
      ),
  },
  "tidewire.v1": {
    request: (channel) => get(`/channels/${channel}`, V1),
    stands: '"subscribed"',
    read: readV1,
  },
  "tidewire.v1 for many": {
    request: () => get("/channels", V1),
    stands: "\r\n\r\n",
    subscribes: true,
    read: readV1,
  },
};

async function open({ request, stands, subscribes }: Kind, channel: string): Promise<TcpClient> {
  const client = await connectTcp(server.urls.public, request(channel));
  await client.until((text) => text.includes(stands));
  if (!subscribes) return client;
  client.socket.write(maskedFrame(JSON.stringify({ type: "subscribe", channel })));
  await client.until((text) => text.includes('"subscribed"'));
  return client;
}

/** Publishes until the client lags, and then more than the window holds; gives all that was published. */
async function overwhelm(channel: string): Promise<Message[]> {
  const { laggards } = channelOf(channel);
  const sent: Message[] = [];
  const add = async (text: string) => {
    const message = publish(channel, text, KEYS[sent.length % KEYS.length]!);
    sent.push(message);
    await sentOut(channel, message);
  };
  while (laggards.size === 0 && sent.length < MOST) await add(BIG);
  expect(laggards.size).toBe(1);
  for (let i = 0; i < 40; i++) await add(SMALL);
  return sent;
}

/** Lets the client read on, until it has a message that came when it was level again. */
async function goOn(channel: string, { socket }: TcpClient): Promise<Message> {
  const { laggards } = channelOf(channel);
  const { promise, resolve } = Promise.withResolvers<void>();
  let tail = "";
  socket.on("data", (chunk: Buffer) => {
    tail = (tail + chunk.toString("latin1")).slice(-chunk.length - 20);
    if (tail.includes("z x the end")) resolve();
  });
  socket.resume();
  while (laggards.size > 0) await new Promise(setImmediate);
  const last = publish(channel, "x the end", "z");
  await promise;
  return last;
}

/** Every offset is given or announced, once and in order; gives those that were announced. */
function check(events: readonly Event[], sent: readonly Message[]): Set<string> {
  const ids = sent.map(({ id }) => id);
  const lost = new Set<string>();
  let at = 0;
  for (const event of events) {
    if ("gap" in event) {
      if (at > 0) expect(event.gap.after).toBe(ids[at - 1]!);
      const to = ids.indexOf(event.gap.id) + 1;
      expect(to).toBeGreaterThan(at);
      while (at < to) lost.add(ids[at++]!);
    } else {
      expect(event.id).toBe(ids[at++]!);
    }
  }
  expect(at).toBe(ids.length);
  return lost;
}

describe.each(Object.entries(KINDS))("a %s client that stops reading and goes on", (name, kind) => {
  test.each(["oldest", "latest"])(
    "under %s has each message or the gap that it is in",
    async (policy) => {
      const channel = `${policy}/${name.replaceAll(" ", "-")}`;
      const slow = await open(kind, channel);
      const healthy = await open(KINDS["sse"]!, channel);
      slow.socket.pause();
      const sent = await overwhelm(channel);
      // Nobody else waits for it.
      await healthy.until((text) => text.slice(-30_000).includes(`id: ${sent.at(-1)!.id}\n`));
      expect(server.channels.peek(channel)!.held).toBe(2);
      sent.push(await goOn(channel, slow));
      const events = kind.read(slow.text());
      const lost = check(events, sent);
      expect(lost.size).toBeGreaterThan(20);
      expect(channelOf(channel).laggards.dropped).toBe(lost.size);
      const last = new Map(
        events.flatMap((event) => ("id" in event ? [[event.key, event.id] as const] : [])),
      );
      const newest = new Map(sent.map(({ key, id }) => [key!, id]));
      expect(last).toEqual(newest);
      expect(slow.text().split('"subscribed"').length).toBeLessThan(3);
      slow.socket.destroy();
      healthy.socket.destroy();
    },
  );
});

test.each(["oldest", "latest"])(
  "a raw WebSocket is closed with 4008 under %s: no frame could tell it of a gap",
  async (policy) => {
    const channel = `${policy}/raw`;
    const slow = await connectTcp(
      server.urls.public,
      get(`/channels/${channel}`, WEBSOCKET_HEADERS),
    );
    await slow.until((text) => text.includes("\r\n\r\n"));
    slow.socket.pause();
    for (let sent = 0; server.channels.peek(channel)!.held > 0 && sent < MOST; sent++) {
      await sentOut(channel, publish(channel, BIG, "a"));
    }
    expect(channelOf(channel).laggards.size).toBe(0);
    slow.socket.resume();
    await slow.ended;
    expect(payloads(slow.text()).at(-1)!.payload.readUInt16BE(0)).toBe(4008);
  },
);

test("subscriptions of one socket lag by themselves, each under its own channel's policy", async () => {
  const kind = KINDS["tidewire.v1 for many"]!;
  const quiet = "oldest/beside";
  const busy = "latest/beside";
  const slow = await open(kind, busy);
  slow.socket.write(maskedFrame(JSON.stringify({ type: "subscribe", channel: quiet })));
  await slow.until((text) => text.split('"subscribed"').length === 3);
  slow.socket.pause();
  const sent = await overwhelm(busy);
  expect(channelOf(quiet).laggards.size).toBe(0);
  const others: Message[] = [];
  for (let i = 0; i < 3; i++) others.push(publish(quiet, SMALL, "q"));
  await sentOut(quiet, others.at(-1)!);
  // It looks at the socket with its first batch.
  expect(channelOf(quiet).laggards.size).toBe(1);
  sent.push(await goOn(busy, slow));
  while (channelOf(quiet).laggards.size > 0) await new Promise(setImmediate);
  const text = () => slow.text();
  await slow.until(() => text().includes(others.at(-1)!.id));
  const of = (channel: string) =>
    readV1(text()).filter((event) => {
      const id = "id" in event ? event.id : event.gap.id;
      return id.startsWith(channelOf(channel).log.epoch);
    });
  expect(check(of(busy), sent).size).toBeGreaterThan(20);
  // Nothing of it was too much.
  expect(check(of(quiet), others).size).toBe(0);
  slow.socket.destroy();
});

test("a socket that lags on one channel ends with the first that does not let it", async () => {
  const kind = KINDS["tidewire.v1 for many"]!;
  const slow = await open(kind, "latest/strict");
  const channel = "ended/strict";
  slow.socket.write(maskedFrame(JSON.stringify({ type: "subscribe", channel })));
  await slow.until((text) => text.split('"subscribed"').length === 3);
  slow.socket.pause();
  await overwhelm("latest/strict");
  await sentOut(channel, publish(channel, SMALL, "a"));
  expect(server.channels.peek(channel)!.held).toBe(0);
  expect(channelOf("latest/strict").laggards.size).toBe(0);
  slow.socket.resume();
  await slow.ended;
  expect(payloads(slow.text()).at(-1)!.payload.readUInt16BE(0)).toBe(4008);
});

test("a client that is gone while it lags leaves nothing behind", async () => {
  for (const [name, kind] of Object.entries(KINDS)) {
    const channel = `latest/gone-${name.replaceAll(" ", "-")}`;
    const slow = await open(kind, channel);
    slow.socket.pause();
    await overwhelm(channel);
    slow.socket.destroy();
    while (server.channels.peek(channel)!.held > 0) await new Promise(setImmediate);
    expect(channelOf(channel).laggards.size).toBe(0);
    await sentOut(channel, publish(channel, "x", "a"));
    expect(channelOf(channel).fanOut.size).toBe(0);
  }
});

test("a poller that stops reading has one answer waiting, and what comes later waits in no queue", async () => {
  const channel = "latest/poll";
  const poll = get(`/channels/${channel}`, "Accept: application/vnd.tidewire+json\r\n");
  const slow = await connectTcp(server.urls.public, poll);
  while (server.channels.peek(channel)?.held !== 1) await new Promise(setImmediate);
  slow.socket.pause();
  const sent: Message[] = [];
  for (let i = 0; i < 50; i++) {
    sent.push(publish(channel, BIG, "a"));
    await sentOut(channel, sent.at(-1)!);
  }
  const { held, channel: live } = server.channels.peek(channel)!;
  expect([held, live.laggards.size, live.fanOut.size]).toEqual([0, 0, 0]);
  slow.socket.resume();
  await slow.until((text) => text.endsWith('"gap":false}'));
  const body = slow.text().slice(slow.text().indexOf("\r\n\r\n"));
  const { messages, next } = JSON.parse(body) as { messages: { id: string }[]; next: string };
  expect(messages.map(({ id }) => id)).toEqual([sent[0]!.id]);
  // It comes back with its position, and is told of what the history no longer has.
  const back = await fetch(`${server.urls.public}/channels/${channel}?after=${next}`, {
    headers: { accept: "application/vnd.tidewire+json" },
  });
  expect(await back.json()).toMatchObject({ gap: true });
  slow.socket.destroy();
});
