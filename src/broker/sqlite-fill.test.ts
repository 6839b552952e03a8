/** What is read from the disk when many come back to a server that was started anew. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sealDraft } from "../channel/message.ts";
import { SqliteBroker } from "./sqlite.ts";
import { SqliteTables } from "./sqlite-tables.ts";

const COUNT = 4000;
const RETENTION = { size: 10_000, ttlMs: Infinity };
const { messages: read } = SqliteTables.prototype;
let folder: string;
let broker: SqliteBroker;
/** Rows that were read. */
let rows = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidewire-fill-"));
  SqliteTables.prototype.messages = function* (this: SqliteTables, ...args) {
    for (const message of read.apply(this, args)) {
      rows++;
      yield message;
    }
  };
});
afterEach(async () => {
  SqliteTables.prototype.messages = read;
  await broker.close();
  rmSync(folder, { recursive: true });
});

const open = () => new SqliteBroker({ path: join(folder, "t.db"), durability: "normal" });

/** Channels with history on the disk, of which nothing is in memory. */
async function restarted(channels: number) {
  broker = open();
  const names = Array.from({ length: channels }, (_, i) => `c${i}`);
  const drafts = Array.from({ length: COUNT }, () => sealDraft({ data: "x" }, 100));
  await Promise.all(names.map((name) => broker.open(name, RETENTION, () => {}).append(drafts)));
  await broker.close();
  broker = open();
  rows = 0;
  return names.map((name) => broker.open(name, RETENTION, () => {}));
}

test("SqliteLog reads what many have missed from the disk once", async () => {
  const [log] = await restarted(1);
  for (let client = 0; client < 10; client++) {
    for (let after = 0; after < COUNT; after += 128) {
      await log!.read(after, { through: COUNT, count: 128, bytes: 1e6 });
    }
  }
  expect(rows).toBe(COUNT);
});

test("SqliteLog drives what others have missed out of memory for no more than a few messages", async () => {
  // 50 times 4,000, each with what it takes beside its data: half again as much as there is room for.
  const logs = await restarted(50);
  for (let after = 0; after < COUNT; after += 128) {
    for (const log of logs) await log.read(after, { through: COUNT, count: 128, bytes: 1e6 });
  }
  expect(rows).toBeLessThan(1.5 * 50 * COUNT);
});
