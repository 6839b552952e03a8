/** Durations and sizes as a config writes them. */

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** What a duration looks like, as a regular expression for schemas. */
export const DURATION_PATTERN = DURATION.source;

/**
 * Parses `250ms`, `5s`, `10m`, `2h`, `1d` or `1.5h`.
 *
 * @returns Milliseconds.
 * @throws {SyntaxError} When the text is not a duration, such as one without its unit.
 */
export function parseDuration(text: string): number {
  const match = DURATION.exec(text);
  if (!match) {
    throw new SyntaxError(
      `"${text}" is not a duration; write a number and a unit (ms, s, m, h, d), such as "250ms" or "10m"`,
    );
  }
  const ms = Number(match[1]) * UNITS_MS[match[2] as keyof typeof UNITS_MS];
  // 1.1 * 1000 is 1100.0000000000001: to the microsecond, it is what was written.
  return Math.round(ms * 1000) / 1000;
}

const UNITS_BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;
const SIZE = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)$/;

/**
 * Parses `512B`, `64KiB`, `1MiB`, `2GiB`.
 *
 * @returns Bytes.
 * @throws {SyntaxError} When the text is not a size.
 */
export function parseSize(text: string): number {
  const match = SIZE.exec(text);
  if (!match) {
    throw new SyntaxError(
      `"${text}" is not a size; write a number and a unit (B, KiB, MiB, GiB), such as "64KiB"`,
    );
  }
  return Math.floor(Number(match[1]) * UNITS_BYTES[match[2] as keyof typeof UNITS_BYTES]);
}
