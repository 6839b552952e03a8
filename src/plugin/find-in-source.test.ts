import { describe, expect, test } from "bun:test";
import { findDefaultExport, findImport, findImportedName, findProperty } from "./find-in-source.ts";
import { findInlinedUse } from "./inlined-use.ts";
import { codeOnly } from "./source-code.ts";
import { placeAt } from "./source-place.ts";

/** The line of a place, with the marked word in brackets. */
function show(place: ReturnType<typeof findProperty>): string | null {
  if (!place) return null;
  const { text, index, length } = place;
  return `${place.line}: ${text.slice(0, index)}[${text.slice(index, index + length)}]${text.slice(index + length)}`;
}

describe("codeOnly()", () => {
  test.each([
    ["a // b\nc", "a     \nc"],
    ["a /* b\nc */ d", "a     \n     d"],
    [`a = "b // c" + 'd'`, `a = "      " + ' '`],
    [`"a\\"b" + c`, `"    " + c`],
    ["`a ${b + `c ${d}` } e` + f", "`  ${b + `  ${d}` }  ` + f"],
    ["`${{ a: 1 }.a}` + `b`", "`${{ a: 1 }.a}` + ` `"],
    ['a = /b[/"]c/g; d', "a = /      /g; d"],
    ["a / b / c", "a / b / c"],
    ["return /'/.test(a)", "return / /.test(a)"],
    ["(a) / 2 + '/'", "(a) / 2 + ' '"],
    ['"open\nnext', '"    \nnext'],
    ["`open ${", "`     ${"],
  ])("blanks what is no code in %j", (source, expected) => {
    expect(codeOnly(source)).toBe(expected);
  });

  test("keeps the length and the lines of any text", () => {
    for (let seed = 1; seed <= 300; seed++) {
      let state = seed;
      const letters = "\"'`/*\\${}\n[]ab ";
      const next = () => (state = (state * 48271) % 0x7fffffff);
      const text = Array.from({ length: 40 }, () => letters[next() % letters.length]!).join("");
      const code = codeOnly(text);
      expect(code).toHaveLength(text.length);
      expect(code.split("\n").map(({ length }) => length)).toEqual(
        text.split("\n").map(({ length }) => length),
      );
    }
  });
});

describe("findProperty()", () => {
  test.each([
    ["return { sink(a) { return a; } };", "1: return { [sink](a) { return a; } };"],
    ["return { async *sink<T>(): X<T> {} };", "1: return { async *[sink]<T>(): X<T> {} };"],
    ["return { sink: f };", "1: return { [sink]: f };"],
    ["return {\n  a,\n  'sink': f };", "3:   '[sink]': f };"],
    ["const sink = f;\nreturn { sink };", "1: const [sink] = f;"],
    ["return { a, sink };", "1: return { a, [sink] };"],
    ["hooks.sink = f;", "1: hooks.[sink] = f;"],
    ["class A {\n  a = 1;\n  sink() {}\n}", "3:   [sink]() {}"],
    [
      "class A { constructor(private sink = 1) {} }",
      "1: class A { constructor(private [sink] = 1) {} }",
    ],
    [
      "return { sink(a) { return this.sink(b) + a.sink; } };",
      "1: return { [sink](a) { return this.sink(b) + a.sink; } };",
    ],
    ["// sink() {}\nreturn { sink() {} };", "2: return { [sink]() {} };"],
    ["f({ a: 1 }, sink(b));", null],
    ["if (a.sink === 1) sink(b);", null],
    ["const a = { sink: 1 };\nreturn { sink() {} };", null],
    ["`{ sink() {} }`", null],
    ["return { sinks() {}, mysink: 1 };", null],
  ])("finds the definition in %j, or nothing", (text, expected) => {
    expect(show(findProperty(text, "sink"))).toBe(expected);
  });
});

test("findImport() finds the import, not a text that looks like its path", () => {
  const text = `const a = "./b.ts";\n// from "./b.ts"\nexport { c } from './b.ts';`;
  expect(show(findImport(text, "./b.ts"))).toBe("3: export { c } from ['./b.ts'];");
  expect(show(findImport(`await import("x")`, "x"))).toBe(`1: await import(["x"])`);
  expect(findImport(`const from = "x";`, "x")).toBeNull();
});

test("findImportedName() finds a name of one module, over several lines and by its name there", () => {
  const text = `import { a } from "x";\nimport type { b } from "y";\nimport {\n  c,\n  a as d,\n} from "y";`;
  expect(show(findImportedName(text, "a", (from) => from === "y"))).toBe("5:   [a] as d,");
  expect(findImportedName(text, "a", (from) => from === "z")).toBeNull();
});

test("findDefaultExport() finds none in a comment", () => {
  expect(show(findDefaultExport(`// export default a\nexport  default b;`))).toBe(
    "2: [export  default] b;",
  );
});

describe("placeAt()", () => {
  test.each([
    ["  throw new RangeError(a);", 13, "[RangeError]"],
    ["  return zones.get(1)!.offset;", 21, "[offset]"],
    ["  return (zones.get(1) as Zone).offset;", 22, "[offset]"],
    ["  return f(1)(2);", 13, "[return f(1)(2);]"],
    ["  日本(a);", 3, "[日本]"],
    ["  abcdef(a);", 5, "[abcdef(a);]"],
    ["  this.#count++;", 8, "[#count]"],
    ["  a();", 999, "[a();]"],
    ["", 1, "[]"],
  ])(
    "marks in %j at column %i the word that is meant, or the whole line",
    (text, column, marked) => {
      expect(show(placeAt(text, 1, column))).toContain(marked);
    },
  );

  test("counts columns in characters, and knows no line that is not there", () => {
    expect(placeAt('a\r\n"😀😀"; b()\r\n', 2, 9)).toMatchObject({ column: 7, text: '"😀😀"; b()' });
    expect(placeAt("a", 2, 1)).toBeNull();
  });
});

describe("findInlinedUse()", () => {
  const fails = "null is not an object (evaluating '(await f()).status')";
  test.each([
    ["const a = await f();\nreturn a!.status;", "2: return a!.[status];"],
    ["const a: { status: 1 } = await f();\n\nreturn a\n  .status;", "4:   .[status];"],
    ["const a = (await f()).status;", null],
    ["const a = await f();\nb.status; a.other;", null],
    ["const a = await f();\na.status; a.status;", null],
    ["await f();\na.status;", null],
  ])("finds in %j where a folded constant is used, or nothing", (text, expected) => {
    expect(show(findInlinedUse(text, 1, fails))).toBe(expected);
  });

  test("knows no use for another kind of error", () => {
    expect(findInlinedUse("const a = 1;\na.status", 1, "boom")).toBeNull();
  });
});
