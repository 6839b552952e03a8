/** A content coding: how the bytes of answers and of event streams are written (RFC 9110 §8.4.1). */
import type { CodingName } from "./accept-encoding.ts";

/** Encodes bodies that are there as a whole. */
export interface BodyCoding {
  readonly name: CodingName;
  encode(body: Uint8Array): Uint8Array<ArrayBuffer>;
  /** The same, on another thread: for what is large, and for one client alone. */
  encodeAside(body: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Encodes a stream piece by piece. A piece stands by itself, so the same bytes are good in any number of
 * streams of this coding, at any place but the first.
 */
export interface StreamCoding {
  readonly name: CodingName | "identity";
  /** The first piece of a stream. */
  open(text: string): Uint8Array<ArrayBuffer>;
  /** Any further piece, which its client can decode as soon as it is there. */
  encode(text: string): Uint8Array<ArrayBuffer>;
  /** What one stream has to end with; null where nothing is missing. */
  createTrailer(): Trailer | null;
}

/** The end of one stream, which depends on all that was in it. */
export interface Trailer {
  /** MUST be told of every piece that the stream is given, in order. */
  add(piece: Uint8Array): void;
  bytes(): Uint8Array<ArrayBuffer>;
}

/** What a coding looks at whenever it encodes: a reload changes it in place. */
export interface CodingLimits {
  /** Bytes under which nothing is compressed. At most 32 KiB. */
  readonly minBytes: number;
}
