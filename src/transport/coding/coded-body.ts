/** The body of an answer, encoded where that makes it smaller. */
import type { CodingName } from "./accept-encoding.ts";
import type { BodyCoding } from "./coding.ts";

/** Immutable: any number of answers may be made of it. */
export interface CodedBody {
  /** Bytes are a blob: answers share it, where each would have a copy of an array. */
  readonly content: string | Blob;
  /** null where it is as it was. */
  readonly coding: CodingName | null;
}

const encoder = new TextEncoder();

/** @param minBytes What is smaller is not worth the time. */
export function encodeBody(
  content: string | Uint8Array<ArrayBuffer>,
  coding: BodyCoding | null,
  minBytes: number,
): CodedBody {
  if (coding === null || content.length < minBytes) return asItIs(content);
  const plain = bytesOf(content);
  return smaller(content, plain, coding.encode(plain), coding);
}

/** `encodeBody` on another thread: for what may be large, and is for one client alone. */
export async function encodeBodyAside(
  content: string | Uint8Array<ArrayBuffer>,
  coding: BodyCoding | null,
  minBytes: number,
): Promise<CodedBody> {
  if (coding === null || content.length < minBytes) return asItIs(content);
  const plain = bytesOf(content);
  return smaller(content, plain, await coding.encodeAside(plain), coding);
}

function bytesOf(content: string | Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return typeof content === "string" ? encoder.encode(content) : content;
}

function smaller(
  content: string | Uint8Array<ArrayBuffer>,
  plain: Uint8Array,
  encoded: Uint8Array<ArrayBuffer>,
  { name }: BodyCoding,
): CodedBody {
  if (encoded.length >= plain.length) return asItIs(content);
  return { content: new Blob([encoded]), coding: name };
}

function asItIs(content: string | Uint8Array<ArrayBuffer>): CodedBody {
  return { content: typeof content === "string" ? content : new Blob([content]), coding: null };
}

/** Memory that the body takes, about. */
export function weightOf(content: CodedBody["content"]): number {
  return typeof content === "string" ? 2 * content.length : content.size;
}

/** The headers of such a body: a cache must not take it for another one's. */
export function codingHeaders({ coding }: CodedBody): Record<string, string> {
  return coding === null ? {} : { "content-encoding": coding };
}

/** The entity tag for a position. */
export function tagOf(position: string, { coding }: CodedBody): string {
  return coding === null ? `"${position}"` : weakTag(`"${position}"`);
}

/**
 * The tag of an encoded body: a strong one would say that the bytes are those of the body as it was
 * (RFC 9110 §8.8.3.3).
 */
export function weakTag(strong: string): string {
  return `W/${strong}`;
}
