/** What an `authorize` hook is given. */
import { parseCookies } from "./cookies.ts";
import type { AccessRequest } from "./sdk.ts";

/** Who asks for a channel, and what for. */
export interface Asker {
  readonly action: AccessRequest["action"];
  readonly transport: string;
  /** Of the request; on a WebSocket of the one that opened it. */
  readonly headers: Headers;
  readonly query: URLSearchParams;
  /** IP address, or an empty string on a unix socket. */
  readonly address: string;
}

/** The channel that is asked for. */
export interface AskedChannel {
  readonly name: string;
  /** Frozen: all requests share it. */
  readonly params: Readonly<Record<string, string>>;
}

/**
 * Makes the request that one plugin is given. Headers, query and cookies are copies, made when they are
 * read: a plugin that changes them changes them for itself alone, and one that does not read them pays
 * nothing.
 */
export function createAccessRequest(asker: Asker, { name, params }: AskedChannel): AccessRequest {
  const { action, transport, address } = asker;
  let headers: Headers | null = null;
  let query: URLSearchParams | null = null;
  let cookies: ReadonlyMap<string, string> | null = null;
  return {
    action,
    channel: name,
    params,
    transport,
    address,
    claims: null,
    get headers() {
      return (headers ??= new Headers(asker.headers));
    },
    get query() {
      return (query ??= new URLSearchParams(asker.query));
    },
    get cookies() {
      return (cookies ??= parseCookies(asker.headers.get("cookie")));
    },
    get origin() {
      return asker.headers.get("origin");
    },
  };
}
