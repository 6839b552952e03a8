/** What a plugin's file does at its top level, tried in a thread of its own before it is loaded in this one. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { systemClock } from "../clock.ts";
import type { PluginLoadError } from "../errors.ts";
import { FakeClock, settled } from "../fake-clock.ts";
import { loadPlugin, type LoadGuard } from "../load.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tidewire-probe-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const counted = globalThis as { evaluated?: number };
const write = (top: string, name = "plugin.ts") =>
  writeFileSync(join(folder, name), `${top}\nexport default { name: "p", setup: () => ({}) };`);
const load = (clock = systemClock, guard: LoadGuard = { isProbed: true }) =>
  loadPlugin("./plugin.ts", folder, clock, guard);
const failure = (loading: Promise<unknown>) =>
  loading.then(
    () => expect.unreachable(),
    (error: PluginLoadError) => error,
  );

test.each([
  ["a loop", "for (;;);"],
  ["a regular expression", `/^a*a*a*a*a*b/.test("a".repeat(350));`],
  ["a loop after an await", "await 0; while (true);"],
  ["a file that it imports", `import "./loops.ts";`],
])(
  "a top level that does not end, for %s, is told, and the next version is loaded",
  async (_, top) => {
    write("for (;;);", "loops.ts");
    write(top);
    const clock = new FakeClock();
    const failed = failure(load(clock));
    while (clock.pending < 2) await settled();
    await clock.pass(5200);
    const file = join(folder, "plugin.ts");
    expect(await failed).toMatchObject({
      code: "load-timeout",
      message: `${file}: its top level does not end: it gave no sign of life for 5 s; an endless loop, or a call that blocks`,
      mistakes: [{ code: "load-timeout", file }],
    });
    write("");
    expect((await load()).plugin.name).toBe("p");
  },
);

test("a top level that awaits what never comes has as long as ever", async () => {
  write("await new Promise(() => {});");
  let isOver = false;
  // The worker's answers come in real time: each step waits for what has been posted.
  const limit = new FakeClock();
  const clock = {
    now: () => systemClock.now(),
    delay: (ms: number, signal: AbortSignal) =>
      (ms === 30_000 ? limit : systemClock).delay(ms, signal),
  };
  const failed = failure(load(clock)).finally(() => (isOver = true));
  while (limit.pending === 0) await settled();
  await limit.pass(29_999);
  expect(isOver).toBe(false);
  await limit.pass(1);
  expect((await failed).message).toContain("it was not loaded within 30 s; an await");
});

test("one that ends the process is told, and ends nothing", async () => {
  write("process.exit(0);");
  expect(await failure(load())).toMatchObject({
    code: "load-failed",
    message: `${join(folder, "plugin.ts")}: it ended the process when it was loaded (process.exit)`,
  });
});

test("one that throws is told with its place, as ever", async () => {
  write(`throw new RangeError("odd");`);
  expect(await failure(load())).toMatchObject({ code: "load-failed", place: { line: 1 } });
  write("const = 1;");
  expect(await failure(load())).toMatchObject({ code: "syntax" });
});

test("stray errors of a probe are nobody's", async () => {
  write(
    `if (!Bun.isMainThread) { void Promise.reject(new Error("nobody waits")); setTimeout(() => { throw new Error("stray"); }); await new Promise((resolve) => setTimeout(resolve, 20)); }`,
  );
  expect((await load()).plugin.name).toBe("p");
});

test("a file that is loaded in this version is not evaluated again, nor probed", async () => {
  const mark = `globalThis.evaluated = (globalThis.evaluated ?? 0) + 1;`;
  counted.evaluated = 0;
  write(mark);
  const { plugin } = await load();
  expect(counted.evaluated).toBe(1);
  const clock = new FakeClock();
  expect((await load(clock)).plugin).toBe(plugin);
  // The limit of the import alone: no worker was watched.
  expect(clock.asked).toEqual([30_000]);
  expect(counted.evaluated).toBe(1);
});

test("without a guard nothing is probed", async () => {
  write("if (!Bun.isMainThread) for (;;);");
  const clock = new FakeClock();
  expect((await load(clock, {})).plugin.name).toBe("p");
  expect(clock.asked).toEqual([30_000]);
});
