/** Where to start, as a client writes it. */
import { LIVE, parseResume, type Start } from "../channel/position.ts";
import { RequestError } from "./errors.ts";

/**
 * Reads `after`: a position, or `earliest`, or `state`.
 *
 * @param where What to call it in an error, such as `Last-Event-ID`.
 * @throws {RequestError} When it is neither.
 */
export function parseAfter(text: string, where: string): Start {
  if (text === "earliest") return { from: "earliest" };
  if (text === "state") return { from: "state", place: null };
  const resume = parseResume(text);
  if (resume) return resume;
  throw new RequestError(
    400,
    "bad-position",
    `${where} is ${JSON.stringify(text.slice(0, 80))}; it must be the id of a message, such as "mfz3k9-42"${where === "Last-Event-ID" ? "" : `, "earliest" or "state"`}`,
  );
}

/** Whether a start is the word `state`: where the state is begun, not gone on with. */
export function asksForState(start: Start): boolean {
  return start.from === "state" && start.place === null;
}

/** Nobody is to take an empty answer for the state of a channel that keeps none. */
export function noState(channel: string): RequestError {
  return new RequestError(
    400,
    "no-state",
    `after is "state", but channel "${channel}" keeps none; its config may say "history: { latest_by_key: true }", or ask for after=earliest`,
  );
}

/**
 * Checks that a channel has what a client wants to start with, whatever the transport.
 *
 * @param keepsState Whether the channel keeps the newest message of each key.
 * @throws {RequestError} 400 `no-state` when it does not, and the state is asked for.
 */
export function checkStart(start: Start, channel: string, keepsState: boolean): void {
  if (!keepsState && asksForState(start)) throw noState(channel);
}

/**
 * Reads `last`, a number of messages from history.
 *
 * @throws {RequestError} When it is not a whole number.
 */
export function parseLast(text: string): Start {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(count)) {
    throw new RequestError(
      400,
      "bad-last",
      `last is ${JSON.stringify(text.slice(0, 80))}; it must be a whole number such as last=10`,
    );
  }
  return count === 0 ? LIVE : { from: "last", count };
}

/**
 * Reads where a request wants to start: `Last-Event-ID`, else `after`, else `last`, else live.
 *
 * A browser's EventSource comes back with the URL that it was made with and the header beside it, so the
 * header is the newer of the two.
 *
 * @param takesTag `If-None-Match` is a position too (long-poll): a browser's cache sends back the `ETag` of
 *   the last answer to the same URL, so a loop over one URL goes on. A position in the URL is the client's
 *   own and counts for more: two tabs share one cache, and one's tag would make the other skip messages.
 *   So does `state`: a page that was loaded anew has none of what the one before it was given.
 * @throws {RequestError} When a position is not one.
 */
export function parseStart(request: Request, query: URLSearchParams, takesTag: boolean): Start {
  const lastEventId = request.headers.get("last-event-id");
  if (lastEventId) return parseAfter(lastEventId, "Last-Event-ID");
  // A client that keeps its position in a variable starts with an empty one.
  const after = query.get("after") || null;
  if (after !== null && after !== "earliest") return parseAfter(after, "after");
  const tag = takesTag ? request.headers.get("if-none-match") : null;
  if (tag !== null && tag !== "*") return parseTag(tag);
  if (after !== null) return parseAfter(after, "after");
  const last = query.get("last");
  return last === null ? LIVE : parseLast(last);
}

/** A tag that is no position of ours stands in a cache from before: that is a gap, not an error. */
function parseTag(tag: string): Start {
  const quoted = /"([^"]*)"/.exec(tag)?.[1] ?? "";
  return parseResume(quoted) ?? { from: "after", position: { epoch: "unknown", offset: 0 } };
}
