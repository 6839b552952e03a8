/** States in a file: over restarts, other configs, earlier versions, and the end of their channels. */
import { Database } from "bun:sqlite";
import { afterAll, afterEach, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log, Page, Retention } from "../channel/log.ts";
import { sealDraft, type SealedDraft } from "../channel/message.ts";
import { migrate, MIGRATIONS } from "./sqlite-schema.ts";
import { SqliteStates } from "./sqlite-states.ts";
import { SqliteBroker } from "./sqlite.ts";

const KEYED: Retention = { size: 3, ttlMs: 3_600_000, latestByKey: true };
const PLAIN: Retention = { ...KEYED, latestByKey: false };
const NO_LIMIT = { through: Infinity, count: Infinity, bytes: Infinity };
const DAY_MS = 86_400_000;

const folder = mkdtempSync(join(tmpdir(), "tidewire-states-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
let path: string;
let broker: SqliteBroker;
let nowMs = 1_000_000;
const brokers: SqliteBroker[] = [];
afterEach(async () => {
  for (const each of brokers.splice(0)) await each.close();
});

function make(): void {
  broker = new SqliteBroker({ path, durability: "normal", now: () => nowMs });
  brokers.push(broker);
}
function fresh(): void {
  path = join(folder, `${++files}.db`);
  make();
}
async function restart(): Promise<void> {
  await broker.close();
  make();
}

const open = (retention: Retention, channel = "prices") =>
  broker.open(channel, retention, () => {});
const put = (key: string, data: unknown): SealedDraft => sealDraft({ key, data }, 1e6);
async function state(log: Log): Promise<string[] | null> {
  const page = await log.readState(0, NO_LIMIT);
  return page && page.messages.map(({ offset, key, data }) => `${offset} ${key}=${data}`);
}
const offsets = ({ messages }: Page) => messages.map(({ offset }) => offset);
const rows = (table: string) =>
  broker.database.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()!.n;

test("a file of version 1 becomes one of this, and its history the state where that is asked for", async () => {
  path = join(folder, `${++files}.db`);
  const database = new Database(path);
  migrate(database, 0, MIGRATIONS.slice(0, 1));
  database.run("INSERT INTO channels VALUES (1, 'prices', 'old1', 4, 2, 900, 4, 3, 3600000)");
  for (const [offset, key, data] of [
    [2, "a", "1"],
    [3, "b", "2"],
    [4, "a", "3"],
  ] as const) {
    database.run("INSERT INTO messages VALUES (1, ?, 900, NULL, ?, 0, 1, ?, ?)", [
      ...[offset, key, offset - 1, data],
    ]);
  }
  expect(database.query("PRAGMA user_version").get()).toEqual({ user_version: 1 });
  database.close();
  make();
  const log = open(KEYED);
  expect([log.epoch, log.top]).toEqual(["old1", 4]);
  expect(await state(log)).toEqual(["3 b=2", "4 a=3"]);
  expect(offsets(await log.read(0, NO_LIMIT))).toEqual([2, 3, 4]);
  await log.append([put("b", null), put("c", 5)]);
  expect(await state(log)).toEqual(["4 a=3", "6 c=5"]);
});

test("channels that keep no state have no row of one", async () => {
  fresh();
  await open(PLAIN).append([put("a", 1)]);
  expect([rows("states"), rows("state_messages")]).toEqual([0, 0]);
});

test("a state outlives the server, whatever became of the history", async () => {
  fresh();
  await open(KEYED).append([put("a", 1), put("b", 2), put("b", null), put("c", 3)]);
  nowMs += 10 * 3_600_000;
  await restart();
  const log = open(KEYED);
  expect(await state(log)).toEqual(["1 a=1", "4 c=3"]);
  expect(log.stat()).toEqual({ count: 0, bytes: 0, state: { keys: 2, bytes: 2 } });
});

test("a state that was not followed is built anew of the history, and one that was turned off is gone", async () => {
  fresh();
  await open(KEYED).append([put("a", 1), put("b", 2)]);
  await restart();
  const off = open(PLAIN);
  expect([rows("states"), rows("state_messages")]).toEqual([0, 0]);
  await off.append([put("b", null), put("c", 3), put("d", 4)]);
  await restart();
  expect(await state(open(KEYED))).toEqual(["4 c=3", "5 d=4"]);
  // As it would be where letting go of it had failed.
  broker.database.run("UPDATE states SET through = through - 1");
  broker.database.run("INSERT INTO state_messages VALUES (1, 1, 900, NULL, 'stale', 0, 1, '0')");
  await restart();
  expect(await state(open(KEYED))).toEqual(["4 c=3", "5 d=4"]);
});

test("where the state can't be built nothing is published, and it goes on when it can", async () => {
  fresh();
  const log = open(PLAIN);
  await log.append([put("a", 1)]);
  const build = spyOn(SqliteStates.prototype, "build").mockImplementation(() => {
    throw new Error("the disk can't be read");
  });
  log.retain(KEYED);
  expect(() => log.readState(0, NO_LIMIT)).toThrow("can't read its history now");
  expect(async () => await log.append([put("b", 2)])).toThrow("can't keep messages now");
  build.mockRestore();
  await log.append([put("b", 2)]);
  expect(await state(log)).toEqual(["1 a=1", "2 b=2"]);
});

test("a transaction that fails leaves the state as it was", async () => {
  fresh();
  const log = open(KEYED);
  await log.append([put("a", 1)]);
  const save = spyOn(SqliteStates.prototype, "save").mockImplementation(() => {
    throw new Error("the disk is full");
  });
  expect(async () => await log.append([put("a", null), put("b", 2)])).toThrow(
    "can't keep messages",
  );
  save.mockRestore();
  expect(await state(log)).toEqual(["1 a=1"]);
  expect(log.stat().state).toEqual({ keys: 1, bytes: 1 });
  await log.append([put("c", 3)]);
  expect(await state(log)).toEqual(["1 a=1", "2 c=3"]);
});

test("a channel that nobody has open is forgotten after 30 days, unless it has keys", async () => {
  fresh();
  await open(KEYED, "kept").append([put("a", 1)]);
  await open(KEYED, "empty").append([put("a", 1), put("a", null)]);
  await restart();
  nowMs += 31 * DAY_MS;
  while (broker.sweep());
  const names = broker.database.query("SELECT name FROM channels").all();
  expect(names).toEqual([{ name: "kept" }]);
  expect([rows("messages"), rows("states"), rows("state_messages")]).toEqual([0, 1, 1]);
  expect(await state(open(KEYED, "kept"))).toEqual(["1 a=1"]);
});

test("a channel that begins anew, or is deleted by hand, takes its state with it", async () => {
  fresh();
  const log = open({ ...KEYED, size: 1000 });
  await log.append(Array.from({ length: 600 }, (_, n) => put(`k${n}`, n)));
  await open(KEYED, "other").append([put("a", 1)]);
  broker.database.run("DELETE FROM messages WHERE channel = 1");
  await restart();
  const anew = open({ ...KEYED, size: 1000 });
  expect(anew.epoch).not.toBe(log.epoch);
  expect(await state(anew)).toEqual([]);
  while (broker.sweep());
  expect([rows("channels"), rows("states"), rows("state_messages")]).toEqual([1, 1, 1]);
  broker.database.run("DELETE FROM channels");
  expect([rows("states"), rows("state_messages")]).toEqual([0, 0]);
});
