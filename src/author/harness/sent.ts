/** What came out of a channel, as a test compares it: without the id and the time of its commit. */
import type { Message } from "../../channel/message.ts";
import type { CommittedMessage } from "../../plugin/sdk.ts";

/** A message that came out of a channel: its data, and what else it has of these. */
export interface Sent {
  /** Parsed JSON, a string, or a `Uint8Array`. */
  readonly data: unknown;
  readonly event?: string;
  readonly key?: string;
  /** `json` for a string that is JSON rather than text. */
  readonly format?: "json";
}

/** Only what is set, so that `toEqual` and `toStrictEqual` agree. */
export function toSent(message: Message): Sent {
  const { event, key, format } = message;
  const data = dataOf(message);
  return {
    data,
    ...(event !== undefined && { event }),
    ...(key !== undefined && { key }),
    ...(format === "json" && typeof data === "string" && { format }),
  };
}

/** A copy of a message as a sink gets it. */
export function toCommitted(message: Message): CommittedMessage {
  const { id, channel, time, event, key } = message;
  return { id, channel, time, event, key, data: dataOf(message) };
}

/** A copy: a test that changes what it got changes nothing else. */
function dataOf({ format, text, bytes }: Message): unknown {
  if (format === "bytes") return new Uint8Array(bytes);
  return format === "text" ? text : JSON.parse(text);
}
