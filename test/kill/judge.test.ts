import { expect, test } from "bun:test";
import { judge, type Evidence, type Kept } from "./judge.ts";

const kept = (...texts: string[]): Kept[] => texts.map((text, i) => ({ id: `e-${i + 1}`, text }));
const HISTORY = kept("a:1", "b:1", "b:2", "a:3");
const FINE: Evidence = {
  history: HISTORY,
  acknowledged: [HISTORY[0]!, HISTORY[3]!],
  batches: [
    ["b:1", "b:2"],
    ["c:1", "c:2"],
  ],
  followed: [{ name: "x", received: HISTORY, gaps: [] }],
  mustAnswer: false,
};
const received = (...list: Kept[]) => ({ followed: [{ name: "x", received: list, gaps: [] }] });
const [a1, b1, b2, a3] = HISTORY as [Kept, Kept, Kept, Kept];

test("finds nothing wrong where nothing is", () => {
  expect(judge(FINE)).toEqual([]);
});

test.each<[string, Partial<Evidence>, string]>([
  [
    "lost",
    { acknowledged: [{ id: "e-5", text: "a:4" }] },
    "a:4 was acknowledged as e-5, which is lost",
  ],
  [
    "changed",
    { acknowledged: [{ id: "e-1", text: "b:9" }] },
    "b:9 was acknowledged as e-1, which is a:1",
  ],
  ["not answered", { mustAnswer: true }, "b:1 was taken, not answered"],
  [
    "a part of a batch",
    { batches: [["a:3", "a:4"]] },
    "of the batch a:3 to a:4 a part was kept, or apart",
  ],
  [
    "a batch apart",
    { batches: [["a:1", "a:3"]] },
    "of the batch a:1 to a:3 a part was kept, or apart",
  ],
  [
    "a gap",
    { followed: [{ name: "x", received: HISTORY, gaps: ["e-2"] }] },
    "x was told of a gap: e-2",
  ],
  ["a loss", received(a1, b1, a3), "x got e-4 (a:3) as number 3, not e-3 (b:2)"],
  ["a repeat", received(a1, b1, b1, b2, a3), "x got e-2 (b:1) as number 3, not e-3 (b:2)"],
  ["an order", received(a1, b2, b1, a3), "x got e-3 (b:2) as number 2, not e-2 (b:1)"],
  ["an end", received(a1, b1, b2), "x got nothing as number 4, not e-4 (a:3)"],
  ["one too many", received(...HISTORY, b1), "x got e-2 (b:1) as number 5, not nothing"],
])("finds %s", (_, change, fault) => {
  expect(judge({ ...FINE, ...change })).toContain(fault);
});

test.each<[string, readonly Kept[], string]>([
  ["twice", kept("a:1", "a:1"), "history: a:1 is there twice, again at e-2"],
  ["out of order", kept("a:2", "a:1"), "history: a:1 comes too late"],
  ["with a hole", [a1, b2], "history: e-3 stands at place 2"],
  ["of two epochs", [a1, { id: "f-1", text: "a:2" }], "history: f-1 stands at place 2"],
])("finds a history with a message %s", (_, history, fault) => {
  const nobody = { acknowledged: [], batches: [], followed: [] };
  expect(judge({ ...FINE, ...nobody, history })).toContain(fault);
});
