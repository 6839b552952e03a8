import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dependencies } from "../package.json";
import { importsOf, wrongArrows } from "./architecture.ts";

const ROOT = join(import.meta.dir, "..");
const packages = { dependencies: Object.keys(dependencies) };

test("arrows between the folders of the house point one way (DESIGN.md §2)", async () => {
  expect(await wrongArrows(ROOT, packages)).toEqual([]);
});

describe("importsOf()", () => {
  test.each([
    [`import { a } from "./a.ts";`, "./a.ts"],
    [`import a, { type B } from './a.ts'`, "./a.ts"],
    [`import * as a from "./a.ts";`, "./a.ts"],
    [`import "./a.ts";`, "./a.ts"],
    [`import type { A } from "./a.ts";`, "./a.ts"],
    [`import type A from "./a.ts";`, "./a.ts"],
    [`import type * as A from "./a.ts";`, "./a.ts"],
    [`import { type A, type B as C } from "./a.ts";`, "./a.ts"],
    [`import {\n  type A,\n  type B,\n} from "./a.ts";`, "./a.ts"],
    [`export { a } from "./a.ts";`, "./a.ts"],
    [`export * from "./a.ts";`, "./a.ts"],
    [`export * as a from "./a.ts";`, "./a.ts"],
    [`export type { A } from "./a.ts";`, "./a.ts"],
    [`export type * from "./a.ts";`, "./a.ts"],
    [`export { type A } from "./a.ts";`, "./a.ts"],
    [`const a = await import("./a.ts");`, "./a.ts"],
    [`let a: import("./a.ts").A;`, "./a.ts"],
    [`const a = require("./a.ts");`, "./a.ts"],
    [`new Worker(new URL("./a.ts", import.meta.url));`, "./a.ts"],
    [`import a from "./a.json" with { type: "json" };`, "./a.json"],
  ])("sees %j", (source, path) => {
    expect(importsOf(source)).toEqual([path]);
  });

  test("sees none in comments and texts, and is not confused by types", () => {
    const source = `
      // import { a } from "./a.ts";
      /** import type { b } from "./b.ts"; */
      const text = "import './c.ts'";
      const template = \`
import { definePlugin } from "tidewire";
export type { A } from "./d.ts";\`;
      const quote = /["'\`]/;
      export type Local = { type: string };
      export interface Other { type: Local }
      export type { Local as Renamed };
    `;
    expect(importsOf(source)).toEqual([]);
  });

  test("names the file that it can't parse", () => {
    expect(() => importsOf("import {", "src/a.ts")).toThrow("src/a.ts can't be parsed");
  });
});

