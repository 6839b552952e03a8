/** A plugin's file that changed, or anything that it imports, is evaluated again by the next load. */
import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, expect, test } from "bun:test";
import { keepOnly } from "./fresh-import.ts";
import { loadPlugin } from "./load.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { readGraph } from "./module-graph.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "tidewire-fresh-")));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folder: string;
let count = 0;
beforeEach(() => {
  folder = join(root, String(++count));
});

function write(name: string, content: string): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** A plugin whose name is made of what it imports. */
const plugin = (imports: string, name: string) =>
  `${imports}\nexport default { name: ${name}, setup: () => ({}) };\n`;
const nameOf = async (file = "./plugin.ts") => (await loadPlugin(file, folder)).plugin.name;

test("what did not change is not evaluated again", async () => {
  write("plugin.ts", plugin("", `"a"`));
  const first = await loadPlugin("./plugin.ts", folder);
  const second = await loadPlugin("./plugin.ts", folder);
  expect(second.plugin).toBe(first.plugin);
  expect(second.version).toBe(first.version!);
});

test("a change of a file, of what it imports, and of data, gives another plugin and version", async () => {
  write("plugin.ts", plugin(`import { b } from "./lib/b.ts";`, `"1" + b`));
  write("lib/b.ts", `import data from "../data.json"; export const b = data.text;`);
  write("data.json", `{ "text": "x" }`);
  const versions = new Set<unknown>();
  const load = async () => {
    const { plugin: loaded, version } = await loadPlugin("./plugin.ts", folder);
    versions.add(version);
    return loaded.name;
  };
  expect(await load()).toBe("1x");
  write("data.json", `{ "text": "y" }`);
  expect(await load()).toBe("1y");
  write("lib/b.ts", `export const b = "z";`);
  expect(await load()).toBe("1z");
  write("plugin.ts", plugin(`import { b } from "./lib/b.ts";`, `"2" + b`));
  expect(await load()).toBe("2z");
  expect(versions.size).toBe(4);
});

test("a file that two plugins import is one module, before and after it changed", async () => {
  const shared = `import { counter } from "./shared.ts"; counter.uses++;`;
  write("a.ts", plugin(shared, `"a" + counter.name + counter.uses`));
  write("b.ts", plugin(shared, `"b" + counter.name + counter.uses`));
  write("shared.ts", `export const counter = { name: "x", uses: 0 };`);
  expect([await nameOf("./a.ts"), await nameOf("./b.ts")]).toEqual(["ax1", "bx2"]);
  write("shared.ts", `export const counter = { name: "y", uses: 0 };`);
  expect([await nameOf("./a.ts"), await nameOf("./b.ts")]).toEqual(["ay1", "by2"]);
});

test("an npm package that is another version is evaluated again", async () => {
  write("plugin.ts", plugin(`import { v } from "pack";`, `"p" + v`));
  write(
    "node_modules/pack/package.json",
    `{ "name": "pack", "version": "1.0.0", "main": "main.js" }`,
  );
  write("node_modules/pack/main.js", `module.exports = { v: require("./deep.js") };`);
  write("node_modules/pack/deep.js", `module.exports = 1;`);
  expect(await nameOf()).toBe("p1");
  write("node_modules/pack/deep.js", `module.exports = 22;`);
  expect(await nameOf()).toBe("p22");
});

const BROKEN: readonly [string, string][] = [
  ["does not parse", "export const b = ;"],
  ["lacks an export", "export const other = 1;"],
  ["throws", `throw new Error("no");`],
  ["imports what is not there", `import "./nowhere.ts"; export const b = 1;`],
  [
    "is in a circle that does not link",
    `import { none } from "./plugin.ts"; export const b = none;`,
  ],
];
test.each(BROKEN)("after a version that %s the next one works", async (_what, source) => {
  write("plugin.ts", plugin(`import { b } from "./lib/b.ts";`, `"p" + b`));
  write("lib/b.ts", "export const b = 1;");
  expect(await nameOf()).toBe("p1");
  write("lib/b.ts", source.replace("./plugin.ts", "../plugin.ts"));
  await expect(nameOf()).rejects.toThrow();
  await expect(nameOf()).rejects.toThrow();
  write("lib/b.ts", "export const b = 2;");
  expect(await nameOf()).toBe("p2");
  // What was there first counts as changed too.
  write("lib/b.ts", "export const b = 1;");
  expect(await nameOf()).toBe("p1");
});

