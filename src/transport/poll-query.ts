/** What a long-poll says in its query, and what its answers say of caches. */
import { RequestError } from "./errors.ts";

const DEFAULT_WAIT_S = 25;
const MAX_WAIT_S = 60;
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

/** Both framings stand behind one URL, and no cache may answer a poll with an old answer. */
export const POLL_HEADERS = { "cache-control": "no-cache", vary: "Accept, Accept-Encoding" };

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

/** By a query's own object, which requests of the same URL share. */
const known = new WeakMap<URLSearchParams, PollUrl>();

/** What the URL of a poll says: read once for all polls that have the same one. */
export class PollUrl {
  /** URL of the next poll, up to the position. */
  readonly nextUrl: string;
  readonly waitSeconds: number;
  readonly #query: URLSearchParams;
  #limit: number | null = null;
  #answer = { form: "", limit: 0, key: "" };

  /**
   * @param path The path that the query belongs to.
   * @throws {RequestError} 400 when `wait` is not one.
   */
  static of(path: string, query: URLSearchParams): PollUrl {
    let url = known.get(query);
    if (!url) known.set(query, (url = new PollUrl(path, query)));
    return url;
  }

  private constructor(path: string, query: URLSearchParams) {
    this.#query = query;
    this.waitSeconds = readWait(query);
    this.nextUrl = `${path}?${otherParameters(query)}after=`;
  }

  /** @throws {RequestError} 400 when `limit` is not one. */
  get limit(): number {
    return (this.#limit ??= readLimit(this.#query));
  }

  /** The key of an answer of this form: polls that go on at the same URL have the same one. */
  answerKey(form: string, limit: number): string {
    const last = this.#answer;
    if (last.form === form && last.limit === limit) return last.key;
    const key = `${form} ${limit} ${this.nextUrl}`;
    this.#answer = { form, limit, key };
    return key;
  }
}
