/** Events of a stream of many channels, in pieces that one connection has room for. */
import type { Message } from "../channel/message.ts";
import type { StreamCoding } from "./coding/coding.ts";
import { encodeEnvelope } from "./envelope.ts";
import { encodeFields } from "./event-stream.ts";

/** What a cursor takes of an id for each channel, and an event beside data and id; in bytes, about. */
const CURSOR_BYTES = 16;
const EVENT_BYTES = 256;

/** @returns A page that fits into the half of a buffer that is for history, twice, ids included. */
export function pageOf(bufferBytes: number, channels: number) {
  const bytes = bufferBytes / 4;
  const count = Math.floor(bytes / (channels * CURSOR_BYTES + EVENT_BYTES));
  return { bytes, count: Math.max(1, Math.min(256, count)) };
}

/** A piece of a batch. */
export interface Chunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where a client is that has it. */
  readonly cursor: string;
}

/** Encodes a batch in pieces that a connection's buffer has room for, each of one message at least. */
export function chunksOf(
  batch: readonly Message[],
  cursorAfter: (message: Message) => string,
  maxLength: number,
  coding: StreamCoding,
): Chunk[] {
  const chunks: Chunk[] = [];
  let text = "";
  let last = "";
  for (const message of batch) {
    const cursor = cursorAfter(message);
    const event = encodeEvent(message, cursor);
    if (text !== "" && text.length + event.length > maxLength) {
      chunks.push({ bytes: coding.encode(text), cursor: last });
      text = "";
    }
    text += event;
    last = cursor;
  }
  if (text !== "") chunks.push({ bytes: coding.encode(text), cursor: last });
  return chunks;
}

function encodeEvent(message: Message, cursor: string): string {
  return encodeFields(cursor, message.event, encodeEnvelope(message));
}