test("after a version whose top level does not end the next one works", async () => {
  write("plugin.ts", plugin("", `"a"`));
  await nameOf();
  write("plugin.ts", plugin("await new Promise(() => {});", `"b"`));
  const clock = new FakeClock();
  const loading = loadPlugin("./plugin.ts", folder, clock);
  const failed = loading.catch(({ code }: { code: string }) => code);
  while (clock.pending === 0) await settled();
  await clock.pass(30_000);
  expect(await failed).toBe("load-timeout");
  write("plugin.ts", plugin("", `"c"`));
  expect(await nameOf()).toBe("c");
  write("plugin.ts", plugin("", `"d"`));
  expect(await nameOf()).toBe("d");
});

test("a file that a link leads to finds what it imports beside itself, there and nowhere else", async () => {
  write("elsewhere/p.ts", plugin(`import { b } from "./b.ts";`, `"p" + b`));
  write("elsewhere/b.ts", `export const b = 1;`);
  mkdirSync(join(folder, "plugins"));
  symlinkSync("../elsewhere/p.ts", join(folder, "plugins/p.ts"));
  expect(await nameOf("./plugins/p.ts")).toBe("p1");
  write("elsewhere/b.ts", `export const b = 2;`);
  expect(await nameOf("./plugins/p.ts")).toBe("p2");
});

test("a link that leads elsewhere is followed, of a file and of a folder", async () => {
  const swap = (version: string, link: string) => {
    symlinkSync(version, join(folder, "next"));
    renameSync(join(folder, "next"), join(folder, link));
  };
  for (const version of ["v1", "v2", "v3"]) {
    write(`${version}/p.ts`, plugin(`import { b } from "./b.ts";`, `"p" + b`));
    write(`${version}/b.ts`, `export const b = "${version}";`);
  }
  symlinkSync("..data/p.ts", join(folder, "p.ts"));
  for (const version of ["v1", "v2", "v3", "v1"]) {
    swap(version, "..data");
    swap(version, "current");
    const names = [await nameOf("./p.ts"), await nameOf("./current/p.ts")];
    expect(names).toEqual([`p${version}`, `p${version}`]);
  }
});

test("files that import one another in a circle are evaluated again, all of them", async () => {
  const text = (mark: string) =>
    `import { b } from "./b.ts"; export const a = () => "${mark}"; export default { name: "p" + b(), setup: () => ({}) };`;
  write("plugin.ts", text("1"));
  write("b.ts", `import { a } from "./plugin.ts"; export const b = () => "b" + a();`);
  expect(await nameOf().catch((error: Error) => error.message)).toBe("pb1");
  write("plugin.ts", text("2"));
  expect(await nameOf()).toBe("pb2");
  write("b.ts", `import { a } from "./plugin.ts"; export const b = () => "c" + a();`);
  expect(await nameOf()).toBe("pc2");
});

test("where two plugins share a file and one of them changes, the file stays the same module", async () => {
  const shared = `import { counter } from "./shared.ts"; counter.uses++;`;
  write("a.ts", plugin(shared, `"a" + counter.uses`));
  write("b.ts", plugin(shared, `"b" + counter.uses`));
  write("shared.ts", `export const counter = { uses: 0 };`);
  expect([await nameOf("./a.ts"), await nameOf("./b.ts")]).toEqual(["a1", "b2"]);
  write("a.ts", plugin(shared, `"A" + counter.uses`));
  expect([await nameOf("./a.ts"), await nameOf("./b.ts")]).toEqual(["A3", "b2"]);
});

test("keepOnly() lets go of the modules of other files", async () => {
  const file = write("plugin.ts", plugin("", `"a"`));
  const { plugin: first } = await loadPlugin("./plugin.ts", folder);
  keepOnly(new Set([file]));
  expect((await loadPlugin("./plugin.ts", folder)).plugin).toBe(first);
  keepOnly(new Set());
  expect((await loadPlugin("./plugin.ts", folder)).plugin).not.toBe(first);
});

test("readGraph() finds what is imported, required, awaited and named by a URL, but not types", async () => {
  const entry = write(
    "plugin.ts",
    `import { a } from "./a.ts"; import type { T } from "./t.ts"; import "tidewire"; import "node:fs";
     export * from "./b"; const c = require("./c.cjs"); const d = () => import("./d.ts");
     const worker = new URL("./worker.ts", import.meta.url); import "./none.ts"; import "no-package";
     console.log(a, c, d, worker);`,
  );
  for (const name of ["a.ts", "b.ts", "c.cjs", "d.ts", "t.ts", "worker.ts"])
    write(name, "export {};");
  const { files } = readGraph(entry);
  const names = [...files.keys()].map((file) => file.slice(folder.length + 1));
  expect(names.toSorted()).toEqual(["a.ts", "b.ts", "c.cjs", "d.ts", "plugin.ts", "worker.ts"]);
  expect(files.get(entry)!.missing).toEqual([join(folder, "none.ts"), "no-package"].toSorted());
});
