import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runBun } from "./bun-command.ts";
import { checkTypes, pluginFiles } from "./type-check.ts";
import { refreshTypes, typesState, writeTypes } from "./types-folder.ts";

const made: string[] = [];
let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "tidewire-types-"));
  made.push(root);
});
afterAll(() => Promise.all(made.map((folder) => rm(folder, { recursive: true }))));

const write = (path: string, text: string) => Bun.write(join(root, path), text);

const ROUND = `import { definePlugin, t } from "tidewire";
export default definePlugin({
  name: "round",
  options: t.Object({ decimals: t.Integer({ default: 2 }), unit: t.Optional(t.String()) }),
  setup({ options, channel, store }) {
    const unit: string | undefined = options.unit;
    return {
      async transform(draft) {
        await store.set("last", draft.data);
        const data = Number(draft.data).toFixed(options.decimals);
        return { ...draft, data, key: channel.params["room"] ?? unit };
      },
    };
  },
});
`;

/** What Bun has, and its tests. */
const BUN = `import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { readFile } from "node:fs/promises";
import { start } from "tidewire/testing";
import round from "./round.ts";
test("all of it", async () => {
  await using channel = await start(round, { options: { decimals: 1 } });
  const [message] = await channel.feed({ data: 1.26 });
  expect(message?.data).toBe("1.3");
  const text: string = await readFile("file", "utf8");
  new Database(":memory:").run("select 1");
  const response: Response = await fetch("http://127.0.0.1");
  expect(await Bun.file(text).json()).toEqual(await response.json());
  expect(new URL("http://a").searchParams.size + process.argv.length + Buffer.from("a").length).toBe(1);
});
`;

async function errorsOf(): Promise<string[]> {
  await refreshTypes(root);
  const { errors } = await checkTypes(root, [join(root, "plugins")], root);
  return errors.map(({ code, message, file, place }) => {
    return `${file}:${place?.line} ${code} ${message.split("\n")[0]}`;
  });
}

