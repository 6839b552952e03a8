import { describe, expect, test } from "bun:test";
import type { Expected } from "../../config/expected.ts";
import { readExpected } from "../../config/expected.ts";
import { parseYaml } from "../../config/parse-yaml.ts";
import { Problems } from "../../config/problems.ts";
import { diff } from "./diff.ts";
import { matches } from "./match.ts";

/** What a test expects, as YAML has it. */
function expected(yaml: string): Expected {
  const problems = new Problems("test.yaml", yaml);
  const root = parseYaml(problems, { env: {}, directory: "/" });
  const read = readExpected(root!, problems);
  expect(problems.diagnostics()).toEqual([]);
  return read;
}

describe("matches()", () => {
  test.each<[string, unknown]>([
    ["hi", "hi"],
    ["1.0", 1],
    ["-0", 0],
    ["true", true],
    ["~", null],
    ["{ a: 1, b: [x, { c: ~ }] }", { b: ["x", { c: null }], a: 1 }],
    ["[]", []],
    ["{}", {}],
    ["$any: true", undefined],
    ["$type: string", ""],
    ["$type: number", 1.5],
    ["$type: integer", 2],
    ["$type: boolean", false],
    ["$type: null", null],
    ["$type: object", {}],
    ["$type: array", []],
    ["$regex: ^a.$", "ab"],
    ["$regex: b", "abc"],
    ["$partial: { a: { $type: integer } }", { a: 1, b: 2 }],
    ["$partial: {}", { b: 2 }],
    ["{ a: [{ $partial: { b: 1 } }] }", { a: [{ b: 1, c: 2 }] }],
    ["$literal: { $any: true }", { $any: true }],
  ])("takes for %s what fits it", (yaml, value) => {
    expect(matches(expected(yaml), value)).toBe(true);
  });

  test.each<[string, unknown]>([
    ["hi", "Hi"],
    ["1", "1"],
    ["'1'", 1],
    ["~", undefined],
    ["{ a: 1 }", { a: 1, b: 2 }],
    ["{ a: 1, b: 2 }", { a: 1 }],
    ["{ a: ~ }", {}],
    ["{ toString: { $any: true } }", {}],
    ["[1, 2]", [2, 1]],
    ["[1]", [1, 2]],
    ["{}", []],
    ["$type: integer", 1.5],
    ["$type: number", "1"],
    ["$type: object", null],
    ["$type: object", []],
    ["$type: object", new Uint8Array(1)],
    ["$regex: ^a$", "b"],
    ["$regex: '5'", 5],
    ["$partial: { a: 1 }", { b: 1 }],
    ["$partial: { a: { b: 1 } }", { a: { b: 1, c: 2 } }],
    ["$partial: {}", []],
    ["$literal: { $any: true }", {}],
  ])("refuses for %s what does not", (yaml, value) => {
    expect(matches(expected(yaml), value)).toBe(false);
  });

  test("compares bytes by what they are", () => {
    const bytes: Expected = { kind: "value", value: new Uint8Array([1, 2]) };
    expect(matches(bytes, new Uint8Array([1, 2]))).toBe(true);
    expect(matches(bytes, new Uint8Array([1, 3]))).toBe(false);
  });
});

describe("diff()", () => {
  function lines(yaml: string, value: unknown): string[] {
    return diff(expected(yaml), value).map(({ sign, text }) => `${sign} ${text}`);
  }

  test("shows the lines that differ among those that do not", () => {
    expect(
      lines("{ a: 1, b: { c: [x, y], d: true }, e: 0 }", {
        a: 1,
        b: { c: ["x"], d: false },
        f: [2],
      }),
    ).toEqual([
      "  {",
      '    "a": 1',
      '    "b": {',
      '      "c": [',
      '        "x"',
      '-       "y"',
      "      ]",
      '-     "d": true',
      '+     "d": false',
      "    }",
      '-   "e": 0',
      '+   "f": [',
      "+     2",
      "+   ]",
      "  }",
    ]);
  });

  test("leaves out the other keys of what is expected in part, and shows a matcher that failed", () => {
    expect(
      lines("$partial: { a: { $type: number }, b: { $any: true } }", { a: "1", b: 2, c: 3 }),
    ).toEqual(["  {", '-   "a": {"$type":"number"}', '+   "a": "1"', '    "b": 2', "  }"]);
  });

  test("shows text that ends with a comma as it is", () => {
    expect(lines("[a, b]", ["a,", "b"])).toEqual(["  [", '-   "a"', '+   "a,"', '    "b"', "  ]"]);
  });

  test("shows bytes in base64", () => {
    const bytes: Expected = { kind: "value", value: new Uint8Array([255]) };
    expect(diff(bytes, "a").map(({ text }) => text)).toEqual([
      "{",
      '  "$base64": "/w=="',
      "}",
      '"a"',
    ]);
  });
});
