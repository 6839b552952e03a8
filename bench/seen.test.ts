import { expect, test } from "bun:test";
import { Seen } from "./seen.ts";

test("Seen takes each message once, in any order within its span", () => {
  const seen = new Seen();
  const order = Array.from({ length: 20_000 }, (_, i) => i).map((i) => i ^ 63);
  expect(order.every((sequence) => seen.add(sequence))).toBe(true);
  const newest = order.slice(-2048);
  expect(newest.some((sequence) => seen.add(sequence))).toBe(false);
});

test("Seen takes what was left out before a leap, and not what a leap has left behind", () => {
  const seen = new Seen();
  expect([5, 9, 7, 7, 5, 8, 6].map((sequence) => seen.add(sequence))).toEqual([
    true,
    true,
    true,
    false,
    false,
    true,
    true,
  ]);
  expect([5000, 5001 - 2048, 5000 - 2048].map((sequence) => seen.add(sequence))).toEqual([
    true,
    true,
    false,
  ]);
});
