import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DURATION_PATTERN, parseDuration, parseSize } from "./units.ts";

describe("parseDuration()", () => {
  test.each([
    ["250ms", 250],
    ["0s", 0],
    ["5s", 5000],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["1.5h", 5_400_000],
    ["0.5ms", 0.5],
  ])("reads %s as %d milliseconds", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test("is exact for every decimal of a second", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (ms) => {
        expect(parseDuration(`${ms / 1000}s`)).toBe(ms);
      }),
    );
  });

  test.each([
    "",
    "5",
    "s",
    "5 s",
    " 5s",
    "5s ",
    "5S",
    "-5s",
    "+5s",
    "1e3s",
    ".5s",
    "5.s",
    "5s5m",
    "5s\n",
  ])("rejects %j", (text) => {
    expect(() => parseDuration(text)).toThrow(SyntaxError);
    expect(new RegExp(DURATION_PATTERN).test(text)).toBe(false);
  });

  test("says what a duration looks like", () => {
    expect(() => parseDuration("5 minutes")).toThrow(
      `"5 minutes" is not a duration; write a number and a unit (ms, s, m, h, d), such as "250ms" or "10m"`,
    );
  });
});

describe("parseSize()", () => {
  test.each([
    ["0B", 0],
    ["512B", 512],
    ["64KiB", 65_536],
    ["1MiB", 1_048_576],
    ["2GiB", 2_147_483_648],
    ["1.5KiB", 1536],
    ["0.3KiB", 307],
  ])("reads %s as %d bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(["", "5", "KiB", "1 MiB", "1MB", "1mib", "-1B", "1KiB\n"])("rejects %j", (text) => {
    expect(() => parseSize(text)).toThrow(SyntaxError);
  });
});
