import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { packageFolder, prepareFolder, rememberFolder } from "./npm-folder.ts";

let root: string;
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), "tidewire-folder-"))));
afterEach(() => rmSync(root, { recursive: true }));

function write(...files: readonly string[]): void {
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), "{}\n");
  }
}

describe("packageFolder()", () => {
  test.each([
    ["there is nothing", [], "app"],
    ["packages were added before", ["app/package.json", "app/bun.lock"], "app"],
    ["a package.json has no lock file", ["app/package.json"], "app"],
    ["bun keeps the project", ["app/package.json", "bun.lock"], "app"],
    ["npm keeps the project", ["app/package.json", "app/package-lock.json"], "app/plugins"],
    ["yarn keeps the project", ["app/package.json", "app/yarn.lock"], "app/plugins"],
    ["pnpm keeps it from above", ["app/package.json", "pnpm-lock.yaml"], "app/plugins"],
    ["only what is above is kept", ["package.json", "pnpm-lock.yaml"], "app"],
    ["plugins has a package.json", ["app/plugins/package.json", "app/bun.lock"], "app/plugins"],
    ["both have kept it", ["app/package.json", "app/bun.lock", "app/yarn.lock"], "app"],
  ])("when %s", (_name, files, folder) => {
    write(...files);
    expect(packageFolder(join(root, "app"))).toBe(join(root, folder));
  });
});

describe("prepareFolder()", () => {
  test("keeps what a package.json says, and says what tidewire is", () => {
    writeFileSync(join(root, "package.json"), `{ "name": "app", "overrides": { "a": "1.0.0" } }`);
    prepareFolder(root);
    expect(JSON.parse(readFileSync(join(root, "package.json"), "utf8"))).toEqual({
      name: "app",
      overrides: { tidewire: "file:./.tidewire/sdk", a: "1.0.0" },
    });
    const before = readFileSync(join(root, "package.json"), "utf8");
    prepareFolder(root);
    expect(readFileSync(join(root, "package.json"), "utf8")).toBe(before);
  });

  test("leaves it alone when it says so itself", () => {
    const own = `{"overrides":{"tidewire":"file:./mine"}}`;
    writeFileSync(join(root, "package.json"), own);
    prepareFolder(root);
    expect(readFileSync(join(root, "package.json"), "utf8")).toBe(own);
    expect(existsSync(join(root, ".tidewire"))).toBe(false);
  });
});

describe("rememberFolder()", () => {
  test("puts back what was there and takes away what was not", () => {
    write("package.json");
    const memory = rememberFolder(root);
    prepareFolder(root);
    write("bun.lock", "node_modules/a/package.json");
    memory.restore();
    expect(readFileSync(join(root, "package.json"), "utf8")).toBe("{}\n");
    for (const name of ["bun.lock", "node_modules", ".tidewire"]) {
      expect(existsSync(join(root, name))).toBe(false);
    }
  });
});
