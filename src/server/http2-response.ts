/** Writes a Fetch `Response` to an HTTP/2 stream. */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { resetStream } from "./http2-reset.ts";

/** Header fields that only HTTP/1.1 knows: an HTTP/2 peer refuses a response that has one (RFC 9113 §8.2.2). */
const CONNECTION_FIELDS = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

export interface BodyEvents {
  /** A chunk was written. */
  readonly onWrite: () => void;
  /** The body failed; the stream is reset, so that the client can tell. */
  readonly onError: (error: unknown) => void;
}

/** A body on its way to the client. */
export interface BodyWrite {
  /** Where `performance.now()` stood when the chunk under way was written; null when none is. */
  readonly since: number | null;
  /** Resets the stream of a client that does not take it. */
  reset(): void;
}

/**
 * Sends status, headers and body. A body is read chunk by chunk: the next only when the last has gone out
 * to the socket, past the client's flow control. When the stream closes, the body is cancelled.
 *
 * @returns The body under way, or null when there is none.
 */
export function writeResponse(
  stream: ServerHttp2Stream,
  response: Response,
  events: BodyEvents,
): BodyWrite | null {
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
  return new BodyPump(stream, body, events);
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

class BodyPump implements BodyWrite {
  since: number | null = null;
  readonly #stream: ServerHttp2Stream;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #events: BodyEvents;
  #closed = false;

  constructor(
    stream: ServerHttp2Stream,
    body: ReadableStream<Uint8Array>,
    events: BodyEvents,
  ) {
    this.#stream = stream;
    this.#reader = body.getReader();
    this.#events = events;
    stream.once("close", () => {
      this.#closed = true;
      this.since = null;
      void this.#reader.cancel().catch(() => {});
    });
    this.#next();
  }

  reset(): void {
    resetStream(this.#stream, constants.NGHTTP2_CANCEL);
  }

  readonly #next = (): void => {
    this.since = null;
    if (!this.#closed) this.#reader.read().then(this.#write, this.#fail);
  };

  readonly #write = ({ value }: { readonly value?: Uint8Array | undefined }): void => {
    if (this.#closed) return;
    if (value === undefined) return void this.#stream.end();
    if (value.byteLength === 0) return this.#next();
    this.since = performance.now();
    // The callback rather than 'drain': it comes when the bytes are past the client's flow control.
    this.#stream.write(value, this.#next);
    this.#events.onWrite();
  };

  readonly #fail = (error: unknown): void => {
    if (this.#closed) return;
    this.#events.onError(error);
    resetStream(this.#stream, constants.NGHTTP2_INTERNAL_ERROR);
  };
}
