import { expect, test } from "bun:test";
import { Receipts } from "./receipts.ts";

function open(max?: number) {
  let nowMs = 1000;
  const receipts = new Receipts(() => nowMs, max);
  const keep = (key: string, note = "", keepMs = 1000) =>
    receipts.keep("a", { key, fingerprint: "f", note, keepMs }, "e", 1, 1);
  const kept = (...keys: string[]) => keys.filter((key) => receipts.find("a", key) !== null);
  return { receipts, keep, kept, wait: (ms: number) => void (nowMs += ms) };
}

test("Receipts forgets the oldest when there are too many, and one kept anew is new", () => {
  const { receipts, keep, kept } = open(3);
  for (const key of ["a", "b", "c", "a", "d"]) keep(key);
  expect(kept("a", "b", "c", "d")).toEqual(["a", "c", "d"]);
  expect(receipts.count).toBe(3);
});

test("Receipts forgets the oldest when their notes are too long", () => {
  const { receipts, keep, kept } = open(4);
  for (const key of ["a", "b", "c"]) keep(key, "x".repeat(1500));
  expect(kept("a", "b", "c")).toEqual(["b", "c"]);
  keep("d", "x".repeat(5000));
  expect(receipts.count).toBe(0);
  keep("e");
  expect(kept("e")).toEqual(["e"]);
});

test("Receipts.sweep() lets go of those that are over", () => {
  const { receipts, keep, wait } = open();
  keep("a");
  wait(500);
  keep("b");
  wait(500);
  expect(receipts.find("a", "a")).toBeNull();
  expect(receipts.count).toBe(2);
  receipts.sweep();
  expect(receipts.count).toBe(1);
  expect(receipts.find("a", "b")).not.toBeNull();
});
