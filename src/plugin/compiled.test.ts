/** What ships is an executable: there is no source tree and no "tidewire" package beside it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "../../build.ts";
import { SHIPPED_NAMES } from "./shipped.ts";

let folder: string;
let executable: string;

/** Loads each plugin that it is given and prints what one draft becomes, or why not. */
const MAIN = `
import { loadPlugin } from ${JSON.stringify(join(import.meta.dir, "load.ts"))};
const [directory, ...uses] = process.argv.slice(2);
for (const use of uses) {
  try {
    const { plugin } = await loadPlugin(use, directory);
    const hooks = use.startsWith(".") ? await plugin.setup({}) : {};
    const result = (await hooks.transform?.({ data: 20 }))?.data;
    console.log(JSON.stringify({ name: plugin.name, result }));
  } catch (error) {
    console.log(JSON.stringify({ code: error.code, message: error.message }));
  }
}`;

const FILES = {
  "main.ts": MAIN,
  "plugins/plugin.ts": `import { definePlugin, t } from "tidewire";
    import { plus } from "./lib/plus.ts";
    import { times } from "times";
    export default definePlugin({
      name: "sum",
      options: t.Object({}),
      async setup() {
        const { half } = await import("./lib/half.ts");
        return { transform: (draft) => ({ data: half(times(plus(Number(draft.data), 1), 4)) }) };
      },
    });`,
  "plugins/lib/plus.ts": "export const plus = (a: number, b: number): number => a + b;",
  "plugins/lib/half.ts": "export const half = (a: number): number => a / 2;",
  "plugins/node_modules/times/package.json": `{"name":"times","version":"1.0.0","main":"./dist/main.cjs"}`,
  "plugins/node_modules/times/dist/main.cjs": "exports.times = (a, b) => a * b;",
  "plugins/broken.ts": "export default {\n  setup( {\n",
  "plugins/lost.ts": `import "nowhere-to-be-found";\n`,
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidewire-compiled-"));
  for (const [name, content] of Object.entries(FILES)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  executable = await build({ entry: join(folder, "main.ts"), outDir: join(folder, "out") });
}, 30_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(...uses: string[]): Promise<unknown[]> {
  // From another folder: neither the working directory nor this project may be what makes it work.
  const child = Bun.spawn([executable, join(folder, "plugins"), ...uses], {
    cwd: tmpdir(),
    stderr: "inherit",
  });
  const lines = (await new Response(child.stdout).text()).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

test("the executable loads a plugin from disk with relative imports and the packages of its folder", async () => {
  expect(await run("./plugin.ts")).toEqual([{ name: "sum", result: 42 }]);
});

test("the executable carries every plugin that ships", async () => {
  expect(await run(...SHIPPED_NAMES)).toEqual(SHIPPED_NAMES.map((name) => ({ name })));
});

test("the executable tells where a plugin is wrong", async () => {
  const [broken, lost, missing] = await run("./broken.ts", "./lost.ts", "./missing.ts");
  const at = join(folder, "plugins");
  expect(broken).toMatchObject({ code: "syntax" });
  expect((broken as Error).message).toStartWith(`${at}/broken.ts:`);
  expect(lost).toMatchObject({ code: "unresolved-import" });
  expect((lost as Error).message).toStartWith(
    `${at}/lost.ts:1:8: can't find "nowhere-to-be-found"`,
  );
  expect(missing).toMatchObject({ code: "file-not-found" });
});
