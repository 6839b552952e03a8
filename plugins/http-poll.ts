/** Fetches a URL again and again and publishes what it gives when that has changed. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { definePlugin, duration, OptionError, parseDuration, t, type Draft } from "tidewire";

const MIN_MS = 10;
/** The longest wait between two tries while the URL fails, unless `every` is longer. */
const MAX_BACKOFF_MS = 5 * 60_000;
/** The longest wait that a server may ask for by Retry-After. */
const MAX_RETRY_AFTER_MS = 60 * 60_000;

export default definePlugin({
  name: "http-poll",
  options: t.Object({
    url: t.String({
      pattern: "^https?://",
      description: "What to fetch. Redirects are followed.",
      examples: ["https://api.example.com/status"],
    }),
    every: duration({ default: "30s", description: "Time between two fetches, at least 10ms." }),
    timeout: duration({ default: "10s", description: "Time a fetch may take, its body included." }),
    method: t.Union([t.Literal("GET"), t.Literal("POST")], {
      default: "GET",
      description:
        "HTTP method. Conditional requests (ETag, Last-Modified) are made with GET alone.",
    }),
    headers: t.Record(t.String(), t.String(), {
      default: {},
      description: "Headers of the request.",
      examples: [{ authorization: "Bearer ${API_TOKEN}" }],
    }),
    body: t.Optional(t.String({ description: "Body of a POST." })),
    event: t.Optional(t.String({ description: "Event name of the messages." })),
    key: t.Optional(t.String({ description: "Key of the messages." })),
    max_bytes: t.Integer({
      minimum: 1,
      default: 1024 * 1024,
      description:
        "Bytes of a body, unpacked. A longer one is not read to its end: it is an error.",
    }),
  }),
  check,
  setup({ options, log, signal }) {
    check(options);
    const everyMs = parseDuration(options.every);
    const timeoutMs = parseDuration(options.timeout);
    const url = parseUrl(options.url);
    const { event, key, method, headers, body, max_bytes: maxBytes } = options;
    // Queries and credentials may be secret: they stay out of the log.
    const shown = url.origin + url.pathname;
    let known = NONE;
    let hash: string | null = null;

    /** One fetch: the draft, or null when nothing changed. */
    const poll = async (): Promise<Draft | null> => {
      const limit = new AbortController();
      const abort = () => limit.abort(new PollError(`no answer within ${options.timeout}`));
      const timer = setTimeout(abort, timeoutMs);
      signal.addEventListener("abort", abort, { once: true });
      try {
        const response = await fetch(url, {
          method,
          headers: withConditions(headers, method === "GET" ? known : NONE),
          body: method === "POST" ? (body ?? "") : null,
          signal: limit.signal,
        });
        if (response.status === 304 && hash !== null) return null;
        if (!response.ok) {
          await response.body?.cancel();
          throw new PollError(`status ${response.status}`, retryAfterMs(response));
        }
        const bytes = await readBody(response, maxBytes);
        const type = response.headers.get("content-type") ?? "";
        const data = decode(bytes, type);
        const newHash = createHash("sha256").update(type).update("\n").update(bytes).digest("hex");
        const isSame = newHash === hash;
        // Not before the body was read whole and understood: a 304 to a broken one would hide it.
        hash = newHash;
        known = {
          etag: response.headers.get("etag"),
          modified: response.headers.get("last-modified"),
        };
        return isSame ? null : { ...data, event, key };
      } catch (error) {
        throw limit.signal.aborted ? limit.signal.reason : error;
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      }
    };

    return {
      async *source() {
        let failures = 0;
        while (!signal.aborted) {
          let waitMs = everyMs;
          try {
            const draft = await poll();
            if (failures > 0) log.info("answers again", { url: shown, failures });
            failures = 0;
            if (draft) yield draft;
          } catch (error) {
            if (signal.aborted) return;
            if (failures === 0) log.warn("can't fetch; trying again", { url: shown, error });
            failures++;
            const askedMs = error instanceof PollError ? error.retryAfterMs : 0;
            waitMs = Math.max(backoffMs(everyMs, failures), Math.min(askedMs, MAX_RETRY_AFTER_MS));
          }
          await sleep(waitMs, undefined, { signal }).catch(() => {});
        }
      },
    };
  },
});

