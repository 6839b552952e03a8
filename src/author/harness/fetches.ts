/** Knows how many calls of `fetch` are under way, so that held time stands still for them. */
import { showAuthors } from "./call-site.ts";

type Fetch = typeof globalThis.fetch;

const READERS = ["arrayBuffer", "blob", "bytes", "formData", "json", "text"] as const;

let underWay = 0;
let ended = 0;
let watchers = 0;
let original: Fetch | null = null;

/** Calls that wait for an answer, or for the whole of its body. */
export function fetchesUnderWay(): number {
  return underWay;
}

/** Calls that have ended so far. */
export function fetchesEnded(): number {
  return ended;
}

/** Counts from here on, until what this returns is called. */
export function watchFetches(): () => void {
  if (watchers++ === 0) {
    original = globalThis.fetch;
    globalThis.fetch = watched(original);
  }
  let stopped = false;
  return () => {
    if (stopped) return;
    stopped = true;
    // A test that has put a fetch of its own in its place takes that away itself.
    if (--watchers === 0 && isWatched(globalThis.fetch)) globalThis.fetch = original!;
  };
}

const WATCHED = Symbol("watched");

function isWatched(fetch: Fetch): boolean {
  return WATCHED in fetch;
}

function watched(fetch: Fetch): Fetch {
  const call = async (...args: Parameters<Fetch>): Promise<Response> => {
    const response = await count(fetch(...args));
    for (const name of READERS) {
      const read = response[name].bind(response) as () => Promise<unknown>;
      Object.defineProperty(response, name, { value: () => count(read()), configurable: true });
    }
    return response;
  };
  return Object.assign(call, { preconnect: fetch.preconnect, [WATCHED]: true }) as Fetch;
}

async function count<T>(work: Promise<T>): Promise<T> {
  underWay++;
  try {
    return await work;
  } catch (error) {
    showAuthors(error);
    throw error;
  } finally {
    underWay--;
    ended++;
  }
}
