import { expect, test } from "bun:test";
import { nameProblem } from "./plugin-name.ts";

test.each(["a", "round", "spam-filter", "h2-push", "v2", "x".repeat(64)])(
  "nameProblem() takes %p",
  (name) => expect(nameProblem(name)).toBeNull(),
);

test.each([
  ["SpamFilter", "spam-filter"],
  ["spam_filter", "spam-filter"],
  ["spam filter", "spam-filter"],
  ["plugins/spam.ts", "spam"],
  ["./spam.test.ts", "spam"],
  ["..\\spam", "spam"],
  ["2fast", "fast"],
  ["-round-", "round"],
])("nameProblem() suggests for %p %p", (name, better) => {
  expect(nameProblem(name)).toEndWith(`; did you mean "${better}"?`);
});

test.each(["", "..", "日本", "42"])("nameProblem() refuses %p without a suggestion", (name) => {
  expect(nameProblem(name)).toEndWith(`such as "spam-filter"`);
});

test("nameProblem() refuses what is too long, and what Windows has for devices", () => {
  expect(nameProblem("x".repeat(65))).toBe("the name has more than 64 characters");
  expect(nameProblem("con")).toBe(`"con" can't be a file on Windows`);
});
