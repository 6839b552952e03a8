/** A POST to a channel, as drafts. */
import type { Draft } from "../channel/message.ts";
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

/** What all messages of a body are named by. */
export type Names = Pick<Draft, "event" | "key">;

const UNNAMED: Names = {};

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
 * @throws {RequestError} 400 for a name that is not UTF-8 or a body that is not what its type says, 408, 413, or 415.
 */
export async function readPublish(
  request: Request,
  query: URLSearchParams,
  limits: BodyLimits,
): Promise<PublishRequest> {
  refuseCoding(request);
  const names: Names = { event: readName(query, "event"), key: readName(query, "key") };
  const type = mediaType(request);
  const isMany = type === "application/x-ndjson";
  const kind = kindOf(type);
  const body = await readBody(
    request,
    isMany ? limits.message * MANY : limits.message,
    limits.body,
    limits.hold,
  );
  const drafts = isMany ? readLines(decode(body), names) : [readOne(body, kind, names)];
  const fingerprint = () => fingerprintOf(isMany ? "lines" : kind, names, body);
  return { drafts, isMany, fingerprint };
}

function readOne(body: Uint8Array, kind: "json" | "text" | "bytes", names: Names): IncomingDraft {
  if (kind === "json") return readJson(decode(body), "the body", names);
  return { data: kind === "bytes" ? body : decode(body), event: names.event, key: names.key };
}

/** @throws {RequestError} 400 when it is not UTF-8: two keys that are not would be one and the same. */
function readName(query: URLSearchParams, name: "event" | "key"): string | undefined {
  const text = query.get(name) ?? undefined;
  // What stands for bytes that are no UTF-8. That somebody means this very character is not to be expected.
  if (!text?.includes("\ufffd")) return text;
  throw new RequestError(
    400,
    "bad-encoding",
    `the query's ${name} has broken percent-encoding; each % is followed by two hex digits and the bytes are UTF-8`,
  );
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

const CR = 13;
/** Characters of a body that are kept in memory with a line of it, where the line is not longer. */
const PIECE = 4096;
/** The parser quotes a word that it does not know, however long. */
const MAX_REASON = 200;

/** @param what What it is, for the error: `the body`, `line 3`. */
export function readJson(text: string, what: string, names: Names = UNNAMED): IncomingDraft {
  try {
    return jsonDraft(text, names);
  } catch (error) {
    throw notJson(error, what);
  }
}

/** @throws {SyntaxError} When the text is not JSON. */
function jsonDraft(text: string, { event, key }: Names): IncomingDraft {
  return { data: JSON.parse(text), format: "json", raw: text, event, key };
}

function notJson(error: unknown, what: string): RequestError {
  const reason = (error as Error).message.slice(0, MAX_REASON);
  return new RequestError(400, "invalid-json", `${what} is not JSON: ${reason}`);
}

/**
 * Reads NDJSON; lines with nothing on them are left out.
 *
 * @throws {RequestError} 400 when a line is not JSON or there is none, 413 when there are too many.
 */
export function readLines(text: string, names: Names = UNNAMED): IncomingDraft[] {
  const drafts: IncomingDraft[] = [];
  let number = 0;
  for (const piece of piecesOf(text)) {
    // Line by line rather than split: a body of nothing but line ends would become millions of strings.
    for (let start = 0; start < piece.length;) {
      number++;
      const found = piece.indexOf("\n", start);
      const end = found < 0 ? piece.length : found;
      // A CR before it belongs to the line end; it is not the message's.
      const line = piece.slice(start, piece.charCodeAt(end - 1) === CR ? end - 1 : end);
      start = end + 1;
      // JSON begins with a character that is no space, and of ASCII: most lines need no second look.
      const code = line.charCodeAt(0);
      if (!(code > 32 && code < 127) && line.trim() === "") continue;
      if (drafts.length === MAX_LINES) {
        throw new RequestError(413, "too-large", `the body has more than ${MAX_LINES} messages`);
      }
      try {
        drafts.push(jsonDraft(line, names));
      } catch (error) {
        throw notJson(error, `line ${number}`);
      }
    }
  }
  if (drafts.length === 0) {
    throw new RequestError(400, "empty-body", "the body has no line with a message");
  }
  return drafts;
}

/**
 * Cuts a text at line ends, each piece with a memory of its own: a line is kept in history, and whatever it
 * is cut from stays in memory with it.
 */
function* piecesOf(text: string): Generator<string, void> {
  if (text.length <= PIECE) return yield text;
  for (let start = 0; start < text.length;) {
    const last = start + PIECE;
    let end = last < text.length ? text.lastIndexOf("\n", last) + 1 : text.length;
    // A line that is longer than a piece is one by itself.
    if (end <= start) end = text.indexOf("\n", last) + 1 || text.length;
    yield Buffer.from(text.slice(start, end)).toString();
    start = end;
  }
}
