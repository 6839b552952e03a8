/** What every coding of a stream promises, looked at through Node's own decoders. */
import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import zlib from "node:zlib";
import fc from "fast-check";
import type { StreamCoding, Trailer } from "./coding.ts";
import { GzipStreamCoding } from "./gzip.ts";
import { identity } from "./identity.ts";
import { ZstdStreamCoding } from "./zstd.ts";

const limits = { minBytes: 1024 };
const gzip = new GzipStreamCoding(limits);
const zstd = new ZstdStreamCoding(limits);

interface Case {
  readonly coding: StreamCoding;
  readonly decode: (bytes: Uint8Array) => Uint8Array;
  readonly decoder: () => zlib.Gunzip;
}

const CASES: readonly Case[] = [
  { coding: gzip, decode: zlib.gunzipSync, decoder: zlib.createGunzip },
  {
    coding: zstd,
    decode: zlib.zstdDecompressSync,
    decoder: () => zlib.createZstdDecompress() as unknown as zlib.Gunzip,
  },
];

/** One client's stream. */
class Written {
  readonly #pieces: Uint8Array[] = [];
  readonly #trailer: Trailer | null;

  constructor(coding: StreamCoding) {
    this.#trailer = coding.createTrailer();
  }

  add(...pieces: Uint8Array[]): this {
    for (const piece of pieces) {
      this.#pieces.push(piece);
      this.#trailer?.add(piece);
    }
    return this;
  }

  whole(): Buffer {
    return Buffer.concat([...this.#pieces, ...(this.#trailer ? [this.#trailer.bytes()] : [])]);
  }
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const LARGE = `data: ${JSON.stringify({ price: 12.5, name: "große" }).repeat(200)}\n\n`;

describe.each(CASES)("$coding.name", ({ coding, decode, decoder }) => {
  test("a piece is good in any number of streams, wherever they are", () => {
    const open = coding.open(":\n\n");
    const small = coding.encode("data: 1\n\n");
    const large = coding.encode(LARGE);
    expect(large.length).toBeLessThan(LARGE.length / 10);
    const first = new Written(coding).add(open, small, large, large, small);
    const second = new Written(coding).add(open, large, small);
    expect(text(decode(first.whole()))).toBe(`:\n\ndata: 1\n\n${LARGE}${LARGE}data: 1\n\n`);
    expect(text(decode(second.whole()))).toBe(`:\n\n${LARGE}data: 1\n\n`);
  });

  test("any texts come out as they went in, to the last byte and the checks at the end", () => {
    const texts = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constant(LARGE)));
    fc.assert(
      fc.property(texts, (all) => {
        const written = new Written(coding).add(coding.open("open"));
        for (const one of all) written.add(coding.encode(one));
        const expected = `open${all.map((one) => text(Buffer.from(one))).join("")}`;
        expect(text(decode(written.whole()))).toBe(expected);
      }),
    );
  });

  test("each piece can be decoded as soon as it is there", async () => {
    const stream = decoder();
    const pieces: [string, Uint8Array][] = [
      [":\n\n", coding.open(":\n\n")],
      ["data: 1\n\n", coding.encode("data: 1\n\n")],
      [LARGE, coding.encode(LARGE)],
      [":\n\n", coding.encode(":\n\n")],
    ];
    for (const [plain, piece] of pieces) {
      let came = "";
      stream.write(piece);
      while (came.length < plain.length) {
        const [chunk] = (await once(stream, "data")) as [Buffer];
        came += chunk.toString();
        stream.pause();
        stream.resume();
      }
      expect(came).toBe(plain);
    }
    stream.destroy();
  });

  test("what is under the limit is not compressed, and takes ten bytes more at most", () => {
    const plain = "a".repeat(1023);
    const piece = coding.encode(plain);
    expect(text(piece)).toContain(plain);
    expect(piece.length - plain.length).toBeLessThanOrEqual(10);
    expect(coding.encode(`${plain}a`).length).toBeLessThan(100);
  });

  test("the limit is looked at whenever something is encoded, up to 32 KiB", () => {
    const changing = { minBytes: 32_768 };
    const Coding = coding.constructor as new (given: typeof changing) => StreamCoding;
    const made = new Coding(changing);
    const sizes = [0, 1, 255, 256, 257, 32_767];
    const written = new Written(made).add(made.open(""));
    for (const size of sizes) written.add(made.encode("b".repeat(size)));
    changing.minBytes = 0;
    written.add(made.encode("c"), made.encode(""));
    const whole = written.whole();
    expect(whole.length).toBeGreaterThan(sizes.reduce((sum, size) => sum + size, 0));
    expect(text(decode(whole))).toBe(`${sizes.map((size) => "b".repeat(size)).join("")}c`);
  });
});

test("gzip: what ends without its trailer is a broken stream, so there is one", () => {
  const open = gzip.open(":\n\n");
  const whole = new Written(gzip).add(open).whole();
  expect(() => zlib.gunzipSync(open)).toThrow("unexpected end of file");
  const wrong = Buffer.from(whole);
  wrong[wrong.length - 8]! ^= 1;
  expect(() => zlib.gunzipSync(wrong)).toThrow("incorrect data check");
});

test("identity: text is itself, and ends as it is", () => {
  expect(text(identity.open("a"))).toBe("a");
  expect(text(identity.encode("é"))).toBe("é");
  expect(identity.createTrailer()).toBeNull();
});

test("gzip: each piece ends with the mark of a flush, for which Go's decoder waits", () => {
  for (const piece of [gzip.open(":"), gzip.encode("small"), gzip.encode(LARGE)]) {
    expect([...piece.subarray(-4)]).toEqual([0, 0, 0xff, 0xff]);
  }
});
