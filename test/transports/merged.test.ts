/** `GET /channels?channel=a&channel=b`: many channels on one stream or poll, with one cursor. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import http2 from "node:http2";
import { EventSource } from "eventsource";
import { definePlugin, type Client } from "../../src/plugin/sdk.ts";
import { startTestServer, type TestConfig, type TestServer } from "../../src/server/testing.ts";
import type { Envelope, Page } from "./clients/merged.ts";

/** Who came and went, by channel. */
const came: string[] = [];
const watch = definePlugin({
  name: "watch",
  setup: ({ channel }) => ({
    joined(client) {
      came.push(`+${channel.name}`);
      client.send({ hello: channel.name }, { event: "hello" });
    },
    left: () => void came.push(`-${channel.name}`),
  }),
});
/** Lets in who has this channel's name in `?may=`, and answers later. */
const guard = definePlugin({
  name: "guard",
  setup: ({ channel }) => ({
    async authorize({ query }) {
      await new Promise((resolve) => setImmediate(resolve));
      return query.getAll("may").includes(channel.name) ? "allow" : "deny";
    },
  }),
});

/** The client that came last. */
let kicked: Client | null = null;
const kick = definePlugin({
  name: "kick",
  setup: () => ({ joined: (client) => void (kicked = client) }),
});

const CONFIG: TestConfig = {
  sse: { retryMs: 1 },
  channels: {
    "kicked/{name}": { plugins: [kick] },
    "room/{name}": { history: { size: 50, ttlMs: 600_000 } },
    "watched/{name}": { plugins: [watch] },
    "guarded/{name}": { plugins: [guard] },
    sockets: { transports: ["websocket"] },
    one: {},
    two: {},
  },
  server: { http2Push: { listen: { hostname: "127.0.0.1", port: 0 }, tls: null } },
};

let server: TestServer;
let names = 0;
beforeAll(async () => {
  server = await startTestServer(CONFIG);
});
afterAll(() => server.stop());

const fresh = (): string => `room/m${++names}`;

