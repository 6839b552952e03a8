/**
 * Text of an event stream.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
import type { Gap } from "../channel/cursor.ts";
import type { Message } from "../channel/message.ts";

const LINE_END = /\r\n|\r|\n/;

/** `data` fields, one for each line; CR, LF and CRLF all end a line and reach the client as LF. */
function dataFields(text: string): string {
  if (!text.includes("\n") && !text.includes("\r")) return `data: ${text}\n`;
  return text
    .split(LINE_END)
    .map((line) => `data: ${line}\n`)
    .join("");
}

/**
 * Encodes one message as an event.
 *
 * @returns The event's text with its closing blank line. Data that is bytes is base64.
 */
export function encodeEvent(message: Message): string {
  return encodeFields(message.id, message.event, message.text);
}

/** Encodes an event of a stream whose ids are not the messages' own. */
export function encodeFields(id: string, event: string | undefined, text: string): string {
  const name = event === undefined ? "" : `event: ${event}\n`;
  return `id: ${id}\n${name}${dataFields(text)}\n`;
}

/** Encodes an event without an id: the client's last event id stays. */
export function encodeUnnumbered(text: string, event?: string): string {
  return `${event === undefined ? "" : `event: ${event}\n`}${dataFields(text)}\n`;
}

/** Encodes the event that tells of a gap; its id is where delivery goes on. */
export function encodeGap(gap: Gap): string {
  return `event: ${GAP}\nid: ${gap.id}\ndata: ${JSON.stringify(gap)}\n\n`;
}

/** Sets the client's last event id without an event: data is empty, so none is dispatched. */
export function encodeId(id: string): string {
  return `id: ${id}\n\n`;
}

/** Sets how long the client waits before it comes back, in milliseconds. */
export function encodeRetry(retryMs: number): string {
  return `retry: ${Math.round(retryMs)}\n\n`;
}

/** Name of the event that tells of a gap. */
export const GAP = "tidewire:gap";

/** Name of the event that says that the channel is no more, after which the stream ends. */
export const GONE = "tidewire:gone";

/** A comment, which keeps the connection from looking idle. */
export const HEARTBEAT = ":\n\n";
