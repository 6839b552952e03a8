/** Long-polls: what many are answered with is made once for all that it is the same for, and nobody else. */
import { afterEach, expect, test } from "bun:test";
import zlib from "node:zlib";
import { openWorld } from "../channel/testing.ts";
import { gzipBody } from "./coding/gzip.ts";
import { zstdBody } from "./coding/zstd.ts";
import {
  CLIENTS,
  LARGE,
  OPTIONS,
  callsOf,
  closeAll,
  exchangeOf,
  mergedOf,
  open,
} from "./compressed.testing.ts";
import { LongPollTransport } from "./long-poll.ts";

afterEach(closeAll);

test.each([
  ["envelope", "application/vnd.tidewire+json"],
  ["raw", "*/*"],
])(
  "long-poll, %s: once for a batch, though each poll goes on at a URL of its own",
  async (_framing, accept) => {
    const world = openWorld();
    const poll = open(new LongPollTransport(OPTIONS));
    const gzips = callsOf(gzipBody, "encode");
    const frames = callsOf(zstdBody, "encode");
    const ask = (coding: string) =>
      Array.from({ length: CLIENTS }, (_, i) =>
        poll.serve(exchangeOf(world, { accept, "accept-encoding": coding }, `token=${i}`)),
      );
    const [gzip, zstd] = [ask("gzip"), ask("zstd")];
    world.publish(LARGE);
    world.channel.fanOut.flush();
    const bodies = new Set<string>();
    for (const response of await Promise.all(gzip)) {
      expect(response.headers.get("content-encoding")).toBe("gzip");
      bodies.add(zlib.gunzipSync(await response.bytes()).toString());
    }
    for (const response of await Promise.all(zstd)) {
      expect(response.headers.get("content-encoding")).toBe("zstd");
      bodies.add(zlib.zstdDecompressSync(await response.bytes()).toString());
    }
    expect(bodies.size).toBe(1);
    expect([gzips(), frames()]).toEqual([1, 1]);
  },
);

test.each(["one channel", "many channels"])(
  "long-poll, %s: what polls share is of their coding and their limit",
  async (kind) => {
    const world = openWorld();
    const poll = open(new LongPollTransport(OPTIONS));
    const ask = (coding: string, limit: number) => {
      const headers = { accept: "application/vnd.tidewire+json", "accept-encoding": coding };
      return kind === "one channel"
        ? poll.serve(exchangeOf(world, headers, `limit=${limit}`))
        : poll.serveMerged(mergedOf(world, headers, `&limit=${limit}`));
    };
    const decoders = {
      gzip: zlib.gunzipSync,
      zstd: zlib.zstdDecompressSync,
      identity: (body: Uint8Array) => Buffer.from(body),
    };
    const asked = Object.entries(decoders).flatMap(([coding, decode]) =>
      [1, 2, 3].map((limit) => ({ limit, decode, answer: ask(coding, limit) })),
    );
    world.publish(LARGE, LARGE, LARGE);
    world.channel.fanOut.flush();
    for (const { limit, decode, answer } of asked) {
      const body = decode(await (await answer).bytes()).toString();
      expect((JSON.parse(body) as { messages: unknown[] }).messages).toHaveLength(limit);
    }
  },
);

test("long-poll: once for a batch that no limit cuts, whatever the limit of each", async () => {
  const world = openWorld();
  const poll = open(new LongPollTransport(OPTIONS));
  const gzips = callsOf(gzipBody, "encode");
  const headers = { accept: "application/vnd.tidewire+json", "accept-encoding": "gzip" };
  const answers = Array.from({ length: CLIENTS }, (_, i) =>
    i % 2 === 0
      ? poll.serve(exchangeOf(world, headers, `limit=${i + 1}`))
      : poll.serveMerged(mergedOf(world, headers, `&limit=${i + 1}`)),
  );
  world.publish(LARGE);
  world.channel.fanOut.flush();
  for (const answer of await Promise.all(answers)) {
    expect(answer.headers.get("content-encoding")).toBe("gzip");
  }
  // A merged one says other things of its place.
  expect(gzips()).toBe(2);
});

