import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatDiagnostic } from "../diagnostic/diagnostic.ts";
import { readTypeErrors } from "./type-errors.ts";

async function frames(source: string, output: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-type-errors-"));
  try {
    await Bun.write(join(folder, "plugins/a (1).ts"), source);
    return (await readTypeErrors(output, folder)).map((error) => formatDiagnostic(error));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("readTypeErrors() shows the line, with carets under the word, and all lines of the reason", async () => {
  const output = `plugins/a (1).ts(2,9): error TS2322: Type 'A' is not assignable to type 'B'.
  Types of property 'x' are incompatible.
    Type 'string' is not assignable to type 'number'.
plugins/a (1).ts(1,13): error TS2304: Cannot find name 'wrong'.
`;
  expect(await frames(`const 日 = 1; wrong;\n\tlet é: here = 1;\n`, output)).toEqual([
    `error[TS2322]: Type 'A' is not assignable to type 'B'.
  Types of property 'x' are incompatible.
    Type 'string' is not assignable to type 'number'.
  --> plugins/a (1).ts:2:9
 2 |     let é: here = 1;
   |            ^^^^ x: Type 'string' is not assignable to type 'number'.`,
    `error[TS2304]: Cannot find name 'wrong'.
  --> plugins/a (1).ts:1:13
 1 | const 日 = 1; wrong;
   |              ^`,
  ]);
});

test("readTypeErrors() counts columns in characters, and underlines a whole text", async () => {
  const output = `plugins/a (1).ts(1,7): error TS2322: No.\n`;
  expect(await frames(`"😀", "wrong one"`, output)).toEqual([
    `error[TS2322]: No.
  --> plugins/a (1).ts:1:6
 1 | "😀", "wrong one"
   |       ^^^^^^^^^^^`,
  ]);
});

test("readTypeErrors() says at the caret which hook it is about, and the last reason", async () => {
  const output = `plugins/a (1).ts(1,1): error TS2322: Type '() => A' is not assignable to type 'B'.
  Type 'A' is not assignable to type 'Hooks'.
    The types returned by 'transform(...)' are incompatible between these types.
      Type 'string' is not assignable to type 'Draft'.
`;
  const [frame] = await frames("setup() {", output);
  expect(frame).toEndWith(
    " 1 | setup() {\n   | ^^^^^ transform: Type 'string' is not assignable to type 'Draft'.",
  );
});

test.each([
  ["{ tranform(draft: any): any; }", '"tranform" is not a hook; did you mean "transform"?'],
  ["{ on: () => void; clsoe: () => void; }", '"clsoe" is not a hook; did you mean "close"?'],
  [
    "{ filter(draft: any): any; }",
    "setup returns hooks: source, transform, receive, authorize, joined, left, sink, close",
  ],
])("readTypeErrors() says of %p which hook was meant", async (returned, help) => {
  const output = `plugins/a (1).ts(1,1): error TS2322: Type '() => ${returned}' is not assignable to type '(context: C) => Awaitable<Hooks>'.
  Type '${returned}' is not assignable to type 'Awaitable<Hooks>'.
`;
  expect((await frames("setup() {", output))[0]).toEndWith(` ${help}`);
});

test("readTypeErrors() says what a mistyped import was meant to be", async () => {
  const output = `plugins/a (1).ts(1,1): error TS2307: Cannot find module 'tidwire' or its corresponding type declarations.\n`;
  expect((await frames("x", output))[0]).toEndWith('did you mean "tidewire"?');
});

test("readTypeErrors() names the installer that there is", async () => {
  const output = `plugins/a (1).ts(1,1): error TS7016: Could not find a declaration file for module 'x'.
  Try \`bun add -d @types/x\` if it exists or add a new declaration (.d.ts) file.
`;
  expect((await frames("x", output))[0]).toContain(
    '  Try "tidewire plugin add @types/x" if it exists or add',
  );
});

test("readTypeErrors() takes errors of no file", async () => {
  expect(await frames("", "error TS18003: No inputs were found.\n\nFound 1 error.\n")).toEqual([
    "error[TS18003]: No inputs were found.\n  --> the type checker",
  ]);
});

test.each([
  ["@scope/name/deep", "@scope/name"],
  ["lodash/fp", "lodash"],
])("readTypeErrors() tells how to fetch %p", async (specifier, name) => {
  const output = `plugins/a (1).ts(1,1): error TS2307: Cannot find module '${specifier}' or its corresponding type declarations.\n`;
  expect((await frames("x", output))[0]).toEndWith(
    `is it an npm package? "tidewire plugin add ${name}" fetches it`,
  );
});

test.each(["./gone.ts", "node:fss", "bun:nothing", "tidewire"])(
  "readTypeErrors() takes %p for no npm package",
  async (specifier) => {
    const output = `plugins/a (1).ts(1,1): error TS2307: Cannot find module '${specifier}' or its corresponding type declarations.\n`;
    expect((await frames("x", output))[0]).not.toContain("npm");
  },
);
