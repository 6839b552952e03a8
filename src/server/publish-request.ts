/** A POST to a channel, as drafts. */
import type { IncomingDraft } from "../channel/pipeline.ts";
import { RequestError } from "../transport/errors.ts";
import { readBody, type Hold, type Pace } from "./body.ts";
import { fingerprintOf } from "./idempotency-key.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** NDJSON bodies carry many messages: this many times the size of one. */
const MANY = 16;
/** Messages of one NDJSON body, which are committed all or none. */
const MAX_LINES = 10_000;

export interface PublishRequest {
  readonly drafts: readonly IncomingDraft[];
  /** The body was NDJSON: the answer lists all ids. */
  readonly isMany: boolean;
  /** Tells it from another publish; for those that may be sent again, so it is worked out when asked for. */
  readonly fingerprint: () => string;
}

/** Bounds on a body. */
export interface BodyLimits {
  /** Bytes of one message's data. */
  readonly message: number;
  readonly body: Pace | null;
  readonly hold?: Hold;
}

/**
 * Reads a body by its content type: JSON, text, bytes, or NDJSON with one message's data a line.
 * `?event=` and `?key=` give the messages their event and key.
 *
 * @throws {RequestError} 400 for a body that is not what its type says, 408, 413, or 415.
 */
export async function readPublish(
  request: Request,
  query: URLSearchParams,
  limits: BodyLimits,
): Promise<PublishRequest> {
  refuseCoding(request);
  const type = mediaType(request);
  const isMany = type === "application/x-ndjson";
  const kind = kindOf(type);
  const body = await readBody(
    request,
    isMany ? limits.message * MANY : limits.message,
    limits.body,
    limits.hold,
  );
  const names = { event: query.get("event") ?? undefined, key: query.get("key") ?? undefined };
  const read = (): IncomingDraft[] => {
    if (isMany) return readLines(decode(body));
    if (kind === "bytes") return [{ data: body }];
    const text = decode(body);
    return [kind === "text" ? { data: text } : readJson(text, "the body")];
  };
  const drafts = read().map((draft) => ({ ...draft, ...names }));
  const fingerprint = () => fingerprintOf(isMany ? "lines" : kind, names, body);
  return { drafts, isMany, fingerprint };
}

/** Compressed bodies are not unpacked: one of a few bytes could become very many. */
function refuseCoding(request: Request): void {
  const coding = request.headers.get("content-encoding");
  if (coding === null || coding === "" || coding.toLowerCase() === "identity") return;
  throw new RequestError(
    415,
    "unsupported-coding",
    `Content-Encoding is ${JSON.stringify(coding.slice(0, 80))}; send the body as it is, without one`,
    { headers: { "accept-encoding": "identity" } },
  );
}

export function mediaType(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
}

function kindOf(type: string): "json" | "text" | "bytes" {
  if (type === "application/json" || type.endsWith("+json")) return "json";
  if (type.startsWith("text/")) return "text";
  if (type === "application/x-www-form-urlencoded" || type === "multipart/form-data") {
    throw new RequestError(
      415,
      "unsupported-media-type",
      `a message can't be ${type}, which is what forms and "curl -d" send; say what it is: -H "Content-Type: application/json" or text/plain`,
      {
        headers: {
          "accept-post":
            "application/json, text/plain, application/octet-stream, application/x-ndjson",
        },
      },
    );
  }
  return "bytes";
}

/** @throws {RequestError} 400 when the bytes are not UTF-8. */
export function decode(body: Uint8Array): string {
  try {
    return utf8.decode(body);
  } catch {
    throw new RequestError(
      400,
      "invalid-utf8",
      "the body is not UTF-8; send bytes as application/octet-stream",
    );
  }
}

/** The parser quotes a word that it does not know, however long. */
const MAX_REASON = 200;

/** @param what What it is, for the error: `the body`, `line 3`. */
export function readJson(text: string, what: string): IncomingDraft {
  try {
    return { data: JSON.parse(text), format: "json", raw: text };
  } catch (error) {
    const reason = (error as Error).message.slice(0, MAX_REASON);
    throw new RequestError(400, "invalid-json", `${what} is not JSON: ${reason}`);
  }
}

/**
 * Reads NDJSON; lines with nothing on them are left out.
 *
 * @throws {RequestError} 400 when a line is not JSON or there is none, 413 when there are too many.
 */
export function readLines(text: string): IncomingDraft[] {
  const drafts: IncomingDraft[] = [];
  let start = 0;
  // Line by line rather than split: a body of nothing but line ends would become millions of strings.
  for (let number = 1; start <= text.length; number++) {
    const found = text.indexOf("\n", start);
    const end = found < 0 ? text.length : found;
    // A CR before it belongs to the line end; it is not the message's.
    const line = text.slice(start, text[end - 1] === "\r" ? end - 1 : end);
    start = end + 1;
    if (line.trim() === "") continue;
    if (drafts.length === MAX_LINES) {
      throw new RequestError(413, "too-large", `the body has more than ${MAX_LINES} messages`);
    }
    drafts.push(readJson(line, `line ${number}`));
  }
  if (drafts.length === 0) {
    throw new RequestError(400, "empty-body", "the body has no line with a message");
  }
  return drafts;
}