test.each([
  ["envelope", "application/vnd.tidewire+json"],
  ["raw", "*/*"],
])("long-poll, %s: once for all who are told of a gap, held or not", async (framing, accept) => {
  const world = openWorld();
  const poll = open(new LongPollTransport(OPTIONS));
  const gzips = callsOf(gzipBody, "encode");
  const ask = () =>
    Array.from({ length: CLIENTS }, (_, i) => {
      // Two of each URL, which came from different places.
      const more = `token=${i % (CLIENTS / 2)}`;
      const exchange = exchangeOf(world, { accept, "accept-encoding": "gzip" }, more);
      const position = { epoch: "before", offset: i + 1 };
      return poll.serve({ ...exchange, start: { from: "after", position } });
    });
  const held = ask();
  // An envelope tells of the gap at once.
  expect(poll.held).toBe(framing === "raw" ? CLIENTS : 0);
  world.publish(LARGE);
  world.channel.fanOut.flush();
  const read = ask();
  for (const [which, answers] of Object.entries({ held, read })) {
    for (const [i, answer] of (await Promise.all(answers)).entries()) {
      expect(answer.headers.get("tidewire-gap")).toStartWith(`after="before-${i + 1}"`);
      if (framing === "envelope" && which === "held") continue;
      const body = zlib.gunzipSync(await answer.bytes()).toString();
      if (framing === "envelope") expect(JSON.parse(body)).toMatchObject({ gap: true });
      else expect(body).toBe(LARGE);
    }
  }
  // Of a batch, and of history.
  expect(gzips()).toBe(framing === "raw" ? 2 : 1);
  const level = poll.serve({
    ...exchangeOf(world, { accept, "accept-encoding": "gzip" }),
    start: { from: "earliest" },
  });
  const body = zlib.gunzipSync(await (await level).bytes()).toString();
  if (framing === "envelope") expect(JSON.parse(body)).toMatchObject({ gap: false });
});

test("long-poll: a page of history is compressed once for all who come back to it", async () => {
  const world = openWorld();
  for (let i = 0; i < 10; i++) world.publish(LARGE);
  world.channel.fanOut.flush();
  const poll = open(new LongPollTransport(OPTIONS));
  const gzips = callsOf(gzipBody, "encode");
  for (let i = 0; i < CLIENTS; i++) {
    const headers = { accept: "application/vnd.tidewire+json", "accept-encoding": "gzip" };
    const exchange = exchangeOf(world, headers, `token=${i}`);
    const response = await poll.serve({ ...exchange, start: { from: "earliest" } });
    const { messages } = JSON.parse(zlib.gunzipSync(await response.bytes()).toString());
    expect(messages).toHaveLength(10);
  }
  expect(gzips()).toBe(1);
});

test("long-poll: what answers one batch takes memory once, encoded or not, whoever reads", async () => {
  const world = openWorld({ maxBytes: 1 << 20 });
  const poll = open(new LongPollTransport(OPTIONS));
  const large = Buffer.from(crypto.getRandomValues(new Uint8Array(1 << 19))).toString("hex");
  const ask = (coding: string) =>
    Array.from({ length: 200 }, (_, i) =>
      poll.serve(exchangeOf(world, { "accept-encoding": coding }, `token=${i}`)),
    );
  const polls = [...ask("identity"), ...ask("gzip")];
  const before = process.memoryUsage.rss();
  world.publish(large);
  world.channel.fanOut.flush();
  const answers = await Promise.all(polls);
  const grown = process.memoryUsage.rss() - before;
  expect(await answers.at(0)!.text()).toBe(large);
  expect(zlib.gunzipSync(await answers.at(-1)!.bytes()).toString()).toBe(large);
  // 200 copies of 1 MiB and of half of that would be 300.
  expect(grown).toBeLessThan(50 * 1024 ** 2);
});

test("what is small is sent as it is, and so is what a client can't take", async () => {
  const world = openWorld();
  const poll = open(new LongPollTransport(OPTIONS));
  const zstd = poll.serve(exchangeOf(world, { "accept-encoding": "zstd" }));
  world.publish("small");
  world.channel.fanOut.flush();
  const small = await zstd;
  expect(small.headers.has("content-encoding")).toBe(false);
  expect(small.headers.get("etag")).toMatch(/^"/);
  expect(await small.text()).toBe("small");
  const brotli = poll.serve(exchangeOf(world, { "accept-encoding": "br" }));
  world.publish(LARGE);
  world.channel.fanOut.flush();
  const other = await brotli;
  expect(other.headers.has("content-encoding")).toBe(false);
  expect(other.headers.get("vary")).toBe("Accept, Accept-Encoding");
  expect(await other.text()).toBe(LARGE);
});

test("bytes are sent as they are: they mostly are compressed already", async () => {
  const world = openWorld();
  const poll = open(new LongPollTransport(OPTIONS));
  const answer = poll.serve(exchangeOf(world, { "accept-encoding": "zstd" }));
  await world.channel.publish([{ data: new Uint8Array(1000) }]);
  world.channel.fanOut.flush();
  const { headers } = await answer;
  expect(headers.has("content-encoding")).toBe(false);
});
