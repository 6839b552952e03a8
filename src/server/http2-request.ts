/** One HTTP/2 stream's request as a Fetch `Request`. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { RequestError } from "../transport/errors.ts";

export interface Http2RequestOptions {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly scheme: "http" | "https";
  /** Aborts when the stream closes before it was answered. */
  readonly signal: AbortSignal;
}

/** What an authority may be: a host or a bracketed IPv6 address, and a port; no user name. */
const AUTHORITY = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
/** Methods that the Fetch standard forbids in a `Request`. */
const FORBIDDEN_METHODS = ["CONNECT", "TRACE", "TRACK"];

/**
 * Turns the header fields of a stream into a `Request`; its body is read as it is taken.
 *
 * @throws {RequestError} 400, when path, authority or a header can't be used; 501 for a method that no request may have.
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
 */
export function toRequest({ stream, headers, scheme, signal }: Http2RequestOptions): Request {
  const method = headers[":method"];
  const path = headers[":path"];
  const authority = headers[":authority"] ?? headers.host;
  if (!method || FORBIDDEN_METHODS.includes(method)) {
    throw new RequestError(501, "unknown-method", `method "${method ?? ""}" is not served here`);
  }
  if (!path?.startsWith("/")) {
    throw badRequest(`path "${path ?? ""}" does not start with "/"`);
  }
  if (!authority || !AUTHORITY.test(authority)) {
    throw badRequest(`authority "${authority ?? ""}" is not a host, such as "example.org:8443"`);
  }
  const init: RequestInit = { method, headers: toHeaders(headers, authority), signal };
  if (method === "GET" || method === "HEAD") {
    // A body has no meaning here (RFC 9110 §9.3.1), and unread it would take up the flow-control window.
    stream.resume();
  } else {
    init.body = toBody(stream);
  }
  try {
    // Not `new URL(path, base)`: a path such as `//other.example/` would change the host.
    return new Request(`${scheme}://${authority}${path}`, init);
  } catch (error) {
    throw badRequest((error as Error).message);
  }
}

function toHeaders(fields: IncomingHttpHeaders, authority: string): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith(":") || value === undefined) continue;
    try {
      for (const item of Array.isArray(value) ? value : [value]) headers.append(name, item);
    } catch {
      throw badRequest(`header "${name}" has a character that no header may have`);
    }
  }
  headers.set("host", authority);
  return headers;
}

/** The stream's DATA; a reader that is slow slows the client down by flow control. */
function toBody(stream: ServerHttp2Stream): ReadableStream<Uint8Array> {
  let settled = false;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const settle = (end: () => void) => {
          if (settled) return;
          settled = true;
          end();
        };
        stream.on("data", (chunk: Uint8Array) => {
          if (settled) return;
          controller.enqueue(chunk);
          if (controller.desiredSize! <= 0) stream.pause();
        });
        stream.once("end", () => {
          // A reset ends the readable side too: half a body must not pass for a whole one.
          if (stream.aborted) settle(() => controller.error(new Error(CUT_OFF)));
          else settle(() => controller.close());
        });
        stream.once("close", () => settle(() => controller.error(new Error(CUT_OFF))));
        stream.pause();
      },
      pull() {
        stream.resume();
      },
      cancel() {
        settled = true;
        stream.resume();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: 65_536 }),
  );
}

function badRequest(detail: string): RequestError {
  return new RequestError(400, "bad-request", detail);
}

const CUT_OFF = "the client reset the stream before its request was complete";