describe("checkTypes()", () => {
  test("knows the sdk, the harness, Bun and Node with nothing installed and no tsconfig.json", async () => {
    await write("plugins/round.ts", ROUND);
    await write("plugins/round.test.ts", BUN);
    await refreshTypes(root);
    expect(await checkTypes(root, [join(root, "plugins")], root)).toEqual({
      errors: [],
      files: 2,
      note: null,
    });
    expect((await readdir(root)).toSorted()).toEqual([".tidewire", "plugins"]);
  });

  test.each([
    [
      "options.decimals.toUpperCase();",
      "7 TS2339 Property 'toUpperCase' does not exist on type 'number'.",
    ],
    [
      "options.decimal;",
      "7 TS2551 Property 'decimal' does not exist on type '{ decimals: number; }'. Did you mean 'decimals'?",
    ],
    [
      "emit({ data: 1, evnt: 'a' });",
      "7 TS2353 Object literal may only specify known properties, and 'evnt' does not exist in type '(() => Emitted | null) | Emitted'.",
    ],
    [
      "return { transform: (draft) => ({ ...draft, data: draft.dta }) };",
      "7 TS2551 Property 'dta' does not exist on type 'Draft'. Did you mean 'data'?",
    ],
    // What `setup` returns is compared as a whole: the place is setup's, the reason names the hook.
    [
      "return { transform: () => ({ dat: 1 }) };",
      "6 The types returned by 'transform(...)' are incompatible between these types.\n      Type '{ dat: number; }' is not assignable to type 'Awaitable<Draft ",
    ],
    ["return { authorize: () => 'alow' };", `6 Type '"alow"' is not assignable to type`],
  ])("says what is wrong with %p", async (line, error) => {
    await write(
      "plugins/wrong.ts",
      `import { definePlugin, t } from "tidewire";

export default definePlugin({
  name: "wrong",
  options: t.Object({ decimals: t.Integer() }),
  setup({ options, emit }) {
    ${line}${line.startsWith("return") ? "" : " return {};"}
  },
});
`,
    );
    await refreshTypes(root);
    const { errors } = await checkTypes(root, [join(root, "plugins")], root);
    const [told] = errors.map(({ place, code, message }) => `${place?.line} ${code} ${message}`);
    expect(errors).toHaveLength(1);
    for (const part of error.split(/(?<=^\d+) /)) expect(told).toContain(part);
  });

  test("says which option a test gives wrong", async () => {
    await write("plugins/round.ts", ROUND);
    await write(
      "plugins/round.test.ts",
      `import { start } from "tidewire/testing";
import round from "./round.ts";
await start(round, { options: { decimals: "1" } });
`,
    );
    expect(await errorsOf()).toEqual([
      "plugins/round.test.ts:3 TS2322 Type 'string' is not assignable to type 'number'.",
    ]);
  });

  test("takes an author's tsconfig.json that knows Tidewire as it is", async () => {
    await write("plugins/round.ts", ROUND);
    const text = `{
  // Comments are fine.
  "extends": "./.tidewire/tsconfig.json",
  "compilerOptions": { "noUnusedLocals": true },
}`;
    await write("tsconfig.json", text);
    await refreshTypes(root);
    expect(await checkTypes(root, [join(root, "plugins")], root)).toMatchObject({
      errors: [],
      note: null,
    });
    await write("plugins/unused.ts", `const unused = 1;\nexport {};\n`);
    expect(await errorsOf()).toEqual([
      "plugins/unused.ts:1 TS6133 'unused' is declared but its value is never read.",
    ]);
    expect(await readFile(join(root, "tsconfig.json"), "utf8")).toBe(text);
  });

  test("joins one that does not with what makes it know, and says so", async () => {
    await write("plugins/round.ts", ROUND);
    await write("lib/shared.ts", "export const shared = 1;\nconst unused = 1;\n");
    await write(
      "plugins/uses.ts",
      `import "tidewire";\nimport { shared } from "@/shared";\nshared.x;\n`,
    );
    const text = `{ "compilerOptions": { "noUnusedLocals": true, "module": "esnext", "paths": { "@/*": ["./lib/*"] } } }`;
    await write("tsconfig.json", text);
    await refreshTypes(root);
    const { errors, note } = await checkTypes(root, [join(root, "plugins")], root);
    expect(errors.map(({ file, code }) => `${file} ${code}`)).toEqual([
      "lib/shared.ts TS6133",
      "plugins/uses.ts TS2339",
    ]);
    expect(note).toBe(
      `tsconfig.json does not know "tidewire", so an editor does not: write plugins/tsconfig.json with { "extends": "../.tidewire/tsconfig.json" }`,
    );
    expect(await readFile(join(root, "tsconfig.json"), "utf8")).toBe(text);
  });

  test.each([
    { module: "nodenext", composite: true, isolatedDeclarations: true, outDir: "dist" },
    { module: "commonjs", target: "es2020", rootDir: "src", types: [] },
    // What `tsc --init` writes.
    {
      module: "nodenext",
      target: "esnext",
      types: [],
      sourceMap: true,
      declaration: true,
      declarationMap: true,
      noUncheckedIndexedAccess: true,
      exactOptionalPropertyTypes: true,
      strict: true,
      jsx: "react-jsx",
      verbatimModuleSyntax: true,
      isolatedModules: true,
      noUncheckedSideEffectImports: true,
      moduleDetection: "force",
      skipLibCheck: true,
    },
    {
      module: "node16",
      rewriteRelativeImportExtensions: true,
      emitDeclarationOnly: true,
      declaration: true,
    },
  ])("checks as plugins are run, whatever compiles the project: %j", async (compilerOptions) => {
    await write("package.json", `{ "type": "commonjs" }`);
    await write("src/app.ts", "export const app: number = 'not checked';\n");
    await write("plugins/round.ts", ROUND);
    await write("plugins/uses.ts", `import round from "./round.ts";\nround.nam;\n`);
    await write("tsconfig.json", JSON.stringify({ compilerOptions, include: ["src"] }));
    await refreshTypes(root);
    const { errors } = await checkTypes(root, [join(root, "plugins")], root);
    expect(errors.map(({ file, code }) => `${file} ${code}`)).toEqual(["plugins/uses.ts TS2551"]);
    // What the note says to do.
    await write("plugins/tsconfig.json", `{ "extends": "../.tidewire/tsconfig.json" }`);
    const known = await checkTypes(root, [join(root, "plugins")], root);
    expect(known).toEqual({ errors, files: 2, note: null });
  });

  test("says what is wrong with a tsconfig.json", async () => {
    await write("plugins/round.ts", ROUND);
    await write("tsconfig.json", `{ "compilerOptions": { "baseUrl": "." } }`);
    expect(await errorsOf()).toContainEqual(expect.stringMatching(/^tsconfig\.json:1 TS5102 /));
  });
});

