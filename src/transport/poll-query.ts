/** What a long-poll says in its query, and what its answers say of caches. */
import { RequestError } from "./errors.ts";

const DEFAULT_WAIT_S = 25;
const MAX_WAIT_S = 60;
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

/** Both framings stand behind one URL, and no cache may answer a poll with an old answer. */
export const POLL_HEADERS = { "cache-control": "no-cache", vary: "Accept" };

/** Reads `?wait=`, the seconds that the client wants to be held. */
export function readWait(query: URLSearchParams): number {
  const text = query.get("wait");
  if (text === null) return DEFAULT_WAIT_S;
  const seconds = /^\d+(\.\d+)?s?$/.test(text) ? parseFloat(text) : NaN;
  if (!(seconds <= MAX_WAIT_S)) {
    throw new RequestError(
      400,
      "bad-wait",
      `wait is ${JSON.stringify(text.slice(0, 80))}; it must be a number of seconds from 0 to ${MAX_WAIT_S}, such as wait=25`,
    );
  }
  return seconds;
}

/** Reads `?limit=`, the most messages of one page. */
export function readLimit(query: URLSearchParams): number {
  const text = query.get("limit");
  if (text === null) return DEFAULT_LIMIT;
  const limit = /^\d+$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) {
    throw new RequestError(
      400,
      "bad-limit",
      `limit is ${JSON.stringify(text.slice(0, 80))}; it must be a whole number from 1 to ${MAX_LIMIT}`,
    );
  }
  return limit;
}

/** The parameters that the next poll keeps: all but where to start. */
export function otherParameters(query: URLSearchParams): string {
  let text = "";
  for (const [name, value] of query) {
    if (name === "after" || name === "last") continue;
    text += `${encodeURIComponent(name)}=${encodeURIComponent(value)}&`;
  }
  return text;
}
