import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Sources } from "./source-text.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "tidewire-sources-")));
afterAll(() => rmSync(root, { recursive: true }));
let next = 0;

function write(files: Record<string, string>): string {
  const folder = join(root, String(next++));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

describe("Sources.of()", () => {
  test("has the file first, what it imports by paths, and nothing of npm packages", () => {
    const at = write({
      "a.ts": `import "./lib/b.ts";\nimport "pack";\nexport const a = 1;`,
      "lib/b.ts": `import "../a.ts";\nexport * from "./c";`,
      "lib/c.ts": "export const c = 3;",
      "lib/d.ts": "export const d = 4;",
      "node_modules/pack/package.json": `{"name":"pack","main":"index.js"}`,
      "node_modules/pack/index.js": "",
    });
    const sources = Sources.of(join(at, "a.ts"));
    expect(sources.files.map((file) => file.slice(at.length))).toEqual([
      "/a.ts",
      "/lib/b.ts",
      "/lib/c.ts",
    ]);
    expect(sources.text(join(at, "lib/c.ts"))).toBe("export const c = 3;");
    expect(sources.text(join(at, "lib/d.ts"))).toBeNull();
    expect(sources.text(join(at, "node_modules/pack/index.js"))).toBeNull();
  });

  test("names a file by where it really is, as a stack does", () => {
    const at = write({ "real.ts": "export {};" });
    symlinkSync(join(at, "real.ts"), join(at, "link.ts"));
    expect(Sources.of(join(at, "link.ts")).files).toEqual([join(at, "real.ts")]);
  });

  test("leaves out what is too long, is not there, or is too much", () => {
    expect(Sources.of(join(root, "nowhere.ts")).files).toEqual([]);
    const at = write({ "long.ts": "a;".repeat(300_000), "broken.ts": "let = = 1;" });
    expect(Sources.of(join(at, "long.ts")).files).toEqual([]);
    expect(Sources.of(join(at, "broken.ts")).files).toHaveLength(1);
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`m${i}.ts`, ""]));
    const imports = Object.keys(many).map((name) => `import "./${name}";`);
    const other = write({ ...many, "main.ts": imports.join("\n") });
    expect(Sources.of(join(other, "main.ts")).files).toHaveLength(64);
  });
});

describe("Sources.text()", () => {
  test("is what was loaded, whatever became of the file since", async () => {
    const at = write({ "a.ts": "export const a = 1;" });
    const file = join(at, "a.ts");
    await import(file);
    const sources = Sources.of(file);
    writeFileSync(file, "\n\nexport const a = 2;");
    expect(sources.text(file)).toBe("export const a = 1;");
    // A second plugin that imports the very same module runs the same text.
    expect(Sources.of(file).text(file)).toBe("export const a = 1;");
    rmSync(file);
    expect(sources.text(file)).toBe("export const a = 1;");
  });

  test("is nothing when the file was loaded anew: stacks of the old code have wrong lines then", async () => {
    const at = write({ "a.ts": "export const a = 1;" });
    const file = join(at, "a.ts");
    await import(file);
    const old = Sources.of(file);
    writeFileSync(file, "\nexport const a = 2;");
    delete require.cache[file];
    await import(file);
    expect(old.text(file)).toBeNull();
    expect(Sources.of(file).text(file)).toBe("\nexport const a = 2;");
  });

  test("of a worker's is nothing when the file is another: the worker may run that one", async () => {
    const at = write({ "a.ts": "export const a = 1;" });
    const file = join(at, "a.ts");
    await import(file);
    const sources = Sources.of(file).ofWorker();
    expect(sources.text(file)).toBe("export const a = 1;");
    writeFileSync(file, "export const a = 2;");
    expect(sources.text(file)).toBeNull();
  });
});
