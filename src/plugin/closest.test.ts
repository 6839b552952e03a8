import { expect, test } from "bun:test";
import { closest } from "./closest.ts";
import { HOOKS } from "./hooks.ts";

test.each([
  ["tranform", "transform"],
  ["transfrom", "transform"],
  ["Sink", "sink"],
  ["souce", "source"],
  ["joind", "joined"],
])("closest() finds for %s the hook %s", (word, meant) => {
  expect(closest(word, HOOKS)).toBe(meant);
});

test.each(["frobnicate", "", "x", "s".repeat(1_000_000)])(
  "closest() has no suggestion for a word that is like none",
  (word) => {
    expect(closest(word, HOOKS)).toBeNull();
  },
);
