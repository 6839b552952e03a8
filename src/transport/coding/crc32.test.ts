import { expect, test } from "bun:test";
import fc from "fast-check";
import { combineCrc32, shiftOf } from "./crc32.ts";

const crc32 = (bytes: Uint8Array) => Bun.hash.crc32(bytes);

test("combineCrc32() gives the CRC of the whole", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array({ maxLength: 5000 }), (first, second) => {
      const whole = Buffer.concat([first, second]);
      expect(combineCrc32(crc32(first), crc32(second), shiftOf(second.length))).toBe(crc32(whole));
    }),
  );
});

test("shiftOf() knows lengths beyond 32 bits: they come round with the polynomial's period", () => {
  // x^(2^32 - 1) is 1: the polynomial is primitive.
  expect(shiftOf((2 ** 32 - 1) * 8)).toBe(shiftOf(0));
  expect(shiftOf((2 ** 32 - 1) * 8 + 5)).toBe(shiftOf(5));
});
