/** A request of `node:http2` or `node:http` as a Fetch `Request`. */
import type { IncomingHttpHeaders } from "node:http2";
import type { Readable } from "node:stream";
import { RequestError } from "../transport/errors.ts";

export interface RequestParts {
  readonly method: string | undefined;
  /** Path and query as they came. */
  readonly path: string | undefined;
  /** The `:authority` or `Host`. */
  readonly authority: string | undefined;
  /** Header fields; those that start with a colon are left out. */
  readonly fields: IncomingHttpHeaders;
  readonly scheme: "http" | "https";
  readonly body: Readable;
  /** Whether the body that ended came to its end, or was cut off. */
  readonly isWhole: () => boolean;
  /** Aborts when the client leaves before it was answered. */
  readonly signal: AbortSignal;
}

/** What an authority may be: a host or a bracketed IPv6 address, and a port; no user name. */
const AUTHORITY = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
/** Methods that the Fetch standard forbids in a `Request`. */
const FORBIDDEN_METHODS = ["CONNECT", "TRACE", "TRACK"];

/**
 * Makes a `Request`; its body is read as it is taken.
 *
 * @throws {RequestError} 400 when path, authority or a header can't be used; 501 for a method that a
 *   `Request` can't have.
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
 */
export function toRequest(parts: RequestParts): Request {
  const { method, path, authority, fields, scheme, body, signal } = parts;
  if (!method || FORBIDDEN_METHODS.includes(method)) {
    throw new RequestError(501, "unknown-method", `method "${method ?? ""}" is not served here`);
  }
  if (!path?.startsWith("/")) {
    throw badRequest(`path "${path ?? ""}" does not start with "/"`);
  }
  if (!authority || !AUTHORITY.test(authority)) {
    throw badRequest(`authority "${authority ?? ""}" is not a host, such as "example.org:8443"`);
  }
  const init: RequestInit = { method, headers: toHeaders(fields, authority), signal };
  if (method === "GET" || method === "HEAD") {
    // A body has no meaning here (RFC 9110 §9.3.1), and unread it would take up the flow-control window.
    body.resume();
  } else {
    init.body = toBody(body, parts.isWhole);
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

/** What the client sends; a reader that is slow slows the client down. */
function toBody(stream: Readable, isWhole: () => boolean): ReadableStream<Uint8Array> {
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
          if (isWhole()) settle(() => controller.close());
          else settle(() => controller.error(new Error(CUT_OFF)));
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

const CUT_OFF = "the client left before its request was complete";
