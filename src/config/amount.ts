/** Durations and sizes with bounds, and a hint for those who write another unit. */
import { parseDuration, parseSize } from "../units.ts";
import { Refusal } from "./refusal.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

export interface Bounds {
  /** The least and the most, as a config writes them. */
  readonly min: string;
  readonly max: string;
}

const NUMBER = /^\d+(?:\.\d+)?$/;
const UNITS = [
  ["GiB", 1024 ** 3],
  ["MiB", 1024 ** 2],
  ["KiB", 1024],
] as const;
const DURATION_WORDS: Readonly<Record<string, string>> = {
  ms: "ms",
  msec: "ms",
  millis: "ms",
  millisecond: "ms",
  milliseconds: "ms",
  s: "s",
  sec: "s",
  secs: "s",
  second: "s",
  seconds: "s",
  m: "m",
  min: "m",
  mins: "m",
  minute: "m",
  minutes: "m",
  h: "h",
  hr: "h",
  hrs: "h",
  hour: "h",
  hours: "h",
  d: "d",
  day: "d",
  days: "d",
};
const SIZE_WORDS: Readonly<Record<string, string>> = {
  b: "B",
  byte: "B",
  bytes: "B",
  k: "KiB",
  kb: "KiB",
  kib: "KiB",
  kibibytes: "KiB",
  kilobytes: "KiB",
  m: "MiB",
  mb: "MiB",
  mib: "MiB",
  mebibytes: "MiB",
  megabytes: "MiB",
  g: "GiB",
  gb: "GiB",
  gib: "GiB",
  gibibytes: "GiB",
  gigabytes: "GiB",
};

/** @throws {Refusal} When the text is no duration, or outside of the bounds. */
export function readDuration(text: string, bounds?: Bounds): number {
  return readAmount(text, parseDuration, bounds, () => durationHelp(text));
}

/** @throws {Refusal} When the text is no size, or outside of the bounds. */
export function readSize(text: string, bounds?: Bounds): number {
  return readAmount(text, parseSize, bounds, () => sizeHelp(text));
}

/** What was probably meant by `10min`, `10 minutes` or `10`, or null. */
export function durationHelp(text: string): string | null {
  if (NUMBER.test(text)) return `write its unit too, such as "${text}s"`;
  return amountHelp(text, DURATION_WORDS);
}

/** What was probably meant by `64kb` or by a number of bytes, or null. */
function sizeHelp(text: string): string | null {
  if (!/^\d+$/.test(text)) return amountHelp(text, SIZE_WORDS);
  const bytes = Number(text);
  const [unit, factor] = UNITS.find(([, one]) => bytes >= one && bytes % one === 0) ?? ["B", 1];
  return `did you mean "${bytes / factor}${unit}"?`;
}

function readAmount(
  text: string,
  parse: (text: string) => number,
  bounds: Bounds | undefined,
  help: () => string | null,
): number {
  let amount: number;
  try {
    amount = parse(text);
  } catch (error) {
    throw new Refusal(
      (error as SyntaxError).message.replace(`"${text}"`, () => quoteText(text)),
      help(),
    );
  }
  if (bounds && amount < parse(bounds.min))
    throw new Refusal(`${quoteText(text)} is too little: at least ${bounds.min}`);
  if (bounds && amount > parse(bounds.max))
    throw new Refusal(`${quoteText(text)} is too much: at most ${bounds.max}`);
  return amount;
}

function amountHelp(text: string, words: Readonly<Record<string, string>>): string | null {
  const match = /^\s*(\d+(?:\.\d+)?)[\s_]*([A-Za-z]+)\s*$/.exec(text);
  const word = match?.[2]?.toLowerCase() ?? "";
  return match && Object.hasOwn(words, word) ? `did you mean "${match[1]}${words[word]}"?` : null;
}