describe("refreshTypes()", () => {
  test("writes what is missing or of another version, and leaves what is fresh", async () => {
    expect(await refreshTypes(root)).toBe("missing");
    const marker = join(root, ".tidewire/types/left-over.d.ts");
    await Bun.write(marker, "declare const leftOver: 1;");
    expect(await refreshTypes(root)).toBe("fresh");
    expect(await Bun.file(marker).exists()).toBe(true);
    await write(".tidewire/version", "0.0.1 abc\n");
    expect(await typesState(root)).toBe("stale");
    expect(await refreshTypes(root)).toBe("stale");
    expect(await typesState(root)).toBe("fresh");
    expect(await Bun.file(marker).exists()).toBe(false);
  });

  test("keeps the docstrings, which an editor shows", async () => {
    await writeTypes(root);
    const sdk = await readFile(join(root, ".tidewire/types/tidewire/plugin/sdk.d.ts"), "utf8");
    expect(sdk).toContain("Yields drafts until the signal aborts.");
    expect(sdk).toContain("* @example");
  });

  test("declares nothing by what is not there", async () => {
    await writeTypes(root);
    await write("plugins/round.test.ts", BUN);
    await write("plugins/round.ts", ROUND);
    // An editor would take it for `any` without a word: declarations are not checked as a rule.
    const { stdout } = await runBun(
      ["check", "--no-script", "--no-pretty", "--skipLibCheck", "false", "-p", ".tidewire"],
      { cwd: root },
    );
    expect(stdout).toBe("");
  });

  test("tells Git to leave the folder alone, and has the config's schema", async () => {
    await writeTypes(root);
    expect(await readFile(join(root, ".tidewire/.gitignore"), "utf8")).toEndWith("\n*\n");
    const schema = await Bun.file(join(root, ".tidewire/schema.json")).json();
    expect(Object.keys(schema.properties)).toContain("channels");
  });

  test("may run twice at the same moment", async () => {
    await Promise.all([writeTypes(root), writeTypes(root), writeTypes(root)]);
    expect((await readdir(join(root, ".tidewire"))).toSorted()).toEqual([
      ".gitignore",
      "schema.json",
      "tests.schema.json",
      "tsconfig.json",
      "types",
      "version",
    ]);
    await write("plugins/round.ts", ROUND);
    expect(await errorsOf()).toEqual([]);
  });
});

describe("pluginFiles()", () => {
  test("finds the folder plugins, and what a config uses elsewhere", async () => {
    await write("plugins/round.ts", ROUND);
    await write("shared/a.ts", "");
    await write(
      "tidewire.yaml",
      `channels:
  a: { plugins: [{ use: clock }, { use: ./plugins/round.ts }, { use: ./shared/a.ts }] }
  b: { plugins: [{ use: ./shared/a.ts }, { use: ./gone.ts }, { use: "npm:x" }] }
  c: [ not closed
`,
    );
    expect(await pluginFiles(root)).toEqual([join(root, "plugins"), join(root, "shared/a.ts")]);
  });

  test("finds nothing where nothing is", async () => {
    await mkdir(join(root, "plugins"));
    expect(await pluginFiles(root)).toEqual([]);
  });
});
