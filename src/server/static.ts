/** Serves the files of one folder, and pushes what a page needs before it is asked for. */
import type { PushPort } from "../transport/transport.ts";
import { resolveFile, type StaticFile } from "./static-file.ts";

/**
 * Answers a GET or HEAD with a file.
 *
 * @param pathname The URL's path, percent-encoded as it came.
 * @param push Where to push what the page needs; null where the client takes no pushes.
 * @returns null when there is no such file or the method is another.
 */
export type ServeStatic = (
  request: Request,
  pathname: string,
  push: PushPort | null,
) => Promise<Response | null>;

/** URL path of a page to the URL paths that are pushed with it. */
export type PushMap = Readonly<Record<string, readonly string[]>>;

/** Larger files are not pushed, in bytes: they are better asked for, or found in the client's cache. */
const MAX_PUSH_BYTES = 1024 * 1024;
/** Caches may keep a file and MUST ask whether it is still the same (RFC 9111 §5.2.2.4). */
const CACHE_CONTROL = "no-cache";

/** Serves the files below `root`, an absolute path. */
export function createStatic(root: string, pushMap: PushMap = {}): ServeStatic {
  const pages = new Map(Object.entries(pushMap));
  /** What each connection was sent already, as `path` and ETag: a changed file is pushed again. */
  const sent = new WeakMap<object, Set<string>>();

  return async (request, pathname, push) => {
    if (request.method !== "GET" && request.method !== "HEAD") return null;
    const found = await resolveFile(root, pathname);
    if (found === null) return null;
    if (found === "folder") return redirectToFolder(request);
    const headers = fileHeaders(found);
    // Who has the page has what was pushed with it.
    if (isFresh(request, found.etag)) return new Response(null, { status: 304, headers });
    const targets = pages.get(pathname);
    if (targets) await announce(targets, request.method === "GET" ? push : null, headers);
    headers.set("content-length", String(found.size));
    return new Response(request.method === "HEAD" ? null : Bun.file(found.path), { headers });
  };

  /** Pushes each target, or names it in a `Link` header where it can't be. */
  async function announce(targets: readonly string[], push: PushPort | null, headers: Headers) {
    const files = await Promise.all(targets.map((target) => resolveFile(root, target)));
    for (const [i, file] of files.entries()) {
      if (file === null || file === "folder") continue;
      const target = targets[i]!;
      if (push && (await pushFile(push, target, file))) continue;
      headers.append("link", `<${target}>; rel=preload; ${preloadAs(file.type)}`);
    }
  }

  /** Returns whether the connection has the file: by this push or an earlier one. */
  async function pushFile(push: PushPort, target: string, file: StaticFile): Promise<boolean> {
    let known = sent.get(push.connection);
    if (!known) sent.set(push.connection, (known = new Set()));
    const mark = `${file.etag} ${target}`;
    if (known.has(mark)) return true;
    if (file.size > MAX_PUSH_BYTES) return false;
    const body = await Bun.file(file.path).bytes();
    // A page never waits for a push: promised after the page, it would come after the client's request.
    if (!push.hasRoom || known.has(mark)) return known.has(mark);
    known.add(mark);
    push.push(target, Object.fromEntries(fileHeaders(file)), body, () => {});
    return true;
  }
}

function fileHeaders({ type, etag }: StaticFile): Headers {
  return new Headers({
    "content-type": type,
    etag,
    "cache-control": CACHE_CONTROL,
    // A file is what its name says, whatever is in it.
    "x-content-type-options": "nosniff",
  });
}

/** Relative links of `index.html` only work below the folder's own path. */
function redirectToFolder(request: Request): Response {
  const { pathname, search } = new URL(request.url);
  return new Response(null, { status: 308, headers: { location: `${pathname}/${search}` } });
}

/** Whether the client has this version already: weak comparison (RFC 9110 §13.1.2). */
function isFresh(request: Request, etag: string): boolean {
  const condition = request.headers.get("if-none-match");
  if (condition === null) return false;
  if (condition.trim() === "*") return true;
  const opaque = etag.replace(/^W\//, "");
  return condition.split(",").some((item) => item.trim().replace(/^W\//, "") === opaque);
}

/** The destination of a preload, with what its fetch mode needs (HTML §4.6.7, "preload"). */
function preloadAs(type: string): string {
  if (type.startsWith("text/css")) return "as=style";
  if (/javascript/.test(type)) return "as=script";
  if (type.startsWith("image/")) return "as=image";
  // Fonts are fetched with CORS even from the same origin.
  if (type.startsWith("font/")) return "as=font; crossorigin";
  return "as=fetch; crossorigin";
}
