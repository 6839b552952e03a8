/** What every transport promises, over real connections to a real server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "../../src/server/testing.ts";
import { until } from "../../src/server/until-testing.ts";
import { COMPRESSED_WAYS, WAYS } from "./clients/all.ts";
import type { Received, TestClient, Way } from "./clients/client.ts";

let server: TestServer;
let names = 0;

beforeAll(async () => {
  server = await startTestServer({
    channels: { "room/{name}": { history: { size: 50, ttlMs: 600_000 } } },
    server: {
      http2Push: { listen: { hostname: "127.0.0.1", port: 0 }, tls: null },
      compression: { websocket: true, minBytes: 1 },
    },
    limits: { message: 2 << 20 },
  });
});
afterAll(() => server.stop());

/** A channel of its own for each test. */
function freshChannel(): string {
  return `room/r${++names}`;
}

async function publish(
  channel: string,
  body: string | Uint8Array,
  type = "text/plain",
): Promise<string> {
  const response = await fetch(`${server.urls.public}/channels/${channel}`, {
    method: "POST",
    body: body as string,
    headers: { "content-type": type },
  });
  const answer = (await response.json()) as { id: string; detail?: string };
  if (response.status !== 201) throw new Error(answer.detail);
  return answer.id;
}

/** Opens a client; a live one is subscribed when this resolves. */
async function open(way: Way, channel: string, after?: string): Promise<TestClient> {
  const url = way.transport === "http2-push" ? server.urls.http2Push! : server.urls.public;
  const before = held(channel);
  const client = await way.open({ url, channel, ...(after === undefined ? {} : { after }) });
  // A poll has no answer that would tell that it is held now.
  if (after === undefined) await until(() => held(channel) > before);
  return client;
}

/** Clients that the server holds a connection of, for one channel. */
function held(channel: string): number {
  return server.channels.peek(channel)?.held ?? 0;
}

async function take(client: TestClient, count: number): Promise<Received[]> {
  const items: Received[] = [];
  while (items.length < count) items.push(await client.next());
  return items;
}

function texts(items: readonly Received[]): unknown[] {
  return items.map((item) => (item.type === "message" ? item.text : item));
}

function ids(items: readonly Received[]): unknown[] {
  return items.map((item) => (item.type === "message" ? item.id : item));
}

