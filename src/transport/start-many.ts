/** Where to start in each channel of a request for many. */
import type { Channel } from "../channel/channel.ts";
import { startAt } from "../channel/lane.ts";
import { LIVE, type Start } from "../channel/position.ts";
import { CursorText } from "./cursor-text.ts";
import { RequestError } from "./errors.ts";
import { asksForState, noState, parseAfter, parseLast } from "./start.ts";

/** Gives the start in one channel. */
export type StartOf = (name: string, channel: Channel) => Start;

/** What one part of a request says of a channel; null where it says nothing. */
type Says = (name: string, channel: Channel) => Start | null;

/**
 * Reads where a request for many channels wants to start. As for a single one: `Last-Event-ID`, else
 * `after`, else `If-None-Match`, else `last`, else live. Each of the first three is a cursor, which may say
 * nothing of a channel that the request did not ask for before: then the next one counts for that channel.
 *
 * `after` is a cursor, or a word such as `earliest`, for all channels; or, so that positions of other
 * transports are good here, a position for each: the first `after` is for the first `channel`, and so on.
 * Where the one word is `state`, channels that keep none start live; named for each channel, it is refused.
 *
 * @param names The channels' names, one for each `channel` of the request, in order; the same one may
 *   stand twice.
 * @param takesTag `If-None-Match` is a cursor too (long-poll).
 * @throws {RequestError} When one of them can't be used.
 */
export function parseStarts(
  request: Request,
  query: URLSearchParams,
  names: readonly string[],
  takesTag: boolean,
): StartOf {
  const chain: Says[] = [];
  const lastEventId = request.headers.get("last-event-id");
  if (lastEventId) chain.push(readAfter([lastEventId], names, "Last-Event-ID"));
  const afters = query.getAll("after");
  // Whoever asks for the state has nothing: what a cache sends beside it is of another page.
  const isWord = afters.length === 1 && /^[a-z]+$/.test(afters[0]!) && afters[0] !== "state";
  const hasAfter = afters.some((text) => text !== "");
  if (hasAfter && !isWord) chain.push(readAfter(afters, names, "after"));
  const tag = takesTag ? request.headers.get("if-none-match") : null;
  if (tag !== null && tag !== "*") chain.push(readTag(tag));
  // A word is where the loop began: what a cache or a reconnecting browser sends beside it is newer.
  if (isWord) chain.push(readAfter(afters, names, "after"));
  const last = query.get("last");
  const start = last === null ? LIVE : parseLast(last);
  return (name, channel) => {
    for (const says of chain) {
      const found = says(name, channel);
      if (found) return found;
    }
    return start;
  };
}

function readAfter(texts: readonly string[], names: readonly string[], where: string): Says {
  if (texts.length === 1) {
    const cursor = CursorText.parse(texts[0]!, where);
    if (cursor) return by(cursor);
    const start = parseAfter(texts[0]!, where);
    if (asksForState(start)) return (_, channel) => (channel.log.keepsState ? start : LIVE);
    if (start.from === "earliest") return () => start;
  }
  if (texts.length !== names.length) {
    throw new RequestError(
      400,
      "bad-position",
      `${where} is ${texts.length === 1 ? "a position" : `given ${texts.length} times`} for ${names.length} channels; it must be the id of an event of this stream, "earliest", "state", or a position for each channel, in the same order`,
    );
  }
  const starts = new Map<string, Start>();
  for (const [index, text] of texts.entries()) {
    // The first counts: the channel is served once.
    if (starts.has(names[index]!)) continue;
    // A client that keeps its positions in variables starts with empty ones.
    starts.set(names[index]!, text === "" ? LIVE : parseAfter(text, where));
  }
  return (name, channel) => {
    const start = starts.get(name) ?? null;
    if (start && asksForState(start) && !channel.log.keepsState) throw noState(name);
    return start;
  };
}

/** A tag that is no cursor of ours stands in a cache from before: that is a gap, not an error. */
function readTag(tag: string): Says {
  const quoted = /"([^"]*)"/.exec(tag)?.[1] ?? "";
  let cursor: CursorText | null = null;
  try {
    cursor = CursorText.parse(quoted, "If-None-Match");
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
  }
  if (cursor) return by(cursor);
  return () => ({ from: "after", position: { epoch: "unknown", offset: 0 } });
}

function by(cursor: CursorText): Says {
  return (name, channel) => {
    const place = cursor.find(name, channel.log.epoch);
    return place && startAt(place, channel);
  };
}
