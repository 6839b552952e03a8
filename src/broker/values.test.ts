import { Database } from "bun:sqlite";
import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryValues } from "./memory-values.ts";
import { SqliteValues } from "./sqlite-values.ts";
import { testValues } from "./values-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "tidewire-values-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

testValues("memory", (now, maxBytes) => new MemoryValues(now, { maxBytes }));
testValues(
  "a file",
  (now, maxBytes) =>
    new SqliteValues({ path: join(folder, `${++count}`, "store.db") }, { now, maxBytes }),
);
testValues("another's database", (now, maxBytes) => {
  const database = new Database(":memory:");
  return new SqliteValues({ database, name: "the broker's" }, { now, maxBytes });
});
