/** Where a channel's log stands: `<epoch>-<offset>`. Opaque to clients, parsed here alone. */

export interface Position {
  /** One life of the channel's log. Another epoch shares no offset with this one. */
  readonly epoch: string;
  /** Counts up by one from 1; 0 is the place before the first message. */
  readonly offset: number;
}

/** Where a subscriber wants to start. */
export type Start =
  | { readonly from: "live" }
  | { readonly from: "earliest" }
  | { readonly from: "last"; readonly count: number }
  | { readonly from: "after"; readonly position: Position };

/** The start that a request with no position means: what comes from now on. */
export const LIVE: Start = { from: "live" };

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
  const match = POSITION.exec(text);
  return match ? { epoch: match[1]!, offset: Number(match[2]) } : null;
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
