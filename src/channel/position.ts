/** Where a channel's log, or a reader of it, stands: `<epoch>-<offset>`. Opaque to clients, parsed here alone. */

export interface Position {
  /** One life of the channel's log. Another epoch shares no offset with this one. */
  readonly epoch: string;
  /** Counts up by one from 1; 0 is the place before the first message. */
  readonly offset: number;
}

/**
 * A place within a snapshot of the channel's state: the newest message of each key, as it was when all through
 * offset `through` had been sent out. Those up to the position were given. Where the two are one all of it was,
 * and what came since is still to be read.
 */
export interface StatePlace {
  readonly position: Position;
  readonly through: number;
}

/** The last two digits of an offset. */
const DIGITS = Array.from({ length: 100 }, (_, n) => String(n).padStart(2, "0"));

/** All positions from offset `first` through `last`, with `separator` between: made a hundred at a time. */
export function joinPositions(
  epoch: string,
  first: number,
  last: number,
  separator: string,
): string {
  let text = "";
  for (let next = first; next <= last;) {
    const hundreds = Math.floor(next / 100);
    const end = Math.min(last, hundreds * 100 + 99);
    const between = text === "" ? "" : separator;
    if (hundreds === 0) {
      text += between + formatPosition(epoch, next++);
      continue;
    }
    const start = `${epoch}-${hundreds}`;
    const digits = DIGITS.slice(next % 100, (end % 100) + 1);
    text += between + start + digits.join(separator + start);
    next = end + 1;
  }
  return text;
}

/** Where a subscriber wants to start. */
export type Start =
  | { readonly from: "live" }
  | { readonly from: "earliest" }
  | { readonly from: "last"; readonly count: number }
  | { readonly from: "after"; readonly position: Position }
  /** With the state, then what changes; `place` is null for the state as it is now, from its beginning. */
  | { readonly from: "state"; readonly place: StatePlace | null };

/** The start that a request with no position means: what comes from now on. */
export const LIVE: Start = { from: "live" };

const STATE = /^(.+)~(0|[1-9][0-9]{0,14})$/;
const POSITION = /^([0-9a-z]{1,32})-(0|[1-9][0-9]{0,14})$/;

/** Formats a position as the id that clients see, such as `mfz3k9-42`. */
export function formatPosition(epoch: string, offset: number): string {
  return `${epoch}-${offset}`;
}

/**
 * Parses what `formatPosition` wrote.
 *
 * @returns The position, or null when the text is not one.
 */
export function parsePosition(text: string): Position | null {
  if (text === lastParsed.text) return lastParsed.position;
  const match = POSITION.exec(text);
  const position = match && { epoch: match[1]!, offset: Number(match[2]) };
  if (position) lastParsed = { text, position };
  return position;
}

/** All who wait for the same message show the same position. */
let lastParsed: { text: string; position: Position | null } = { text: "", position: null };

/** Formats a place within a snapshot: `mfz3k9-42~107`. */
export function formatStatePlace({ position, through }: StatePlace): string {
  return `${formatPosition(position.epoch, position.offset)}~${through}`;
}

/**
 * Parses what `formatStatePlace` wrote.
 *
 * @returns The place, or null when the text is none.
 */
export function parseStatePlace(text: string): StatePlace | null {
  const match = STATE.exec(text);
  const position = match && parsePosition(match[1]!);
  const through = Number(match?.[2]);
  return position && position.offset <= through ? { position, through } : null;
}

/**
 * Parses any text that says where to go on: a position, or a place within a snapshot.
 *
 * @returns null when the text is neither.
 */
export function parseResume(text: string): (Start & { from: "after" | "state" }) | null {
  const position = parsePosition(text);
  if (position) return { from: "after", position };
  const place = parseStatePlace(text);
  return place && { from: "state", place };
}

let lastEpoch = 0;

/**
 * Names a new life of a log. Unique in this process (it counts up) and, by clock and chance, across
 * restarts: a client of an earlier life must never find its position valid by accident.
 */
export function createEpoch(now: number = Date.now()): string {
  lastEpoch = Math.max(lastEpoch + 1, now);
  const chance = Math.floor(Math.random() * 36 ** 2)
    .toString(36)
    .padStart(2, "0");
  return lastEpoch.toString(36) + chance;
}
