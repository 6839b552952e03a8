/** Which pages of other origins may use the channels (WHATWG Fetch §3.3, "CORS protocol"). */
import { RequestError } from "../transport/errors.ts";

/** Headers of answers that a page's script may read. */
const EXPOSED =
  "ETag, Idempotent-Replayed, Link, Location, Retry-After, Tidewire-Gap, Tidewire-Key";
/** Headers that a page may send, where its browser does not ask for any by name. */
const TAKEN = "Content-Type, Last-Event-ID, Idempotency-Key, Expect-Position";
const VARY = { vary: "Origin, Accept, Accept-Encoding" };

export class Cors {
  readonly #allowed: "*" | ReadonlySet<string>;

  constructor(origins: "*" | readonly string[]) {
    this.#allowed = origins === "*" ? "*" : new Set(origins);
  }

  /**
   * Refuses what a page of a foreign origin could do without asking first: open a WebSocket, or POST.
   * The browser itself guards everything else.
   *
   * @param target Origin that the request was sent to.
   * @throws {RequestError} 403.
   */
  check(request: Request, target: string): void {
    const origin = request.headers.get("origin");
    if (origin === null || this.#isAllowed(origin) || isSameHost(origin, target)) return;
    throw new RequestError(
      403,
      "origin-not-allowed",
      `pages of ${origin} may not use this server; the config may say "server: { cors: [${JSON.stringify(origin)}] }"`,
    );
  }

  /** No answer has any of its headers. */
  get isOff(): boolean {
    return this.#allowed !== "*" && this.#allowed.size === 0;
  }

  /** Headers that let an allowed page read the answer; null when there are none to add. */
  headers(request: Request): Record<string, string> | null {
    if (this.#allowed === "*") {
      if (!request.headers.has("origin")) return null;
      return { "access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED };
    }
    if (this.#allowed.size === 0) return null;
    const origin = request.headers.get("origin");
    // On every answer: a cache must not hand the one for a page that may not read it to one that may.
    if (origin === null || !this.#allowed.has(origin)) return VARY;
    return {
      "access-control-allow-origin": origin,
      "access-control-expose-headers": EXPOSED,
      ...VARY,
    };
  }

  /** Answers a preflight, or any other OPTIONS. */
  preflight(request: Request, methods: readonly string[]): Response {
    const headers: Record<string, string> = { allow: methods.join(", ") };
    const cors = this.headers(request);
    Object.assign(headers, cors);
    if (cors && "access-control-allow-origin" in cors) {
      Object.assign(headers, {
        "access-control-allow-methods": methods.join(", "),
        "access-control-allow-headers":
          request.headers.get("access-control-request-headers") ?? TAKEN,
        "access-control-max-age": "600",
      });
    }
    return new Response(null, { status: 204, headers });
  }

  #isAllowed(origin: string): boolean {
    return this.#allowed === "*" || this.#allowed.has(origin);
  }
}

/** Whether two origins have the same host and port; a proxy before this server may end the TLS. */
function isSameHost(origin: string, target: string): boolean {
  return origin.replace(/^https?:/, "") === target.replace(/^https?:/, "");
}