interface PollOptions {
  readonly url: string;
  readonly every: string;
  readonly timeout: string;
  readonly headers: Record<string, string>;
}

/** @throws {OptionError} When a duration is too short, or the URL or a header is none. */
function check(options: PollOptions): void {
  for (const option of ["every", "timeout"] as const) {
    if (parseDuration(options[option]) >= MIN_MS) continue;
    const message = `${option} is "${options[option]}"; it must be at least ${MIN_MS}ms`;
    throw new OptionError(option, message);
  }
  parseUrl(options.url);
  checkHeaders(options.headers);
}

/** @throws {OptionError} For what HTTP does not let into a header (RFC 9110 §5.1, §5.5); the value stays out of it. */
function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    const option = `/headers/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw new OptionError(option, `${JSON.stringify(name)} is not the name of a header`);
    }
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value.trim())) {
      const message = `the header ${name} has a line end or another character that no header can have`;
      throw new OptionError(option, message);
    }
  }
}

class PollError extends Error {
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.name = "PollError";
    this.retryAfterMs = retryAfterMs;
  }
}

interface Validators {
  readonly etag: string | null;
  readonly modified: string | null;
}

const NONE: Validators = { etag: null, modified: null };

/** @see https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3 If-Modified-Since is ignored beside an ETag. */
function withConditions(given: Record<string, string>, { etag, modified }: Validators): Headers {
  const headers = new Headers(given);
  if (etag !== null) headers.set("if-none-match", etag);
  else if (modified !== null) headers.set("if-modified-since", modified);
  return headers;
}

/** Doubles with each failure, up to a cap; a random part keeps many pollers from coming at once. */
function backoffMs(everyMs: number, failures: number): number {
  const capMs = Math.max(everyMs, MAX_BACKOFF_MS);
  return Math.min(capMs, everyMs * 2 ** Math.min(failures, 30)) * (0.75 + Math.random() / 4);
}

/**
 * Reads Retry-After, in seconds or as a date, of the answers that have it: 429 and 503.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
function retryAfterMs(response: Response): number {
  const value = response.headers.get("retry-after")?.trim();
  if (!value || (response.status !== 429 && response.status !== 503)) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.max(0, ms);
}

async function readBody(response: Response, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop by the error cancels the rest of the body.
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) throw new PollError(`body has over ${maxBytes} bytes (max_bytes)`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** JSON where the content type says so (RFC 6839 `+json` too), text where it is text, else bytes. */
function decode(bytes: Uint8Array, contentType: string): Pick<Draft, "data" | "format"> {
  const type = contentType.split(";", 1)[0]!.trim().toLowerCase();
  if (/^application\/(.+\+)?json$/.test(type)) {
    try {
      return { data: JSON.parse(new TextDecoder().decode(bytes)), format: "json" };
    } catch (error) {
      throw new PollError(`body is not the JSON that its type says: ${(error as Error).message}`);
    }
  }
  if (/^text\/|[/+]xml$|^application\/(javascript|yaml|x-ndjson)$/.test(type)) {
    const charset = /;\s*charset="?([^\s;"]+)/i.exec(contentType)?.[1];
    return { data: createDecoder(charset).decode(bytes), format: "text" };
  }
  return { data: bytes };
}

function createDecoder(charset = "utf-8"): TextDecoder {
  try {
    return new TextDecoder(charset as "utf-8");
  } catch {
    return new TextDecoder();
  }
}

function parseUrl(text: string): URL {
  try {
    return new URL(text);
  } catch {
    const message = `url is "${text}"; write a URL such as "https://example.com/status"`;
    throw new OptionError("url", message);
  }
}
