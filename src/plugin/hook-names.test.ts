import { expect, test } from "bun:test";
import { closestWord } from "../suggest.ts";
import { HOOKS } from "./hooks.ts";

test.each([
  ["tranform", "transform"],
  ["transfrom", "transform"],
  ["Sink", "sink"],
  ["souce", "source"],
  ["joind", "joined"],
])("closestWord() finds for %s the hook %s", (word, meant) => {
  expect(closestWord(word, HOOKS)).toBe(meant);
});

test.each(["frobnicate", "", "x", "s".repeat(1_000_000)])(
  "closestWord() has no suggestion for a word that is like none",
  (word) => {
    expect(closestWord(word, HOOKS)).toBeNull();
  },
);
