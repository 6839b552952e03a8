/** `tidewire plugin test`: the executable alone runs an author's tests. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { executable, Folder, tidewire, WrittenLog } from "./executable.ts";

const ROUND = `import { definePlugin, t } from "tidewire";

export default definePlugin({
  name: "round",
  options: t.Object({ decimals: t.Integer({ minimum: 0, maximum: 10, default: 2 }) }),
  setup({ options }) {
    const scale = 10 ** options.decimals;
    return {
      transform(draft) {
        if (typeof draft.data !== "number") throw new TypeError("not a number");
        return { ...draft, data: Math.round(draft.data * scale) / scale };
      },
    };
  },
});
`;
const HEAD = `import { expect, test } from "bun:test";
import { start, startChannel, use } from "tidewire/testing";
import round from "./round.ts";

`;
const RIGHT = `${HEAD}test("rounds to one decimal", async () => {
  await using plugin = await start(round, { options: { decimals: 1 } });
  expect(await plugin.feed({ data: 1.26 })).toEqual([{ data: 1.3 }]);
});

test("works by its path, and with plugins that ship", async () => {
  await using plugin = await startChannel([
    use("filter", { where: "data > 1" }),
    use("./plugins/round.ts"),
  ]);
  expect(await plugin.feed([{ data: 0.5 }, { data: 1.256 }])).toEqual([{ data: 1.26 }]);
});

test("has a clock of its own", async () => {
  await using plugin = await start("clock", { options: { every: "1h" } });
  expect(await plugin.take(1)).toEqual([{ data: "01:00:00" }]);
});
`;

test("tests that pass end with 0, and leave nothing behind", async () => {
  using folder = new Folder({ "plugins/round.ts": ROUND, "plugins/round.test.ts": RIGHT });
  const { code, stderr } = await tidewire(folder, ["plugin", "test"], { TMPDIR: folder.path });
  expect(stderr).toContain(" 3 pass");
  expect(code).toBe(0);
  const left = await Array.fromAsync(new Bun.Glob("**").scan({ cwd: folder.path, dot: true }));
  expect(left.sort()).toEqual(["plugins/round.test.ts", "plugins/round.ts"]);
}, 60_000);

test("a failing test ends with 1, and shows the author's own lines", async () => {
  const wrong = `${HEAD}test("rounds up", async () => {
  await using plugin = await start(round);
  expect(await plugin.feed({ data: 1.261 })).toEqual([{ data: 1.27 }]);
});

test("takes text", async () => {
  await using plugin = await start(round);
  await plugin.feed({ data: "1.26" });
});

test("takes many digits", async () => {
  await start(round, { options: { decimals: 11 } });
});

test("has a source", async () => {
  await using plugin = await start(round);
  await plugin.take(1);
});
`;
  using folder = new Folder({ "plugins/round.ts": ROUND, "plugins/round.test.ts": wrong });
  const { code, stderr } = await tidewire(folder, ["plugin", "test", "plugins"]);
  expect(code).toBe(1);
  expect(stderr).toContain(" 4 fail");
  // The expectation that does not hold.
  expect(stderr).toMatch(/plugins\/round\.test\.ts:7:\d+/);
  expect(stderr).toContain("7 |   expect(await plugin.feed({ data: 1.261 }))");
  // The line of the plugin that threw.
  expect(stderr).toMatch(/plugins\/round\.ts:10:\d+/);
  expect(stderr).toContain('plugin "round", transform, channel "test": not a number');
  // The option, as the config would show it, and who gave it.
  expect(stderr).toContain("11 is too much: at most 10");
  expect(stderr).toMatch(/plugins\/round\.test\.ts:16:\d+/);
  expect(stderr).toContain("round has no source");
  expect(stderr).toMatch(/plugins\/round\.test\.ts:21:\d+/);
  // Nothing of the harness itself.
  expect(stderr.match(/^\s+at (?:async )?(?:start|take|fromCaller)\b.*$/m)).toBeNull();
}, 60_000);

test("what a hook does wrong is shown at the author's lines, never at those of the harness", async () => {
  const careless = `import { expect, test } from "bun:test";
import { definePlugin } from "tidewire";
import { start } from "tidewire/testing";

const mute = definePlugin({
  name: "mute",
  setup: () => ({ transform(draft) { ({ ...draft }); } }) as never,
});
const empty = definePlugin({ name: "empty", setup: (() => {}) as never });
const wrong = definePlugin({
  name: "wrong",
  setup: () => ({ transform(draft) { return draft.data.deep.value; }, close() { throw "late"; } }) as never,
});
const lost = definePlugin({
  name: "lost",
  setup: () => ({ transform: async () => ({ data: await (await fetch("http://127.0.0.1:1/")).text() }) }),
});
test("returns nothing", async () => {
  const plugin = await start(mute);
  await plugin.feed({ data: 1 });
});
test("has no hooks", async () => void (await start(empty)));
test("throws", async () => void (await (await start(wrong)).feed({ data: 1 })));
test("fetches in vain", async () => void (await (await start(lost)).feed({ data: 1 })));
`;
  using folder = new Folder({ "careless.test.ts": careless });
  const { code, stderr } = await tidewire(folder, ["plugin", "test"]);
  expect(code).toBe(1);
  expect(stderr).toContain(" 4 fail");
  expect(stderr).toContain("20 |   await plugin.feed({ data: 1 });");
  expect(stderr).toMatch(/transform returned nothing; .*did you forget "return"\?$/m);
  expect(stderr).toMatch(/setup returned nothing; .*did you forget "return"\?$/m);
  // The line of the plugin that threw, and of the test that called it.
  expect(stderr).toMatch(
    /at transform \(.*careless\.test\.ts:12:\d+\)\n\s+at .*careless\.test\.ts:23:\d+/,
  );
  expect(stderr).toMatch(/plugin "lost", transform, channel "test": .*Unable to connect/);
  expect(stderr).not.toContain("tidewire-testing.js");
  const lines = stderr.split("\n").map((line) => line.length);
  expect(Math.max(...lines)).toBeLessThan(300);
}, 60_000);

test("reads no .env and no bunfig.toml, as the server does not", async () => {
  const reads = `import { expect, test } from "bun:test";
test("reads", () => expect([process.env.SECRET, globalThis.touched]).toEqual([undefined, undefined]));
`;
  using folder = new Folder({
    "reads.test.ts": reads,
    ".env": "SECRET=1",
    ".env.test": "SECRET=2",
    "bunfig.toml": `preload = ["./touch.ts"]\n[test]\npreload = ["./touch.ts"]\ncoverage = true\n`,
    "touch.ts": "globalThis.touched = true;",
  });
  const { code, stderr } = await tidewire(folder, ["plugin", "test"]);
  expect(stderr).toContain(" 1 pass");
  expect(stderr).not.toContain("All files");
  expect(code).toBe(0);
}, 60_000);

test("runs those of the whole project from any folder within it; a path is one from there", async () => {
  using folder = new Folder({
    "tidewire.yaml": "channels: {}\n",
    "plugins/round.ts": ROUND,
    "plugins/round.test.ts": RIGHT,
    "plugins/deep/deep.test.ts": `import { test } from "bun:test";\ntest("deep", () => {});\n`,
  });
  const deep = { path: join(folder.path, "plugins/deep") } as Folder;
  const all = await tidewire(deep, ["plugin", "test"]);
  expect(all.stderr).toContain(" 4 pass");
  expect(all.code).toBe(0);
  const here = await tidewire(deep, ["plugin", "test", "."]);
  expect(here.stderr).toContain(" 1 pass");
  const other = await tidewire(deep, ["plugin", "test", "../round.test.ts"]);
  expect(other.stderr).toContain(" 3 pass");
}, 60_000);

test("-t runs the tests with that name, and a path that file", async () => {
  const other = `import { test } from "bun:test";\ntest("never", () => { throw new Error("it ran"); });\n`;
  using folder = new Folder({
    "plugins/round.ts": ROUND,
    "plugins/round.test.ts": RIGHT,
    "plugins/other.test.ts": other,
  });
  const args = ["plugin", "test", "plugins/round.test.ts", "-t", "decimal"];
  const { code, stderr } = await tidewire(folder, args);
  expect(stderr).toContain(" 1 pass");
  expect(stderr).not.toContain("other.test.ts");
  expect(code).toBe(0);
}, 60_000);

test("what a test forgets is ended, and what its close throws fails it", async () => {
  const forgets = `import { expect, test } from "bun:test";
import { definePlugin } from "tidewire";
import { start } from "tidewire/testing";

const leaky = definePlugin({
  name: "leaky",
  setup: () => ({ close() { throw new Error("could not flush"); } }),
});
test("forgets", async () => void (await start(leaky)));
test("hangs", async () => {
  await start("clock");
  await new Promise(() => {});
}, 100);
test("has real time again", async () => {
  const startMs = Date.now();
  await Bun.sleep(2);
  expect(Date.now()).toBeGreaterThan(startMs);
});
`;
  using folder = new Folder({ "leaky.test.ts": forgets });
  const { code, stderr } = await tidewire(folder, ["plugin", "test"]);
  expect(stderr).toContain('plugin "leaky", close, channel "test": could not flush');
  expect(stderr).toContain("this test timed out after 100ms");
  // Where time were still held, the last one would hang.
  expect(stderr).toContain("(pass) has real time again");
  expect(stderr).toContain(" 2 fail");
  expect(code).toBe(1);
}, 60_000);

test("--watch runs them again when the plugin is changed, and ends when it is told to", async () => {
  const round = `${HEAD}test("rounds", async () => {
  await using plugin = await start(round);
  expect(await plugin.feed({ data: 1.256 })).toEqual([{ data: 1.26 }]);
});
`;
  using folder = new Folder({ "plugins/round.ts": ROUND, "plugins/round.test.ts": round });
  const child = Bun.spawn([await executable(), "plugin", "test", "--watch"], {
    cwd: folder.path,
    env: { PATH: folder.path, HOME: folder.path, TMPDIR: folder.path },
    stdout: "ignore",
    stderr: "pipe",
  });
  const written = new WrittenLog(child.stderr);
  await written.line((line) => line.startsWith(" 1 pass"));
  folder.write("plugins/round.ts", ROUND.replace("Math.round", "Math.floor"));
  await written.line((line) => line.startsWith(" 1 fail"));
  expect(written.lines.join("\n")).toContain("1.25");
  child.kill("SIGTERM");
  await child.exited;
  const left = await Array.fromAsync(new Bun.Glob("**").scan({ cwd: folder.path, dot: true }));
  expect(left.sort()).toEqual(["plugins/round.test.ts", "plugins/round.ts"]);
}, 60_000);

test("says so when there is no test, or no such file", async () => {
  using folder = new Folder({ "plugins/round.ts": ROUND });
  const none = await tidewire(folder, ["plugin", "test"]);
  expect(none.code).toBe(1);
  expect(none.stderr).toStartWith("tidewire: no tests in ");
  const missing = await tidewire(folder, ["plugin", "test", "plugins/rond.test.ts"]);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("there is no file or folder ");
}, 60_000);
