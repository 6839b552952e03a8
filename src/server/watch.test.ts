/** Files that are watched, saved in the ways that editors save. */
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
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { FileWatch } from "./watch.ts";

let root: string;
let watching: FileWatch;
let calls = 0;
let wake = () => {};
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "tidewire-watch-")));
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

test("tells of a file that a link leads to, and of a link that leads elsewhere", async () => {
  const other = realpathSync(mkdtempSync(join(tmpdir(), "tidewire-linked-")));
  mkdirSync(join(other, "v1"));
  mkdirSync(join(other, "v2"));
  for (const version of ["v1", "v2"]) writeFileSync(join(other, version, "a.ts"), version);
  symlinkSync("v1", join(other, "now"));
  symlinkSync(join(other, "now/a.ts"), path("a.ts"));
  watching.watch([path("a.ts")]);
  const written = quiet();
  writeFileSync(join(other, "v1/a.ts"), "1");
  await written;
  // As Kubernetes replaces the files of a ConfigMap.
  const swapped = quiet();
  symlinkSync("v2", join(other, "next"));
  renameSync(join(other, "next"), join(other, "now"));
  await swapped;
  watching.watch([path("a.ts")]);
  const again = quiet();
  writeFileSync(join(other, "v2/a.ts"), "2");
  await again;
  rmSync(other, { recursive: true });
});

test("a link that leads to itself is a file that is not there", async () => {
  symlinkSync("a.ts", path("a.ts"));
  watching.watch([path("a.ts")]);
  const told = quiet();
  rmSync(path("a.ts"));
  await told;
});

test("tells of a change though something writes beside it all the while", async () => {
  writeFileSync(path("a.ts"), "1");
  watching.watch([path("a.ts"), path("data.json")]);
  const told = quiet();
  let count = 0;
  const writer = setInterval(() => writeFileSync(path("data.json"), String(count++)), 2);
  await told;
  clearInterval(writer);
});

test("a database or a log beside a file is not looked at", async () => {
  writeFileSync(path("tidewire.yaml"), "1");
  watching.watch([path("tidewire.yaml")]);
  for (const name of ["tidewire.db", "tidewire.db-wal", "access.log"])
    writeFileSync(path(name), "1");
  const other = new FileWatch({ root, onQuiet: () => wake(), quietMs: 60 });
  other.watch([path("tidewire.db"), path("last.db")]);
  const told = quiet();
  writeFileSync(path("last.db"), "1");
  await told;
  other.close();
  expect(calls).toBe(0);
});

test("tells once of folders that the system does not watch", () => {
  mkdirSync(path("lib"));
  const told: string[] = [];
  const refuse = () => {
    throw Object.assign(new Error("no space left on device, watch"), { code: "ENOSPC" });
  };
  const full = new FileWatch({
    root,
    onQuiet: () => {},
    onUnwatched: (folders, error) => void told.push(`${folders.join()}: ${error.message}`),
    watchFolder: refuse as never,
  });
  full.watch([path("a.ts"), path("gone/b.ts"), path("lib/c.ts")]);
  full.watch([path("a.ts")]);
  expect(told).toEqual([`${root},${path("lib")}: no space left on device, watch`]);
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
