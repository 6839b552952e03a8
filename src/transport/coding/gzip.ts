/**
 * gzip (RFC 1952). A stream is one member, for browsers ignore what follows the first: its pieces are blocks
 * of deflate (RFC 1951) that end on a byte and refer to nothing before them.
 */
import zlib from "node:zlib";
import { promisify } from "node:util";
import type { BodyCoding, CodingLimits, StreamCoding, Trailer } from "./coding.ts";
import { combineCrc32, shiftOf } from "./crc32.ts";

/** Deflate, no time, no name, of an unknown system (RFC 1952 §2.3). */
const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
/** A last block that is empty (RFC 1951 §3.2.6). */
const LAST_BLOCK = [3, 0];
/** What a flush ends with: an empty block, not compressed. */
const FLUSHED = [0, 0, 0, 0xff, 0xff];
/**
 * No block is the last one, and an empty one brings the end to a byte. Level 3 gives a third less than 1, and
 * level 6 takes twice to five times as long for a tenth less.
 */
const STREAM = { level: 3, finishFlush: zlib.constants.Z_SYNC_FLUSH };
/** As small as level 3 of zlib, in half of the time. */
const BODY = { level: 1, library: "libdeflate" } as const;

const encoder = new TextEncoder();
const gzipAside = promisify(zlib.gzip);

export const gzipBody: BodyCoding = {
  name: "gzip",
  encode: (body) => Bun.gzipSync(body as Uint8Array<ArrayBuffer>, BODY),
  encodeAside: (body) => gzipAside(body, { level: 3 }) as Promise<Uint8Array<ArrayBuffer>>,
};

/** Of a piece's text. */
interface Check {
  readonly crc: number;
  readonly shift: number;
  readonly bytes: number;
}

export class GzipStreamCoding implements StreamCoding {
  readonly name = "gzip";
  readonly #limits: CodingLimits;
  /** Worked out once a piece, however many streams it goes to. */
  readonly #checks = new WeakMap<Uint8Array, Check>();

  constructor(limits: CodingLimits) {
    this.#limits = limits;
  }

  open(text: string): Uint8Array<ArrayBuffer> {
    return this.#piece(encoder.encode(text), HEADER);
  }

  encode(text: string): Uint8Array<ArrayBuffer> {
    return this.#piece(encoder.encode(text));
  }

  createTrailer(): Trailer {
    return new GzipTrailer(this.#checks);
  }

  #piece(plain: Uint8Array, before?: Uint8Array): Uint8Array<ArrayBuffer> {
    const blocks = plain.length < this.#limits.minBytes ? stored(plain) : deflated(plain);
    const piece = before ? joined(before, blocks) : blocks;
    const { length: bytes } = plain;
    this.#checks.set(piece, { crc: Bun.hash.crc32(plain), shift: shiftOf(bytes), bytes });
    return piece;
  }
}

/** CRC-32 and length of the whole, without which a client takes the stream for a broken one. */
class GzipTrailer implements Trailer {
  readonly #checks: WeakMap<Uint8Array, Check>;
  #crc = 0;
  #bytes = 0;

  constructor(checks: WeakMap<Uint8Array, Check>) {
    this.#checks = checks;
  }

  add(piece: Uint8Array): void {
    const { crc, shift, bytes } = this.#checks.get(piece)!;
    this.#crc = combineCrc32(this.#crc, crc, shift);
    this.#bytes = (this.#bytes + bytes) % 2 ** 32;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const trailer = new Uint8Array(10);
    trailer.set(LAST_BLOCK);
    const view = new DataView(trailer.buffer);
    view.setUint32(2, this.#crc, true);
    view.setUint32(6, this.#bytes, true);
    return trailer;
  }
}

function deflated(plain: Uint8Array): Uint8Array<ArrayBuffer> {
  return zlib.deflateRawSync(plain, STREAM);
}

/**
 * A block that is not compressed: its length, the complement of that, and the bytes (RFC 1951 §3.2.4). An
 * empty one follows, as after each flush: Go's decoder hands over no small block before it has seen one.
 */
function stored(plain: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = plain;
  const piece = new Uint8Array(5 + length + FLUSHED.length);
  piece.set([0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff]);
  piece.set(plain, 5);
  piece.set(FLUSHED, 5 + length);
  return piece;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
