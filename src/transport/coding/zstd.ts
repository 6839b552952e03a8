/** Zstandard (RFC 8878). Frames may follow one another, so each piece of a stream is one. */
import type { BodyCoding, CodingLimits, StreamCoding } from "./coding.ts";

/** Fastest of the levels that find the most of what there is to find; its window is 2 MiB (RFC 9659). */
const OPTIONS = { level: 3 };

const encoder = new TextEncoder();

export const zstdBody: BodyCoding = {
  name: "zstd",
  encode: (body) => Bun.zstdCompressSync(body, OPTIONS) as Uint8Array<ArrayBuffer>,
  encodeAside: (body) => Bun.zstdCompress(body, OPTIONS) as Promise<Uint8Array<ArrayBuffer>>,
};

export class ZstdStreamCoding implements StreamCoding {
  readonly name = "zstd";
  readonly #limits: CodingLimits;

  constructor(limits: CodingLimits) {
    this.#limits = limits;
  }

  open(text: string): Uint8Array<ArrayBuffer> {
    return this.encode(text);
  }

  encode(text: string): Uint8Array<ArrayBuffer> {
    const plain = encoder.encode(text);
    return plain.length < this.#limits.minBytes ? stored(plain) : zstdBody.encode(plain);
  }

  createTrailer(): null {
    return null;
  }
}

/**
 * A frame of one raw block: magic number, a segment of its own with its length in one byte or two, and the
 * header of a last block (RFC 8878 §3.1.1).
 */
function stored(plain: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = plain;
  const block = (length << 3) | 1;
  const head = [
    ...[0x28, 0xb5, 0x2f, 0xfd],
    // Two bytes of length count from 256.
    ...(length < 256 ? [0x20, length] : [0x60, (length - 256) & 0xff, (length - 256) >> 8]),
    ...[block & 0xff, (block >> 8) & 0xff, block >> 16],
  ];
  const frame = new Uint8Array(head.length + length);
  frame.set(head);
  frame.set(plain, head.length);
  return frame;
}