async function publish(channel: string, data: unknown, event?: string): Promise<string> {
  const query = event === undefined ? "" : `?event=${event}`;
  const response = await fetch(`${server.urls.public}/channels/${channel}${query}`, {
    method: "POST",
    body: JSON.stringify(data),
    headers: { "content-type": "application/json" },
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { id: string }).id;
}

function url(channels: readonly string[], more = ""): string {
  const asked = channels.map((name) => `channel=${encodeURIComponent(name)}`).join("&");
  return `${server.urls.public}/channels?${asked}${more}`;
}

async function poll(channels: readonly string[], more = "&wait=0", headers = {}): Promise<Page> {
  const response = await fetch(url(channels, more), { headers });
  if (response.status === 200) return (await response.json()) as Page;
  expect(response.status).toBe(204);
  const next = /after=([^>]+)>; rel="next"/.exec(response.headers.get("link")!)![1]!;
  return { messages: [], next, gap: false, gaps: [] };
}

async function refusal(channels: readonly string[], more = "", accept = "text/event-stream") {
  const response = await fetch(url(channels, more), { headers: { accept } });
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return (await response.json()) as Record<string, unknown>;
}

interface Event {
  readonly id: string;
  readonly event: string;
  readonly data: Envelope & { readonly after?: string; readonly reason?: string };
}

/** A stream, event by event. */
async function stream(channels: readonly string[], more = "", headers = {}) {
  const abort = new AbortController();
  const response = await fetch(url(channels, more), {
    headers: { accept: "text/event-stream", ...headers },
    signal: abort.signal,
  });
  expect(response.status).toBe(200);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let lastId = "";
  /** The next one that has an id or data. */
  const block = async (): Promise<Event | "id" | "end"> => {
    for (;;) {
      const end = text.indexOf("\n\n");
      if (end < 0) {
        const { value, done } = await reader.read();
        if (done) return "end";
        text += value;
        continue;
      }
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      lastId = field("id") ?? lastId;
      const data = field("data");
      if (data !== undefined) {
        return { id: lastId, event: field("event") ?? "message", data: JSON.parse(data) };
      }
      if (field("id") !== undefined) return "id";
    }
  };
  return {
    get lastId() {
      return lastId;
    },
    /** Resolves when it is live in all channels. */
    level: async () => expect(await block()).toBe("id"),
    next: async (): Promise<Event> => {
      for (;;) {
        const got = await block();
        if (got === "end") throw new Error("the stream ended");
        if (got !== "id") return got;
      }
    },
    end: async () => expect(await block()).toBe("end"),
    close: () => abort.abort(),
  };
}

type Stream = Awaited<ReturnType<typeof stream>>;

async function take(from: Stream, count: number): Promise<Event[]> {
  const events: Event[] = [];
  while (events.length < count) events.push(await from.next());
  return events;
}

const short = ({ data }: Event) => `${data.channel} ${JSON.stringify(data.data)}`;

describe("a stream of many channels", () => {
  test("has live messages of each as envelopes, in the order in which they came, by their event's name", async () => {
    const [a, b] = [fresh(), fresh()];
    const client = await stream([b, a]);
    await client.level();
    const ids = [await publish(a, 1), await publish(b, 2, "tick"), await publish(a, 3)];
    const got = await take(client, 3);
    expect(got.map(short)).toEqual([`${a} 1`, `${b} 2`, `${a} 3`]);
    expect(got.map(({ data }) => data.id)).toEqual(ids);
    expect(got.map(({ event }) => event)).toEqual(["message", "tick", "message"]);
    expect(got[1]!.data).toMatchObject({ channel: b, event: "tick", data: 2 });
    client.close();
  });

  test("goes on after the id of any of its events, in each channel", async () => {
    const [a, b] = [fresh(), fresh()];
    const first = await stream([a, b]);
    await first.level();
    const start = first.lastId;
    for (let i = 0; i < 5; i++) {
      await publish(a, i);
      await publish(b, i);
    }
    const all = await take(first, 10);
    first.close();
    for (const [index, id] of [start, ...all.map((event) => event.id)].entries()) {
      const back = await stream([a, b], "&after=earliest", { "last-event-id": id });
      const rest = await take(back, 10 - index);
      expect(rest.map(short).toSorted()).toEqual(all.slice(index).map(short).toSorted());
      for (const name of [a, b]) {
        const of = (events: Event[]) => events.filter(({ data }) => data.channel === name);
        expect(of(rest).map(short)).toEqual(of(all.slice(index)).map(short));
      }
      back.close();
    }
  });

  test("is what EventSource comes back to by itself, and misses nothing", async () => {
    const channels = ["kicked/a", "kicked/b"];
    const got: string[] = [];
    let wake = () => {};
    const until = async (test: () => boolean) => {
      while (!test()) await new Promise<void>((resolve) => (wake = resolve));
    };
    let opened = 0;
    const source = new EventSource(url(channels));
    source.onopen = () => {
      opened++;
      wake();
    };
    source.addEventListener("tick", ({ data }) => {
      const { channel, data: value } = JSON.parse(data as string) as Envelope;
      got.push(`${channel} ${String(value)}`);
      wake();
    });
    await until(() => opened === 1);
    for (let round = 1; round <= 3; round++) {
      for (const name of channels) await publish(name, round, "tick");
      await until(() => got.length === round * 4 - 2);
      kicked!.close();
      for (const name of channels) await publish(name, `${round} while away`, "tick");
      await until(() => got.length === round * 4);
    }
    source.close();
    expect(opened).toBe(4);
    for (const name of channels) {
      expect(got.filter((line) => line.startsWith(name))).toEqual(
        [1, 2, 3].flatMap((round) => [`${name} ${round}`, `${name} ${round} while away`]),
      );
    }
  });

  test("tells of a gap in one channel, with its name, and of none in the others", async () => {
    const [a, b] = [fresh(), fresh()];
    await publish(a, "a1");
    await publish(b, "b1");
    const { next } = await poll([a, b], "&wait=0&after=earliest");
    for (let i = 2; i <= 60; i++) await publish(a, `a${i}`);
    await publish(b, "b2");
    const client = await stream([a, b], `&after=${next}`);
    const events = await take(client, 52);
    const gaps = events.filter(({ event }) => event === "tidewire:gap");
    expect(gaps).toHaveLength(1);
    const { channel, after, id } = gaps[0]!.data;
    expect([channel, after!.split("-")[1], id.split("-")[1]]).toEqual([a, "1", "10"]);
    const ofA = events.filter(({ data }) => data.channel === a);
    expect(ofA[0]!.event).toBe("tidewire:gap");
    expect(ofA.slice(1).map(({ data }) => data.data)).toEqual(
      Array.from({ length: 50 }, (_, i) => `a${i + 11}`),
    );
    expect(events.filter(({ data }) => data.channel === b).map(short)).toEqual([`${b} "b2"`]);
    client.close();
  });

  test("takes a channel more, and leaves one out, with the cursor of before", async () => {
    const [a, b, c] = [fresh(), fresh(), fresh()];
    for (const name of [a, b, c]) await publish(name, 1);
    const { next } = await poll([a, b]);
    for (const name of [a, b, c]) await publish(name, 2);
    const started = await stream([b, c], `&after=${next}`);
    expect(short(await started.next())).toBe(`${b} 2`);
    await publish(c, 3);
    expect(short(await started.next())).toBe(`${c} 3`);
    started.close();
    // Where `last` says where those start that the cursor says nothing of.
    const last = await stream([b, c], `&after=${next}&last=1`);
    expect((await take(last, 2)).map(short).toSorted()).toEqual([`${b} 2`, `${c} 3`]);
    last.close();
    // All of it is in the new cursor.
    expect((await poll([a, c], `&wait=0&after=${last.lastId}`)).messages).toEqual([]);
  });

  test("takes a position for each channel, and a plain one where there is one channel", async () => {
    const [a, b] = [fresh(), fresh()];
    const ids = [await publish(a, 1), await publish(b, 1)];
    for (const name of [a, b]) await publish(name, 2);
    const both = await stream([b, a], `&after=${ids[1]}&after=earliest`);
    expect((await take(both, 3)).map(short).toSorted()).toEqual([`${a} 1`, `${a} 2`, `${b} 2`]);
    both.close();
    const one = await stream([a], "", { "last-event-id": ids[0] });
    expect(short(await one.next())).toBe(`${a} 2`);
    one.close();
    expect(await refusal([a, b], `&after=${ids[0]}`)).toMatchObject({
      status: 400,
      type: "urn:tidewire:problem:bad-position",
    });
  });

  test("is served over HTTP/2 by the push listener", async () => {
    const [a, b] = [fresh(), fresh()];
    const session = http2.connect(server.urls.http2Push!);
    const path = `/channels?channel=${a}&channel=${b}&after=earliest`;
    const request = session.request({ ":path": path, accept: "text/event-stream" });
    request.setEncoding("utf8");
    let text = "";
    const seen = new Promise<void>((resolve) =>
      request.on("data", (chunk: string) => {
        text += chunk;
        if (text.includes(`"data":"over h2"`)) resolve();
      }),
    );
    await publish(b, "over h2");
    await seen;
    expect(text).toContain(`"channel":"${b}"`);
    session.destroy();
  });

  test("writes what a hook sends to this client with its channel, and tells the hooks of each", async () => {
    // Those of other tests are on their way out.
    while (server.connections > 0) await Bun.sleep(2);
    came.length = 0;
    const client = await stream(["watched/b", "watched/a", "watched/a"]);
    const hellos = await take(client, 2);
    expect(hellos.map(({ event, data }) => [event, data] as unknown)).toEqual(
      ["a", "b"].map((name) => [
        "hello",
        { channel: `watched/${name}`, event: "hello", data: { hello: `watched/${name}` } },
      ]),
    );
    await client.level();
    expect(server.connections).toBe(1);
    expect(server.channels.peek("watched/a")!.held).toBe(1);
    client.close();
    while (server.connections > 0) await Bun.sleep(2);
    expect(came).toEqual(["+watched/a", "+watched/b", "-watched/a", "-watched/b"]);
  });
});

describe("a poll of many channels", () => {
  test("has all that waits, the oldest first, and a cursor of all", async () => {
    const [a, b] = [fresh(), fresh()];
    const sent: string[] = [];
    for (let i = 0; i < 6; i++) {
      sent.push(await publish(i % 2 ? a : b, i));
      // Messages of one millisecond have no order across channels.
      const { time } = (await poll([a, b], "&wait=0&last=1")).messages.at(-1) as never as Timed;
      while (Date.now() <= time) await Bun.sleep(1);
    }
    const page = await poll([a, b], "&wait=0&after=earliest&limit=4");
    expect(page.messages.map(({ id }) => id)).toEqual(sent.slice(0, 4));
    expect([page.gap, page.gaps]).toEqual([false, []]);
    const rest = await poll([a, b], `&wait=0&after=${page.next}`);
    expect(rest.messages.map(({ id }) => id)).toEqual(sent.slice(4));
    expect((await poll([a, b], `&wait=0&after=${rest.next}`)).messages).toEqual([]);
  });

  test("is held until something comes in any of them", async () => {
    const [a, b] = [fresh(), fresh()];
    const held = poll([a, b], "&wait=60");
    while ((server.channels.peek(b)?.held ?? 0) === 0) await Bun.sleep(2);
    await publish(b, "woken");
    expect((await held).messages).toMatchObject([{ channel: b, data: "woken" }]);
    expect([server.channels.peek(a)!.held, server.channels.peek(b)!.held]).toEqual([0, 0]);
  });

  test("goes on by If-None-Match, and a tag of another kind is a gap in each", async () => {
    const [a, b] = [fresh(), fresh()];
    await publish(a, 1);
    const first = await fetch(url([a, b], "&wait=0&after=earliest"));
    const tag = first.headers.get("etag")!;
    await publish(b, 2);
    const { messages } = await poll([a, b], "&wait=0&after=earliest", { "if-none-match": tag });
    expect(messages).toMatchObject([{ channel: b, data: 2 }]);
    const foreign = await poll([a, b], "&wait=0", { "if-none-match": '"of-before"' });
    expect(foreign.gaps.map(({ channel }) => channel)).toEqual([a, b]);
    expect(foreign.gap).toBe(true);
  });

  test("is answered 410 when one of its channels is taken out of the config", async () => {
    const other = await startTestServer(CONFIG);
    const held = fetch(`${other.urls.public}/channels?channel=one&channel=two`);
    while (other.channels.peek("one")!.held === 0) await Bun.sleep(2);
    const { two: _, ...channels } = CONFIG.channels;
    await other.become({ ...CONFIG, channels });
    const response = await held;
    expect(response.status).toBe(410);
    expect(await response.json()).toMatchObject({ channel: "two" });
    expect(other.connections).toBe(0);
    await other.stop();
  });
});

interface Timed {
  readonly time: number;
}

describe("a channel that is taken out of the config", () => {
  test("is told, and the stream goes on with the others and their cursor", async () => {
    const other = await startTestServer(CONFIG);
    const first = server;
    server = other;
    const client = await stream(["one", "two"]);
    await client.level();
    await publish("two", "before");
    expect(short(await client.next())).toBe(`two "before"`);
    const { two: _, ...channels } = CONFIG.channels;
    await other.become({ ...CONFIG, channels });
    expect(await client.next()).toMatchObject({ event: "tidewire:gone", data: { channel: "two" } });
    await publish("one", "after");
    const got = await client.next();
    expect(short(got)).toBe(`one "after"`);
    expect((await poll(["one"], `&wait=0&after=${got.id}`)).messages).toEqual([]);
    expect(await refusal(["one", "two"])).toMatchObject({ status: 404, channel: "two" });
    await other.become({ channels: { last: {} } });
    expect(await client.next()).toMatchObject({ event: "tidewire:gone", data: { channel: "one" } });
    await client.end();
    await other.stop();
    server = first;
  });
});

describe("a request for many channels", () => {
  test.each([
    [404, "unknown-channel", ["one", "none/such"], "none/such"],
    [406, "transport-not-exposed", ["one", "sockets"], "sockets"],
  ])("is refused with %i %s, which names the channel", async (status, code, channels, channel) => {
    for (const accept of ["text/event-stream", "*/*"]) {
      const answer = await refusal(channels, "", accept);
      expect(answer).toMatchObject({ status, channel, type: `urn:tidewire:problem:${code}` });
      expect(answer["detail"]).toContain(`"${channel}"`);
    }
  });

  test("is refused with 403 when one denies it, and nobody is told that it came", async () => {
    came.length = 0;
    const channels = ["guarded/a", "watched/x", "guarded/b"];
    expect(await refusal(channels, "&may=guarded/a")).toMatchObject({
      status: 403,
      type: "urn:tidewire:problem:forbidden",
      channel: "guarded/b",
    });
    expect(came).toEqual([]);
    expect(server.channels.peek("guarded/a")!.held).toBe(0);
    const client = await stream(channels, "&may=guarded/a&may=guarded/b");
    expect(short(await client.next())).toContain("watched/x");
    client.close();
  });

  test("is refused with 400 when it asks for none, or for too many", async () => {
    expect(await refusal([])).toMatchObject({ status: 400 });
    expect(await refusal([], "&transport=long-poll")).toMatchObject({ status: 400 });
    const many = Array.from({ length: 101 }, (_, i) => `room/${i}`);
    expect(await refusal(many)).toMatchObject({
      status: 400,
      detail: "101 channels are asked for; one stream carries at most 100",
    });
  });

  test("is refused with 406 over HTTP/2 push, and with 426 over a WebSocket without its handshake", async () => {
    expect(await refusal(["one"], "&transport=http2-push")).toMatchObject({
      status: 406,
      transports: ["websocket", "sse", "long-poll"],
    });
    expect(await refusal(["one"], "&transport=websocket")).toMatchObject({ status: 426 });
    expect(await refusal([], "", "*/*")).toMatchObject({ status: 426 });
  });

  test.each(["v1.", "v1.AA", "v1.AAAA", "v1.!!", "v2.AAAA", "v1.AAAAAAAAAA", "nonsense", "A-1"])(
    "is refused with 400 for the cursor %s, or goes on from it, and never with 500",
    async (text) => {
      const response = await fetch(url(["one", "two"], `&wait=0&after=${text}`));
      expect([204, 400]).toContain(response.status);
      // This one says nothing of any channel.
      if (text !== "v1.AA") expect(response.status).toBe(400);
    },
  );

  test("may name channels percent-encoded as everywhere, twice, and in any order", async () => {
    const name = `room/caf\u00e9 ${++names}`;
    const encoded = `room/caf%C3%A9%20${names}`;
    const client = await stream([encoded, "one", encoded]);
    await client.level();
    await publish(encoded, "hello");
    const { data } = await client.next();
    expect([decodeURIComponent(data.channel), data.data]).toEqual([name, "hello"]);
    client.close();
  });

  test("of 100 channels with long names has ids that fit into a header and a URL", async () => {
    const channels = Array.from({ length: 100 }, (_, i) => `room/${"long".repeat(10)}-${i}`);
    const client = await stream(channels);
    await client.level();
    for (const name of channels) await publish(name, name);
    const events = await take(client, 100);
    expect(Math.max(...events.map(({ id }) => id.length))).toBeLessThan(2100);
    client.close();
    const back = await stream(channels, "", { "last-event-id": events[49]!.id });
    expect((await take(back, 50)).map(short).toSorted()).toEqual(
      events.slice(50).map(short).toSorted(),
    );
    back.close();
    const { messages } = await poll(channels, `&wait=0&after=${events[49]!.id}`);
    expect(messages).toHaveLength(50);
  });
});
