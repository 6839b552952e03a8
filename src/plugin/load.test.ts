import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { PluginLoadError } from "./errors.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { loadPlugin } from "./load.ts";
import * as sdk from "./sdk.ts";
import { SHIPPED_NAMES } from "./shipped.ts";

let folder: string;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "tidewire-load-")));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let nextFolder = 0;

/** Writes a plugin with the files that it needs into a folder of its own; gives that folder. */
async function write(files: Record<string, string | Uint8Array>): Promise<string> {
  const own = join(folder, String(nextFolder++));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(own, name)), { recursive: true });
    await writeFile(join(own, name), content);
  }
  return own;
}

async function failure(use: string, directory: string): Promise<PluginLoadError> {
  const error = await loadPlugin(use, directory).then(
    () => null,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(PluginLoadError);
  return error as PluginLoadError;
}

async function failureOf(source: string | Uint8Array): Promise<PluginLoadError & { at: string }> {
  const at = await write({ "plugin.ts": source });
  return Object.assign(await failure("./plugin.ts", at), { at: join(at, "plugin.ts") });
}

async function setUp(plugin: sdk.Plugin): Promise<sdk.Hooks> {
  return plugin.setup({} as never);
}

const PLAIN = `import { definePlugin } from "tidewire";
export default definePlugin({ name: "plain", setup: () => ({ transform: (draft) => draft }) });`;

describe("a path", () => {
  test("loadPlugin() imports a file with its relative imports and the packages of its own node_modules", async () => {
    const at = await write({
      "plugin.ts": `import { definePlugin, t, parseDuration } from "tidewire";
        import { plus } from "./lib/plus.ts";
        import { times } from "times";
        import { deep } from "@scope/deep/part";
        export default definePlugin({
          name: "sum",
          options: t.Object({ every: t.String({ default: "1s" }) }),
          setup: () => ({
            transform: (draft) => ({ data: deep(times(plus(Number(draft.data), 1), 2)) + parseDuration("1s") }),
          }),
        });`,
      "lib/plus.ts": "export const plus = (a: number, b: number): number => a + b;",
      "node_modules/times/package.json": `{"name":"times","version":"1.0.0","main":"./dist/main.cjs"}`,
      "node_modules/times/dist/main.cjs": "exports.times = (a, b) => a * b;",
      "node_modules/@scope/deep/package.json": `{"name":"@scope/deep","version":"1.0.0","exports":{"./part":{"import":"./lib/part.mjs"}}}`,
      "node_modules/@scope/deep/lib/part.mjs": "export const deep = (value) => value + 0.5;",
    });
    const { plugin, file, use } = await loadPlugin("./plugin.ts", at);
    expect({ use, file, name: plugin.name }).toEqual({
      use: "./plugin.ts",
      file: join(at, "plugin.ts"),
      name: "sum",
    });
    const { transform } = await setUp(plugin);
    expect(await transform!({ data: 20 })).toEqual({ data: 1042.5 });
  });

  test("loadPlugin() takes an absolute path, one through .., a space, a # and a % in it, and a symlink", async () => {
    const at = await write({ "a b#c%20d/plugin.ts": PLAIN, "x/y.txt": "" });
    await symlink(join(at, "a b#c%20d/plugin.ts"), join(at, "x/link.ts"));
    const file = join(at, "a b#c%20d/plugin.ts");
    expect((await loadPlugin(file, "/nowhere")).plugin.name).toBe("plain");
    expect((await loadPlugin("../a b#c%20d/plugin.ts", join(at, "x"))).file).toBe(file);
    expect((await loadPlugin("./link.ts", join(at, "x"))).plugin.name).toBe("plain");
  });

  test("loadPlugin() evaluates a file once, however often it is used", async () => {
    const at = await write({
      "plugin.ts": `globalThis.evaluations = (globalThis.evaluations ?? 0) + 1;\n${PLAIN}`,
    });
    const first = await loadPlugin("./plugin.ts", at);
    const second = await loadPlugin(join(at, "plugin.ts"), "/");
    expect(second.plugin).toBe(first.plugin);
    expect((globalThis as { evaluations?: number }).evaluations).toBe(1);
  });

  test("a plugin gets the server's own sdk, whatever node_modules or a tsconfig.json say", async () => {
    const at = await write({
      "plugin.ts": `import * as sdk from "tidewire";
        export default sdk.definePlugin({ name: Object.keys(sdk).sort().join(), setup: () => ({}) });`,
      "tsconfig.json": `{"compilerOptions":{"paths":{"tidewire":["./tidewire.d.ts"]}}}`,
      "tidewire.d.ts": "export declare const definePlugin: unknown;",
      "node_modules/tidewire/index.js":
        "export const definePlugin = () => ({ name: 'wrong', setup() {} });",
    });
    const { plugin } = await loadPlugin("./plugin.ts", at);
    expect(plugin.name).toBe(Object.keys(sdk).sort().join());
  });

  test("a CommonJS plugin may require the sdk", async () => {
    const at = await write({
      "plugin.cjs": `const { definePlugin } = require("tidewire");
        module.exports = definePlugin({ name: "old", setup: () => ({}) });`,
    });
    expect((await loadPlugin("./plugin.cjs", at)).plugin.name).toBe("old");
  });
});

describe("a bare name", () => {
  test.each([...SHIPPED_NAMES])("loadPlugin() finds %s among those that ship", async (name) => {
    const { plugin, file } = await loadPlugin(name, "/nowhere");
    expect({ name: plugin.name, file }).toEqual({ name, file: null });
  });

  test("loadPlugin() suggests a name that is close, and lists all", async () => {
    const error = await failure("trottle", "/");
    expect(error.code).toBe("unknown-plugin");
    expect(error.suggestion).toBe("throttle");
    expect(error.message).toBe(
      `no plugin "trottle" ships; did you mean "throttle"? Those that ship: ${SHIPPED_NAMES.join(", ")}.`,
    );
  });

  test("loadPlugin() says how a path is written when the name looks like one", async () => {
    expect((await failure("plugins/round.ts", "/")).message).toContain(
      `a file's path starts with "./": did you mean "./plugins/round.ts"?`,
    );
  });

  test.each(["__proto__", "constructor", ""])(
    "loadPlugin() knows no plugin named %p",
    async (name) => {
      expect((await failure(name, "/")).code).toBe("unknown-plugin");
    },
  );
});

describe("a file that is no plugin", () => {
  test("loadPlugin() says the absolute path of a file that is not there", async () => {
    const error = await failure("./plugins/round.ts", folder);
    expect(error.code).toBe("file-not-found");
    expect(error.message).toBe(
      `plugin "./plugins/round.ts" is not there: no file ${folder}/plugins/round.ts`,
    );
  });

  test("loadPlugin() refuses a folder, and a path with a question mark", async () => {
    const at = await write({ "a?b.ts": PLAIN });
    expect((await failure("./", at)).message).toContain("is a folder; name the file in it");
    const error = await failure("./a?b.ts", at);
    expect([error.code, error.message]).toEqual([
      "bad-path",
      `${at}/a?b.ts can't be imported: its path has a "?"`,
    ]);
  });

  test("a syntax error is told with file, line and column", async () => {
    const error = await failureOf(`import { definePlugin } from "tidewire";\nconst a = ;\n`);
    expect(error.code).toBe("syntax");
    expect(error.place).toEqual({ file: error.at, line: 2, column: 11, lineText: "const a = ;" });
    expect(error.message).toBe(`${error.at}:2:11: Unexpected ;`);
  });

  test("several syntax errors are all told", async () => {
    const error = await failureOf(
      `export default {\n  setup() { return { transform(draft) { return draft; }\n});\n`,
    );
    expect(error.code).toBe("syntax");
    expect(error.message.split("\n").length).toBeGreaterThan(1);
    for (const line of error.message.split("\n")) expect(line).toStartWith(`${error.at}:3:`);
  });

  test("a syntax error in a file that the plugin imports is told where it is", async () => {
    const at = await write({
      "plugin.ts": `import "./other.ts";\n${PLAIN}`,
      "other.ts": "\n\nlet = = 3;",
    });
    const error = await failure("./plugin.ts", at);
    expect(error.code).toBe("syntax");
    expect(error.place).toMatchObject({ file: join(at, "other.ts"), line: 3 });
  });

  test("bytes that are no text are a syntax error, not a crash", async () => {
    const error = await failureOf(new Uint8Array([0x80, 0x81, 0, 1, 2, 0xff, 0xfe]));
    expect(error.code).toBe("syntax");
  });

  test("an import that leads nowhere is told with its place and the folder that is looked in", async () => {
    // The node_modules keeps bun from asking a registry for the package.
    const at = await write({
      "plugin.ts": `import { definePlugin } from "tidewire";\n  import x from '@not/there/part';\nx;`,
      "node_modules/other/index.js": "",
    });
    const error = await failure("./plugin.ts", at);
    expect(error.code).toBe("unresolved-import");
    expect(error.place).toMatchObject({ line: 2, column: 17 });
    expect(error.message).toBe(
      `${at}/plugin.ts:2:17: can't find "@not/there/part"; run "tidewire plugin add @not/there"`,
    );
  });

  test("a relative import that leads nowhere is told with the file that has it", async () => {
    const at = await write({
      "plugin.ts": `import "./lib/a.ts";\n${PLAIN}`,
      "lib/a.ts": `export { b } from "./b.ts";`,
    });
    expect((await failure("./plugin.ts", at)).message).toBe(
      `${at}/lib/a.ts:1:19: can't find "./b.ts"; the path is relative to this file`,
    );
  });

  test("an imported file that is deleted after it was loaded is told at its import", async () => {
    const at = await write({
      "plugin.ts": `import { definePlugin } from "tidewire";\nimport { k } from "./lib/k.ts";\nexport default definePlugin({ name: "p" + k, setup: () => ({}) });`,
      "lib/k.ts": "export const k = 1;",
    });
    await loadPlugin("./plugin.ts", at);
    await rm(join(at, "lib/k.ts"));
    const error = await failure("./plugin.ts", at);
    expect(error).toMatchObject({
      code: "unresolved-import",
      place: { file: join(at, "plugin.ts"), line: 2, column: 19 },
    });
    expect(error.message).toContain(`can't find "./lib/k.ts"`);
  });

  test("an import of what the sdk does not have is told with what was meant, or what it has", async () => {
    const error = await failureOf(`import { defineplugin } from "tidewire"; defineplugin();`);
    expect(error.code).toBe("unresolved-import");
    expect(error.message).toBe(
      `${error.at}:1:10: "tidewire" has no export "defineplugin"; did you mean "definePlugin"?`,
    );
    const other = await failureOf(`import { createStore } from "tidewire"; createStore();`);
    expect(other.message).toContain("it exports");
    expect(other.message).toContain("definePlugin");
  });

  test("what the file throws is the cause, with the author's stack", async () => {
    const error = await failureOf(
      `function inner() { throw new RangeError("no such zone"); }\ninner();`,
    );
    expect(error.code).toBe("load-failed");
    expect(error.message).toBe(
      `${error.at}:1:30: the file threw when it was loaded: RangeError: no such zone`,
    );
    expect(error.cause).toBeInstanceOf(RangeError);
    expect((error.cause as Error).stack).toContain(`inner (${error.at}:1`);
  });

  test("a file may throw anything", async () => {
    expect((await failureOf(`throw "just a text";`)).message).toEndWith(
      "threw when it was loaded: just a text",
    );
    expect((await failureOf(`throw Object.create(null);`)).code).toBe("load-failed");
    expect((await failureOf(`throw undefined;`)).code).toBe("load-failed");
  });

  test("a top-level await that never ends is given up on", async () => {
    const at = await write({ "plugin.ts": `await new Promise(() => {});\n${PLAIN}` });
    const clock = new FakeClock();
    const loading = loadPlugin("./plugin.ts", at, clock).catch((error: unknown) => error);
    while (clock.pending === 0) await settled();
    await clock.pass(30_000);
    const error = await loading;
    expect(error).toMatchObject({ code: "load-timeout", use: "./plugin.ts" });
  });

  test.each([
    [
      "no default export",
      "export const plugin = {};",
      "it exports plugin but has no default export",
    ],
    ["an empty file", "", "it has no default export"],
    ["a function", "export default function setup() {}", "is a function, not a plugin"],
    ["a text", `export default "round";`, "is a string, not a plugin"],
    ["null", "export default null;", "is null, not a plugin"],
    ["a promise", "export default Promise.resolve({});", "is a promise, not a plugin"],
    ["no name", "export default { setup() {} };", "its name is missing"],
    ["an empty name", `export default { name: "", setup() {} };`, "its name is empty"],
    ["no setup", `export default { name: "x" };`, "its setup is missing"],
    ["setup that is hooks", `export default { name: "x", setup: {} };`, "its setup is an object"],
    [
      "options of another type",
      `import { t } from "tidewire"; export default { name: "x", options: t.String(), setup() {} };`,
      "its options are a t.String; they must be made with t.Object({ … })",
    ],
    [
      "options that are no schema",
      `export default { name: "x", options: { a: 1 }, setup() {} };`,
      "its options are an object; they must be made with t.Object({ … })",
    ],
    [
      "a hook beside setup",
      `export default { name: "x", setup() {}, transform() {} };`,
      `a plugin has no "transform"; it is a hook: return it from setup`,
    ],
    [
      "a check that is no function",
      `export default { name: "x", setup() {}, check: true };`,
      "its check is a boolean; it must be a function that takes the options",
    ],
    [
      "a misspelled key",
      `export default { name: "x", setup() {}, option: {} };`,
      `a plugin has no "option"; did you mean "options"?`,
    ],
  ])("loadPlugin() refuses a default export that is wrong: %s", async (_what, source, says) => {
    const error = await failureOf(source);
    expect(["not-a-plugin", "no-default-export"]).toContain(error.code);
    expect(error.message).toStartWith(`${error.at}: `);
    expect(error.message).toContain(says);
  });

  test("a JSON file is refused as a plugin", async () => {
    const at = await write({ "plugin.json": `{"name":"x"}` });
    expect((await failure("./plugin.json", at)).message).toContain("its setup is missing");
  });
});

test("a path relative to the working directory is not used: the config's folder counts", async () => {
  const at = await write({ "plugin.ts": PLAIN });
  const here = `./${relative(process.cwd(), import.meta.path)}`;
  expect(existsSync(here)).toBe(true);
  expect((await failure(here, at)).code).toBe("file-not-found");
});
