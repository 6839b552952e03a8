import { expect, test } from "bun:test";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import { Problems } from "./problems.ts";

const TEXT = "a: 1\nb: 日本 x\nc: 3\nd: 4\ne: 5\n";
const spanOf = (word: string) => {
  const start = TEXT.indexOf(word);
  return { start, end: start + word.length };
};
const ELSEWHERE: Diagnostic = {
  code: "syntax",
  message: "Unexpected ;",
  file: "plugins/round.ts",
  place: { line: 3, column: 11, text: "const a = ;", index: 10, length: 1 },
  help: null,
};

test("Problems tells a mistake in another file once, with the places that lead to it", () => {
  const problems = new Problems("tidewire.yaml", TEXT);
  for (const word of ["x", "x", "a", "c", "d", "e"]) {
    problems.reportElsewhere(ELSEWHERE, spanOf(word));
  }
  problems.reportElsewhere({ ...ELSEWHERE, message: "Unexpected )" }, spanOf("d"));
  expect(problems.size).toBe(2);
  expect(problems.isEmpty).toBe(false);
  const [first, second] = problems.diagnostics();
  expect(first).toEqual({
    ...ELSEWHERE,
    notes: [
      "used at tidewire.yaml:2:7",
      "used at tidewire.yaml:1:1",
      "used at tidewire.yaml:3:1",
      "and at 2 more places",
    ],
  });
  expect(second!.notes).toEqual(["used at tidewire.yaml:4:1"]);
});

test("Problems puts it among the config's own mistakes, where the config leads to it", () => {
  const problems = new Problems("tidewire.yaml", TEXT);
  problems.reportElsewhere(ELSEWHERE, spanOf("c"));
  problems.report("bad-value", spanOf("d"), "4 is too much");
  problems.report("bad-value", spanOf("a"), "a is too short");
  const order = problems.diagnostics().map(({ file, place }) => `${file}:${place?.line}`);
  expect(order).toEqual(["tidewire.yaml:1", "plugins/round.ts:3", "tidewire.yaml:4"]);
});
