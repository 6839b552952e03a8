/** One message as an HTTP resource: the same headers whether it is fetched, long-polled or pushed. */
import type { Message } from "../channel/message.ts";

/** A message never changes, so whoever has it needs to ask no more (RFC 8246). */
const IMMUTABLE = "private, max-age=31536000, immutable";

/**
 * The media type of a message's data as it is sent raw.
 *
 * @returns `application/json`, `text/plain;charset=utf-8` or `application/octet-stream`.
 */
function contentType(message: Message): string {
  switch (message.format) {
    case "json":
      return "application/json";
    case "text":
      return "text/plain;charset=utf-8";
    case "bytes":
      return "application/octet-stream";
  }
}

/**
 * Headers of a response whose body is `message.bytes`.
 *
 * @param cacheControl `IMMUTABLE` for the message's own URL; long-poll's URL answers with another
 *   message each time and passes `no-cache`.
 */
export function messageHeaders(
  message: Message,
  cacheControl: string = IMMUTABLE,
): Record<string, string> {
  return {
    "content-type": contentType(message),
    etag: `"${message.id}"`,
    "cache-control": cacheControl,
    // Clients publish what is served here from the page's own origin: text must never pass for HTML.
    "x-content-type-options": "nosniff",
    // What a deletion, which is null, is about. A key may have any characters, a header field has ASCII.
    ...(message.key !== undefined && { "tidewire-key": encodeURIComponent(message.key) }),
  };
}
