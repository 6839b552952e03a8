/** Event streams: what many are sent is compressed once for all whose coding is the same. */
import { afterEach, expect, test } from "bun:test";
import zlib from "node:zlib";
import { openWorld } from "../channel/testing.ts";
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
  piecesOf,
} from "./compressed.testing.ts";
import { SseTransport } from "./sse.ts";

afterEach(closeAll);

const kinds = ["one channel", "many channels"] as const;

for (const kind of kinds) {
  test(`SSE, ${kind}: all of one coding get the very same piece, others the same data`, async () => {
    const world = openWorld();
    const sse = open(new SseTransport(OPTIONS));
    const openIn = (coding: string) => {
      const headers = { "accept-encoding": coding };
      return kind === "one channel"
        ? sse.serve(exchangeOf(world, headers))
        : sse.serveMerged(mergedOf(world, headers));
    };
    const zstd = Array.from({ length: CLIENTS }, () => openIn("zstd"));
    const gzip = Array.from({ length: CLIENTS }, () => openIn("gzip"));
    const plain = Array.from({ length: CLIENTS }, () => openIn("identity"));
    const deflations = callsOf(zlib, "deflateRawSync");
    const frames = callsOf(zstdBody, "encode");
    world.publish(LARGE);
    world.channel.fanOut.flush();
    const pieces = async (streams: Response[]) =>
      new Set(await Promise.all(streams.map(async (one) => (await piecesOf(one, 3))[2]!)));
    const [ofZstd, ofGzip, ofPlain] = [await pieces(zstd), await pieces(gzip), await pieces(plain)];
    expect([ofZstd.size, ofGzip.size, ofPlain.size]).toEqual([1, 1, 1]);
    expect([frames(), deflations()]).toEqual([1, 1]);
    const text = Buffer.from([...ofPlain][0]!).toString();
    expect(text).toContain("again and again and");
    expect(zlib.zstdDecompressSync([...ofZstd][0]!).toString()).toBe(text);
    const inflated = zlib.inflateRawSync([...ofGzip][0]!, {
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
    });
    expect(inflated.toString()).toBe(text);
  });
}

test("SSE: a page of history is compressed once for all who resume", async () => {
  const world = openWorld();
  for (let i = 0; i < 10; i++) world.publish(LARGE);
  world.channel.fanOut.flush();
  const sse = open(new SseTransport(OPTIONS));
  const frames = callsOf(zstdBody, "encode");
  const deflations = callsOf(zlib, "deflateRawSync");
  const pagesIn = async (coding: string) => {
    const pages = new Set<Uint8Array>();
    for (let i = 0; i < CLIENTS; i++) {
      const exchange = exchangeOf(world, { "accept-encoding": coding });
      const response = sse.serve({ ...exchange, start: { from: "earliest" } });
      pages.add((await piecesOf(response, 2))[1]!);
    }
    return [...pages];
  };
  const [zstd, ...otherZstd] = await pagesIn("zstd");
  const [gzip, ...otherGzip] = await pagesIn("gzip");
  expect([otherZstd, otherGzip]).toEqual([[], []]);
  expect([frames(), deflations()]).toEqual([1, 1]);
  const text = zlib.zstdDecompressSync(zstd!).toString();
  expect(text.match(/^data: /gm)).toHaveLength(10);
  const inflated = zlib.inflateRawSync(gzip!, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  expect(inflated.toString()).toBe(text);
});

test("SSE: another retry holds for streams that come, in a coding that was used before too", async () => {
  const world = openWorld();
  const sse = open(new SseTransport(OPTIONS));
  const retryIn = async (coding: string) => {
    const exchange = exchangeOf(world, { "accept-encoding": coding });
    const [first] = await piecesOf(sse.serve(exchange), 1);
    // Too small to be compressed.
    return /retry: (\d+)/.exec(Buffer.from(first!).toString("latin1"))![1];
  };
  expect([await retryIn("gzip"), await retryIn("identity")]).toEqual(["1000", "1000"]);
  sse.update({ retryMs: 77, heartbeatMs: 15_000 });
  expect([await retryIn("gzip"), await retryIn("identity")]).toEqual(["77", "77"]);
});
