import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PluginLoadError } from "./errors.ts";
import { loadPlugin } from "./load.ts";
import { findPackageFile, parsePackage } from "./npm.ts";

let root: string;
/** Where the config is. */
let directory: string;

function write(path: string, content: string | object): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
}

const TYPESCRIPT = `import { definePlugin } from "tidewire";
export default definePlugin({ name: "ts" as string, setup: () => ({}) });`;
const COMMONJS = `const { definePlugin } = require("tidewire");
module.exports = definePlugin({ name: "cjs", setup: () => ({}) });`;
const TRANSPILED = `Object.defineProperty(exports, "__esModule", { value: true });
exports.default = require("tidewire").definePlugin({ name: "transpiled", setup: () => ({}) });`;
const STRANGER = `export const definePlugin = () => ({ name: "stranger", setup() {} });`;

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "tidewire-npm-")));
  directory = join(root, "app");
  write("app/node_modules/ts/package.json", {
    type: "module",
    exports: { ".": "./index.ts", "./extra": { import: "./extra.mts" } },
    peerDependencies: { tidewire: "*" },
  });
  write("app/node_modules/ts/index.ts", TYPESCRIPT);
  write("app/node_modules/ts/extra.mts", TYPESCRIPT.replace(`"ts"`, `"extra"`));
  // What an installer may have put there for the peer: the server's own goes before it.
  write("app/node_modules/ts/node_modules/tidewire/package.json", { main: "i.js" });
  write("app/node_modules/ts/node_modules/tidewire/i.js", STRANGER);
  write("app/node_modules/@acme/cjs/package.json", { main: "lib/main.js" });
  write("app/node_modules/@acme/cjs/lib/main.js", COMMONJS);
  write("app/node_modules/transpiled/package.json", { main: "main.js" });
  write("app/node_modules/transpiled/main.js", TRANSPILED);
  write("app/node_modules/empty/package.json", { name: "empty" });
  write("app/node_modules/twice/package.json", { main: "beside-the-config.js" });
  write("app/node_modules/twice/beside-the-config.js", "");
  write("app/plugins/node_modules/twice/package.json", { main: "in-plugins.js" });
  write("app/plugins/node_modules/twice/in-plugins.js", "");
  write("node_modules/above/package.json", { main: "main.js" });
  write("node_modules/above/main.js", "");
  write("app/package.json", { dependencies: { listed: "1.0.0" } });
});
afterAll(() => rmSync(root, { recursive: true }));

/** Message and help of what went wrong. */
async function wrong(use: string): Promise<string> {
  const error = await loadPlugin(use, directory).then(
    () => null,
    (error: unknown) => error,
  );
  if (!(error instanceof PluginLoadError)) throw new Error(`${use} is no load error`);
  return `${error.code}: ${error.message.replaceAll(root, "")} | ${error.help?.replaceAll(root, "")}`;
}

describe("loadPlugin() with an npm package", () => {
  test.each([
    ["npm:ts", "ts", "app/node_modules/ts/index.ts"],
    ["npm:ts/extra", "extra", "app/node_modules/ts/extra.mts"],
    ["npm:@acme/cjs", "cjs", "app/node_modules/@acme/cjs/lib/main.js"],
    ["npm:transpiled", "transpiled", "app/node_modules/transpiled/main.js"],
  ])("loads %s with the server's own sdk", async (use, name, file) => {
    const loaded = await loadPlugin(use, directory);
    expect(loaded.plugin.name).toBe(name);
    expect(loaded.file).toBe(join(root, file));
  });

  test("refuses what is not there, and says what to run", async () => {
    expect(await wrong("npm:@none/such")).toMatch(
      /^package-missing: the npm package "@none\/such" is not installed \| run "tidewire plugin add @none\/such --dir .*app"$/,
    );
    expect(await wrong("npm:listed")).toMatch(
      /^package-missing: .* is not installed \| run "tidewire plugin install --dir .*": package\.json lists it$/,
    );
  });

  test("refuses a package with nothing to import", async () => {
    expect(await wrong("npm:ts/none")).toBe(
      `bad-package: no "./none" can be imported of package "ts", /app/node_modules/ts | its package.json says what can be, under "exports" or "main"`,
    );
    expect(await wrong("npm:empty")).toStartWith(
      `bad-package: nothing can be imported of package "empty"`,
    );
  });
});

describe("findPackageFile()", () => {
  test("looks into plugins/ first, then beside the config, then further up", () => {
    expect(findPackageFile("npm:twice", directory)).toBe(
      join(root, "app/plugins/node_modules/twice/in-plugins.js"),
    );
    expect(findPackageFile("npm:above", directory)).toBe(join(root, "node_modules/above/main.js"));
  });
});

describe("parsePackage()", () => {
  test.each([
    ["npm:name", "name", "."],
    ["npm:@scope/name", "@scope/name", "."],
    ["npm:name/sub/path", "name", "./sub/path"],
    ["npm:@scope/name/sub.ts", "@scope/name", "./sub.ts"],
  ])("reads %s", (use, name, subpath) => {
    expect(parsePackage(use)).toEqual({ name, subpath });
  });

  test.each([
    "npm:",
    "npm:./x",
    "npm:/x",
    "npm:@scope",
    "npm:a b",
    "npm:name/",
    "npm:name/../../x",
    "npm:..",
  ])("refuses %p", (use) => {
    expect(() => parsePackage(use)).toThrow(`"${use}" names no npm package`);
  });

  test.each([
    ["npm:name@1.2.3", "npm:name", "name@1.2.3"],
    ["npm:@scope/name@^2/sub", "npm:@scope/name/sub", "@scope/name@^2"],
    ["npm:name@", "npm:name", "name"],
  ])("refuses the version in %s and says where it belongs", (use, right, add) => {
    let error: unknown;
    try {
      parsePackage(use);
    } catch (thrown) {
      error = thrown;
    }
    expect((error as Error).message).toBe(
      `"${use}" has a version, which the lock file says and the config does not`,
    );
    expect((error as PluginLoadError).help).toBe(
      `write ${right}, and run "tidewire plugin add ${add}"`,
    );
  });
});
