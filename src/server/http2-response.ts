/** Writes a Fetch `Response` to an HTTP/2 stream. */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { BodyPump, type BodyEvents } from "./body-pump.ts";
import { resetStream } from "./http2-reset.ts";

/** Header fields that only HTTP/1.1 knows: an HTTP/2 peer refuses a response that has one (RFC 9113 §8.2.2). */
export const CONNECTION_FIELDS = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Sends status, headers and body.
 *
 * @returns The body under way, or null when there is none.
 */
export function writeResponse(
  stream: ServerHttp2Stream,
  response: Response,
  events: Omit<BodyEvents, "cut">,
): BodyPump | null {
  const { body, status } = response;
  if (stream.destroyed || stream.closed) {
    void body?.cancel().catch(() => {});
    return null;
  }
  // The status forbids a body (RFC 9110 §15.3.5, §15.4.5), whatever the response has.
  const isBare = status === 204 || status === 205 || status === 304;
  stream.respond(toFields(response), { endStream: body === null || isBare });
  if (body === null) return null;
  if (isBare) {
    void body.cancel().catch(() => {});
    return null;
  }
  return new BodyPump(stream, body, {
    ...events,
    cut: () => resetStream(stream, constants.NGHTTP2_INTERNAL_ERROR),
  });
}

function toFields({ status, headers }: Response): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = { ":status": status };
  for (const [name, value] of headers) {
    if (!CONNECTION_FIELDS.has(name) && name !== "set-cookie") fields[name] = value;
  }
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) fields["set-cookie"] = cookies;
  return fields;
}