describe("wrongArrows()", () => {
  const made: string[] = [];
  afterAll(() => Promise.all(made.map((path) => rm(path, { recursive: true }))));

  async function arrowsOf(tree: Record<string, string>): Promise<string[]> {
    const root = await mkdtemp(join(tmpdir(), "tidewire-arrows-"));
    made.push(root);
    for (const [path, source] of Object.entries(tree)) await Bun.write(join(root, path), source);
    return wrongArrows(root, { dependencies: ["yaml", "@sinclair/typebox"] });
  }

  test("takes a tree whose arrows all point the right way", async () => {
    const tree = {
      "src/main.ts": `import { main } from "./cli/main.ts";`,
      "src/log.ts": `import { inspect } from "node:util";`,
      "src/version.ts": `import { version } from "../package.json";`,
      "src/channel/channel.ts": `import { a } from "./fan-out.ts"; import { b } from "../units.ts";`,
      "src/broker/memory.ts": `import type { Log } from "../channel/log.ts"; import "../log.ts";`,
      "src/config/load.ts": `import yaml from "yaml"; import { Type } from "@sinclair/typebox/value";`,
      "src/plugin/shipped.ts": `import clock from "../../plugins/clock.ts";`,
      "src/server/server.ts": `import "../broker/memory.ts"; import "../transport/sse.ts"; import "../plugin/load.ts"; import type { Config } from "../config/config.ts";`,
      "src/cli/run.ts": `import "../server/server.ts"; import "../config/load.ts"; import "bun"; import "fs/promises";`,
      "plugins/clock.ts": `import { definePlugin } from "tidewire"; import "node:fs"; import "yaml"; import { $ } from "bun";`,
      "plugins/clock.test.ts": `import { open } from "./testing.ts"; import "../src/plugin/runtime.ts";`,
      "plugins/testing.ts": `import "../src/channel/channel.ts";`,
      "src/author/init.ts": `import * as test from "./templates/a.test.ts" with { type: "text" };`,
      "src/author/templates/a.ts": `import { definePlugin } from "tidewire"; import "node:fs";`,
      "src/author/templates/a.test.ts": `import { start } from "tidewire/testing"; import "./a.ts";`,
      "src/broker/contract.ts": `import "../transport/sse.ts"; import "fast-check";`,
      "src/channel/channel.test.ts": `import "../broker/memory.ts"; import "./testing.ts";`,
      "src/channel/testing.ts": `import "../broker/memory.ts";`,
    };
    expect(await arrowsOf(tree)).toEqual([]);
  });

  const upward = "may import log.ts, suggest.ts, units.ts, version.ts";
  const wrong: [string, string, string, string][] = [
    ["channel", "src/channel/a.ts", "../broker/memory.ts", `channel ${upward}`],
    ["channel to config", "src/channel/a.ts", "../config/config.ts", `channel ${upward}`],
    ["channel to the sdk", "src/channel/a.ts", "tidewire", `channel ${upward}`],
    [
      "a sibling",
      "src/transport/a.ts",
      "../broker/broker.ts",
      "transport may import channel, log.ts, suggest.ts, units.ts, version.ts",
    ],
    [
      "another sibling",
      "src/plugin/a.ts",
      "../transport/transport.ts",
      "plugin may import channel, diagnostic, log.ts, suggest.ts, units.ts, version.ts",
    ],
    [
      "config",
      "src/config/a.ts",
      "../plugin/load.ts",
      "config may import channel, diagnostic, log.ts, suggest.ts, units.ts, version.ts",
    ],
    [
      "server",
      "src/server/a.ts",
      "../cli/run.ts",
      "server may import channel, broker, transport, plugin, config, client, console, diagnostic, log.ts, suggest.ts, units.ts, version.ts",
    ],
    [
      "cli",
      "src/cli/a.ts",
      "../channel/channel.ts",
      "cli may import server, config, author, diagnostic, log.ts, suggest.ts, units.ts, version.ts",
    ],
    [
      "main",
      "src/main.ts",
      "./server/server.ts",
      "main.ts may import cli, log.ts, suggest.ts, units.ts, version.ts",
    ],
    ["a leaf", "src/log.ts", "./units.ts", "log.ts is a leaf: it imports nothing of ours"],
    [
      "a plugin to the house",
      "plugins/a.ts",
      "../src/channel/message.ts",
      `a plugin may import "tidewire", npm packages and what is built in`,
    ],
    [
      "a plugin to another",
      "plugins/a.ts",
      "./b.ts",
      `a plugin may import "tidewire", npm packages and what is built in`,
    ],
    [
      "a template to the house",
      "src/author/templates/a.ts",
      "../../channel/message.ts",
      `a plugin may import "tidewire", npm packages and what is built in`,
    ],
    [
      "the command line to a template",
      "src/cli/a.ts",
      "../author/templates/a.ts",
      "only src/author may import src/author/templates/",
    ],
    [
      "a plugin to what is for tests",
      "plugins/a.ts",
      "./testing.ts",
      `a plugin may import "tidewire", npm packages and what is built in`,
    ],
    [
      "the house to a plugin",
      "src/plugin/load.ts",
      "../../plugins/a.ts",
      "only src/plugin/shipped.ts may import plugins",
    ],
    [
      "the program to its tests",
      "src/broker/a.ts",
      "./contract.ts",
      "only tests may import what is for tests",
    ],
    ["the program to the build", "src/cli/a.ts", "../../build.ts", "it is outside of src"],
    ["a path of one machine", "src/cli/a.ts", "/opt/a.ts", "a path is relative"],
    [
      "a package for tests",
      "src/cli/a.ts",
      "fast-check",
      `"fast-check" is not in the dependencies of package.json`,
    ],
    [
      "a plugin to such a package",
      "plugins/a.ts",
      "@types/ws/x",
      `"@types/ws" is not in the dependencies of package.json`,
    ],
  ];

  test.each(wrong)("fails for %s", async (_, file, specifier, reason) => {
    const message = `${file}:2 imports "${specifier}": ${reason}`;
    for (const source of [
      `// a comment\nimport { a } from "${specifier}";`,
      `// a comment\nimport type { A } from "${specifier}";`,
      `// a comment\nexport { type A } from "${specifier}";`,
      `// a comment\nconst a = import("${specifier}");`,
    ]) {
      expect(await arrowsOf({ [file]: source })).toEqual([message]);
    }
  });

  test("fails for a folder that the house does not have, and tells of every mistake", async () => {
    const tree = {
      "src/util/a.ts": "export const a = 1;",
      "src/channel/a.ts": `import "../server/a.ts";\nimport "../cli/b.ts";`,
    };
    expect(await arrowsOf(tree)).toEqual([
      `src/channel/a.ts:1 imports "../server/a.ts": channel ${upward}`,
      `src/channel/a.ts:2 imports "../cli/b.ts": channel ${upward}`,
      `src/util/a.ts: "util" is no part of src; it has diagnostic, channel, broker, transport, plugin, config, client, console, server, author, cli, main.ts, log.ts, suggest.ts, units.ts, version.ts`,
    ]);
  });
});