for (const way of [...WAYS, ...COMPRESSED_WAYS]) {
  describe(way.name, () => {
    test("delivers live messages once and in order", async () => {
      const channel = freshChannel();
      const client = await open(way, channel);
      const sent: string[] = [];
      for (let i = 0; i < 20; i++) sent.push(await publish(channel, `m${i}`));
      const got = await take(client, 20);
      expect(texts(got)).toEqual(sent.map((_, i) => `m${i}`));
      if (way.hasIds) expect(ids(got)).toEqual(sent);
      await client.close();
    });

    test("delivers history from the earliest, then live, with no hole between", async () => {
      const channel = freshChannel();
      await publish(channel, "old 1");
      await publish(channel, "old 2");
      const client = await open(way, channel, "earliest");
      expect(texts(await take(client, 2))).toEqual(["old 1", "old 2"]);
      await publish(channel, "new 3");
      expect(texts(await take(client, 1))).toEqual(["new 3"]);
      await client.close();
    });

    test("resumes after a position while messages are published all the time", async () => {
      const channel = freshChannel();
      const sent: string[] = [];
      for (let i = 0; i < 10; i++) sent.push(await publish(channel, `m${i}`));
      const publishing = (async () => {
        for (let i = 10; i < 40; i++) sent.push(await publish(channel, `m${i}`));
      })();
      const client = await open(way, channel, sent[4]);
      const got = await take(client, 35);
      await publishing;
      expect(texts(got)).toEqual(sent.slice(5).map((_, i) => `m${i + 5}`));
      await client.close();
    });

    test("tells of a gap before anything else when the position is too old", async () => {
      const channel = freshChannel();
      const sent: string[] = [];
      for (let i = 0; i < 60; i++) sent.push(await publish(channel, `m${i}`));
      const client = await open(way, channel, sent[0]);
      const first = await client.next();
      if (!way.hasIds) {
        expect(first).toEqual({ type: "end", code: 4010 });
      } else {
        expect(first).toMatchObject({ type: "gap", id: sent[9]! });
        expect(texts(await take(client, 2))).toEqual(["m10", "m11"]);
      }
      await client.close();
    });

    test("tells of a gap when the position is of another epoch", async () => {
      const channel = freshChannel();
      const sent = [await publish(channel, "one"), await publish(channel, "two")];
      const client = await open(way, channel, "another1-7");
      const first = await client.next();
      if (!way.hasIds) {
        expect(first).toEqual({ type: "end", code: 4010 });
      } else {
        expect(first).toMatchObject({ type: "gap", id: sent[0]!.replace(/1$/, "0") });
        expect(texts(await take(client, 2))).toEqual(["one", "two"]);
      }
      await client.close();
    });

    test("carries unicode, every kind of line end, and empty data", async () => {
      const channel = freshChannel();
      const client = await open(way, channel);
      const data = [
        "Grüße, 世界 👩‍🚀 \u2028 \u0000 end",
        "a\nb\r\nc\rd",
        "\n",
        "\r\n\r\n",
        "",
        " leading and trailing ",
        "data: not a field\n\nid: 7",
      ];
      for (const text of data) await publish(channel, text);
      const expected =
        way.lineEnds === "kept" ? data : data.map((text) => text.replace(/\r\n|\r/g, "\n"));
      expect(texts(await take(client, data.length))).toEqual(expected);
      await client.close();
    });

    test("carries JSON as it was published, and bytes", async () => {
      const channel = freshChannel();
      const client = await open(way, channel);
      await publish(channel, '{"big":12345678901234567890,"e":1e2}', "application/json");
      const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
      await publish(channel, bytes, "application/octet-stream");
      const [json, binary] = await take(client, 2);
      // Clients that parse the envelope lose the digits themselves: the text is looked at elsewhere.
      expect(JSON.parse((json as { text: string }).text)).toEqual({
        big: 12345678901234567000,
        e: 100,
      });
      expect((binary as { text: string }).text).toBe(Buffer.from(bytes).toString("base64"));
      await client.close();
    });

    test("carries 1 MiB of data", async () => {
      const channel = freshChannel();
      const client = await open(way, channel);
      const text = "0123456789abcdef".repeat(65_536);
      await publish(channel, text);
      await publish(channel, "after it");
      const [big, small] = texts(await take(client, 2));
      expect(big === text).toBe(true);
      expect(small).toBe("after it");
      await client.close();
    });

    test("forgets a client that vanishes in the middle of a message", async () => {
      const channel = freshChannel();
      const stays = await open(way, channel);
      const goes = await open(way, channel);
      await publish(channel, "x".repeat(1 << 20));
      await goes.close();
      await publish(channel, "still here");
      expect(texts(await take(stays, 2))[1]).toBe("still here");
      await stays.close();
      await until(() => held(channel) === 0);
    });
  });
}

describe("a position", () => {
  const withIds = WAYS.filter((way) => way.hasIds && way.name !== "long-poll, curl");
  for (const from of withIds) {
    test(`of ${from.name} is good on every other way`, async () => {
      const channel = freshChannel();
      const client = await open(from, channel);
      await publish(channel, "first");
      const [first] = await take(client, 1);
      await client.close();
      await publish(channel, "second");
      await publish(channel, "third");
      const position = (first as { id: string }).id;
      for (const to of WAYS) {
        const next = await open(to, channel, position);
        expect(texts(await take(next, 2))).toEqual(["second", "third"]);
        await next.close();
      }
    });
  }
});
