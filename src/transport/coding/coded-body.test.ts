import { expect, test } from "bun:test";
import { encodeBody, encodeBodyAside, weightOf } from "./coded-body.ts";
import { gzipBody } from "./gzip.ts";
import { zstdBody } from "./zstd.ts";

const MIN_BYTES = 100;
const encode = { here: encodeBody, aside: encodeBodyAside };

test.each(["here", "aside"] as const)(
  "encodeBody(), %s: what gets no smaller stays",
  async (where) => {
    const random = crypto.getRandomValues(new Uint8Array(1000));
    for (const coding of [gzipBody, zstdBody]) {
      const { content, coding: used } = await encode[where](random, coding, MIN_BYTES);
      expect(used).toBeNull();
      expect(await new Response(content).bytes()).toEqual(random);
    }
  },
);

test.each(["here", "aside"] as const)("encodeBody(), %s: from so many bytes on", async (where) => {
  const usedFor = async (length: number) =>
    (await encode[where]("a".repeat(length), gzipBody, MIN_BYTES)).coding;
  expect([await usedFor(MIN_BYTES - 1), await usedFor(MIN_BYTES)]).toEqual([null, "gzip"]);
});

test("weightOf() counts what a body takes in memory, not in characters", () => {
  const body = encodeBody("a".repeat(1000), gzipBody, MIN_BYTES);
  expect(weightOf(body.content)).toBeLessThan(100);
  expect(weightOf("é".repeat(1000))).toBe(2000);
});
