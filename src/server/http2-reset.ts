/** Resets HTTP/2 streams, so that a client can tell an answer that was cut off from a whole one. */
import { constants, type ServerHttp2Stream } from "node:http2";

/** Sends RST_STREAM (RFC 9113 §6.4) and lets go of what was not sent. */
export function resetStream(stream: ServerHttp2Stream, code: number): void {
  if (stream.destroyed || stream.closed) return;
  // Bun ends the stream properly before it resets it: half a body would pass for a whole one.
  stream._final = (callback) => callback(null);
  stream.close(code);
}

/**
 * The answer is whole before the request is, of which no more is read: the client is told to stop sending
 * (RFC 9113 §8.1), or a body that trickles in would hold its stream for ever.
 */
export function endWhenSent(stream: ServerHttp2Stream): void {
  const end = () => resetStream(stream, constants.NGHTTP2_NO_ERROR);
  if (stream.writableFinished) end();
  else stream.once("finish", end);
}
