/** Resets an HTTP/2 stream, so that the client can tell a body that was cut off from a whole one. */
import type { ServerHttp2Stream } from "node:http2";

/** Sends RST_STREAM (RFC 9113 §6.4) and lets go of what was not sent. */
export function resetStream(stream: ServerHttp2Stream, code: number): void {
  if (stream.destroyed || stream.closed) return;
  // Bun ends the stream properly before it resets it: half a body would pass for a whole one.
  stream._final = (callback) => callback(null);
  stream.close(code);
}
