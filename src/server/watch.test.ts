/** Files that are watched, saved in the ways that editors save. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { FileWatch } from "./watch.ts";

let root: string;
let watching: FileWatch;
let calls = 0;
let wake = () => {};
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tidewire-watch-"));
  calls = 0;
  const onQuiet = () => {
    calls++;
    wake();
  };
  watching = new FileWatch({ root, onQuiet, quietMs: 20 });
});
afterEach(() => {
  watching.close();
  rmSync(root, { recursive: true, force: true });
});

const path = (name: string) => join(root, name);
const quiet = () => new Promise<void>((resolve) => (wake = resolve));

test("tells of a file that is written, replaced and removed", async () => {
  writeFileSync(path("a.ts"), "1");
  watching.watch([path("a.ts")]);
  const written = quiet();
  writeFileSync(path("a.ts"), "2");
  await written;
  const replaced = quiet();
  writeFileSync(path("a.ts~"), "3");
  renameSync(path("a.ts~"), path("a.ts"));
  await replaced;
  const removed = quiet();
  rmSync(path("a.ts"));
  await removed;
});

test("tells once of many writes", async () => {
  writeFileSync(path("a.ts"), "1");
  watching.watch([path("a.ts")]);
  const told = quiet();
  for (let i = 0; i < 50; i++) writeFileSync(path("a.ts"), String(i));
  await told;
  expect(calls).toBe(1);
});

test("tells of a file whose folders come later", async () => {
  watching.watch([path("lib/deep/a.ts")]);
  const folder = quiet();
  mkdirSync(path("lib"));
  await folder;
  watching.watch([path("lib/deep/a.ts")]);
  const file = quiet();
  mkdirSync(path("lib/deep"));
  writeFileSync(path("lib/deep/a.ts"), "1");
  await file;
});

test("goes on with a folder that was replaced", async () => {
  mkdirSync(path("lib"));
  writeFileSync(path("lib/a.ts"), "1");
  watching.watch([path("lib/a.ts")]);
  const replaced = quiet();
  renameSync(path("lib"), path("old"));
  mkdirSync(path("lib"));
  writeFileSync(path("lib/a.ts"), "2");
  await replaced;
  const written = quiet();
  writeFileSync(path("lib/a.ts"), "3");
  await written;
});

test("tells of nothing after close()", async () => {
  writeFileSync(path("a.ts"), "1");
  watching.watch([path("a.ts")]);
  watching.close();
  const other = new FileWatch({ root, onQuiet: () => wake(), quietMs: 60 });
  other.watch([path("a.ts")]);
  const told = quiet();
  writeFileSync(path("a.ts"), "2");
  await told;
  other.close();
  expect(calls).toBe(0);
});
