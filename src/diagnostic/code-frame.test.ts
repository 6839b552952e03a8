import { describe, expect, test } from "bun:test";
import { codeFrame } from "./code-frame.ts";

/** The frame's two lines. */
function lines(text: string, word: string, note?: string): [string, string] {
  const frame = codeFrame({ line: 7, text, index: text.indexOf(word), length: word.length, note });
  return frame.split("\n") as [string, string];
}

/** The part of the shown line that is above the carets, by columns of a terminal. */
function marked([line, carets]: readonly [string, string]): string {
  const from = carets.indexOf("^");
  const to = carets.lastIndexOf("^") + 1;
  let [column, out] = [0, ""];
  for (const { segment } of new Intl.Segmenter().segment(line)) {
    if (column >= from && column < to) out += segment;
    column += Bun.stringWidth(segment);
  }
  return out;
}

describe("codeFrame()", () => {
  test("shows the line with carets below the word and the note behind them", () => {
    expect(lines("    histroy: 100", "histroy", 'did you mean "history"?')).toEqual([
      " 7 |     histroy: 100",
      '   |     ^^^^^^^ did you mean "history"?',
    ]);
  });

  test("keeps the gutter as wide as the number", () => {
    expect(codeFrame({ line: 1234, text: "ab", index: 1, length: 1 })).toBe("1234 | ab\n     |  ^");
  });

  test.each([
    ["after tabs", "\t\tkey:\tvalue", "value"],
    ["after wide letters", '新聞: { "日本": wrong }', "wrong"],
    ["on wide letters", "a: 全員, b", "全員"],
    ["after an emoji of several code points", "👩‍🚀🇩🇪: wrong", "wrong"],
    ["after a combining mark", "e\u0301: wrong", "wrong"],
  ])("keeps the carets in place %s", (_name, text, word) => {
    expect(marked(lines(text, word))).toBe(word);
  });

  test("keeps the carets in place after characters that are made visible", () => {
    const shown = lines("a\u001b[31m\u202e: wrong", "wrong");
    expect(shown[0]).toBe(" 7 | a␛[31m<U+202E>: wrong");
    expect(marked(shown)).toBe("wrong");
  });

  test("draws one caret where there is nothing to mark", () => {
    expect(codeFrame({ line: 1, text: "ab", index: 2, length: 0 })).toBe(" 1 | ab\n   |   ^");
    expect(codeFrame({ line: 1, text: "", index: 0, length: 0 })).toBe(" 1 |\n   | ^");
  });

  test.each([0, 1, 59, 60, 61, 500, 938, 999])("cuts a long line around index %d", (index) => {
    const text = "x".repeat(index) + "WORD" + "x".repeat(1000 - index);
    const shown = lines(text, "WORD");
    expect(marked(shown)).toBe("WORD");
    expect(shown[0].length).toBeLessThanOrEqual(" 7 | ".length + 122);
    expect(shown[0].includes("…")).toBe(true);
  });

  test("cuts carets that would be longer than the line shown", () => {
    const [line, carets] = lines("x".repeat(5000), "x".repeat(5000));
    expect(carets.length).toBeLessThanOrEqual(line.length);
  });

  test("never cuts a character in two", () => {
    for (let at = 55; at < 70; at++) {
      const text = `${"a".repeat(at)}${"😀".repeat(100)}WORD`;
      expect(lines(text, "WORD")[0].isWellFormed()).toBe(true);
      expect(lines(text, "WORD")[0]).not.toContain("<U+D");
    }
  });
});
