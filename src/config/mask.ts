/**
 * Hides `${…}` from the YAML parser: inside `{ }` and `[ ]` its braces and commas would be syntax.
 *
 * Each interpolation becomes a run of the same length of Unicode noncharacters (Unicode §23.7), which no
 * text file has, so that all offsets stay right.
 */
import type { Span } from "./problems.ts";

/** Without quotes and backslashes: where one is, quoting is at work, and the text stays as it is. */
const BODY = `[^{}"'\\\\\\r\\n]`;
// One within another has no meaning; hidden with it, its mistake can be told in our own words.
const NESTED = `(?:${BODY}|\\$\\{(?:${BODY}|\\$\\{${BODY}*\\})*\\})*`;
// The lookbehind: from the middle of a run of $ nothing is found that its start does not find.
const INTERPOLATION = new RegExp(`(?<!\\$)\\$+\\{${NESTED}\\}`, "g");
const FIRST = "\ufdd0";
const REST = "\ufdd1";
const RUN = new RegExp(`${FIRST}${REST}*`, "g");

export interface Masked {
  readonly text: string;
  /** Puts the interpolations back into a piece of text that was parsed from this span. */
  unmask(text: string, span: Span): string;
}

export function maskInterpolations(source: string): Masked {
  const starts: number[] = [];
  const text = source.replace(INTERPOLATION, (found, offset: number) => {
    starts.push(offset);
    return FIRST + REST.repeat(found.length - 1);
  });
  return {
    text,
    unmask(piece, { start }) {
      if (!piece.includes(FIRST)) return piece;
      let next = firstAtOrAfter(starts, start);
      return piece.replace(RUN, (run) => {
        const offset = starts[next++] ?? 0;
        return source.slice(offset, offset + run.length);
      });
    },
  };
}

function firstAtOrAfter(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
