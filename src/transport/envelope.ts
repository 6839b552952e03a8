/** The envelope framing: a message as JSON with its id, channel, event, key and time beside the data. */
import type { Message } from "../channel/message.ts";

/** The media type that asks for envelope framing. */
export const ENVELOPE_TYPE = "application/vnd.tidewire+json";

/** The members of an envelope, without the braces: data that is JSON is put in as it was published. */
function members(message: Message): string {
  const event = message.event === undefined ? "" : `,"event":${JSON.stringify(message.event)}`;
  const key = message.key === undefined ? "" : `,"key":${JSON.stringify(message.key)}`;
  // Without it a reader could not tell bytes from text.
  const encoding = message.format === "bytes" ? `,"encoding":"base64"` : "";
  return (
    `"id":"${message.id}","channel":${JSON.stringify(message.channel)}${event}${key},` +
    `"time":${message.time},"data":${message.json}${encoding}`
  );
}

/** Encodes a message as an envelope; bytes are base64, with `"encoding":"base64"`. */
export function encodeEnvelope(message: Message): string {
  return `{${members(message)}}`;
}

/** Encodes a message as a `tidewire.v1` frame: an envelope with `"type":"message"`. */
export function encodeFrame(message: Message): string {
  return `{"type":"message",${members(message)}}`;
}

/** Encodes a page: `next` is where to go on, `gap` whether messages before the first are lost. */
export function encodePage(messages: readonly Message[], next: string, gap: boolean): string {
  return `{"messages":[${messages.map(encodeEnvelope).join(",")}],"next":"${next}","gap":${gap}}`;
}

/** Encodes a page of many channels: `gaps` has what is lost, channel by channel, before its messages. */
export function encodeManyPage(
  messages: readonly Message[],
  next: string,
  gaps: readonly object[],
): string {
  const lost = `"gap":${gaps.length > 0},"gaps":${JSON.stringify(gaps)}`;
  return `{"messages":[${messages.map(encodeEnvelope).join(",")}],"next":"${next}",${lost}}`;
}
