import { afterAll, afterEach, describe, expect, spyOn, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChannelError } from "../channel/errors.ts";
import type { Log, Retention } from "../channel/log.ts";
import { sealDraft, type Message } from "../channel/message.ts";
import { SqliteBroker, type SqliteBrokerOptions } from "./sqlite.ts";
import { SqliteTables } from "./sqlite-tables.ts";
import { SqliteValues } from "./sqlite-values.ts";

const folder = mkdtempSync(join(tmpdir(), "tidewire-sqlite-"));
const brokers = new Set<SqliteBroker>();
afterEach(async () => {
  for (const broker of brokers) await broker.close();
  brokers.clear();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const KEEP: Retention = { size: 100_000, ttlMs: 3_600_000 };
const ALL = { through: Infinity, count: Infinity, bytes: Infinity };
let count = 0;
let nowMs = 1_000_000;

const newPath = () => join(folder, `${++count}.db`);
const texts = (...all: string[]) => all.map((data) => sealDraft({ data }, 1e7));

function start(path: string, options: Partial<SqliteBrokerOptions> = {}): SqliteBroker {
  const broker = new SqliteBroker({ path, durability: "full", now: () => nowMs, ...options });
  brokers.add(broker);
  return broker;
}

function open(broker: SqliteBroker, channel = "prices", retention: Partial<Retention> = {}) {
  const commits: (readonly Message[])[] = [];
  const log = broker.open(channel, { ...KEEP, ...retention }, (batch) => void commits.push(batch));
  return { log, commits };
}

async function textsOf(log: Log): Promise<string[]> {
  return (await log.read(0, ALL)).messages.map(({ text }) => text);
}

async function refusal(promise: unknown): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}

/** What a log says, a line each. */
function recorder() {
  const lines: string[] = [];
  const say = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  return { lines, error: say("error"), warn: say("warn"), info: say("info") };
}

/** Changes the file by hand, while no server has it open. */
function byHand(path: string, ...statements: string[]): void {
  const database = new Database(path);
  for (const statement of statements) database.run(statement);
  database.close();
}

describe("SqliteBroker, started again on its file,", () => {
  test("goes on with epoch, offsets, times and messages", async () => {
    const path = newPath();
    const before = start(path);
    const { log } = open(before);
    await log.append(texts("a", "b"));
    const { epoch } = log;
    const { messages } = await log.read(0, ALL);
    await before.close();
    nowMs -= 5000;
    const again = open(start(path)).log;
    nowMs += 5000;
    expect([again.epoch, again.top]).toEqual([epoch, 2]);
    expect((await again.read(0, ALL)).messages.map(({ id, time }) => [id, time])).toEqual(
      messages.map(({ id, time }) => [id, time]),
    );
    const [third] = await again.append(texts("c"));
    expect([third!.id, third!.time]).toEqual([`${epoch}-3`, nowMs]);
    expect(again.stat()).toEqual({ count: 3, bytes: 3 });
  });

  test("goes on with the epoch of a channel that nothing was published to", async () => {
    const path = newPath();
    const before = start(path);
    const { epoch } = open(before).log;
    await before.close();
    expect(open(start(path)).log.epoch).toBe(epoch);
  });

  test("finds what was acknowledged though it was not closed", async () => {
    const path = newPath();
    const script = `
      import { SqliteBroker } from ${JSON.stringify(import.meta.resolve("./sqlite.ts"))};
      import { sealDraft } from ${JSON.stringify(import.meta.resolve("../channel/message.ts"))};
      const broker = new SqliteBroker({ path: ${JSON.stringify(path)}, durability: "normal" });
      const log = broker.open("prices", { size: 10, ttlMs: 1e9 }, () => {});
      await log.append([sealDraft({ data: "kept" }, 100)]);
      process.kill(process.pid, "SIGKILL");
    `;
    const child = Bun.spawn([process.execPath, "-e", script]);
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    expect(await textsOf(open(start(path, { now: Date.now })).log)).toEqual(["kept"]);
  });

  test("keeps by a retention that has become another one", async () => {
    const path = newPath();
    const before = start(path);
    await open(before).log.append(texts("a", "b", "c"));
    await before.close();
    expect(await textsOf(open(start(path), "prices", { size: 2 }).log)).toEqual(["b", "c"]);
  });

  test("keeps the history of a channel that was closed meanwhile", async () => {
    const broker = start(newPath());
    const { log } = open(broker, "chat/a");
    await log.append(texts("a"));
    log.close();
    const again = open(broker, "chat/a").log;
    expect([again.epoch, again.top]).toEqual([log.epoch, 1]);
    expect(await textsOf(again)).toEqual(["a"]);
  });
});

describe("a commit of SqliteBroker", () => {
  test("is one transaction for all that a turn publishes on any channel", async () => {
    const broker = start(newPath());
    const logs = ["a", "b", "c"].map((name) => open(broker, name).log);
    const run = spyOn(broker.database, "run");
    await Promise.all(logs.flatMap((log) => [log.append(texts("1")), log.append(texts("2", "3"))]));
    expect(run.mock.calls.filter(([sql]) => sql === "COMMIT")).toHaveLength(1);
    expect(logs.map(({ top }) => top)).toEqual([3, 3, 3]);
  });

  test("is told of and acknowledged after the transaction, not before", async () => {
    const broker = start(newPath());
    const { log, commits } = open(broker);
    const events: string[] = [];
    const run = broker.database.run.bind(broker.database);
    spyOn(broker.database, "run").mockImplementation((sql, ...rest: []) => {
      if (sql === "COMMIT") events.push(`commit, ${commits.length} told, top ${log.top}`);
      return run(sql, ...rest);
    });
    const append = Promise.resolve(log.append(texts("a"))).then(() => {
      events.push(`acknowledged, ${commits.length} told, top ${log.top}`);
    });
    expect([commits.length, log.top]).toEqual([0, 0]);
    await append;
    expect(events).toEqual(["commit, 0 told, top 0", "acknowledged, 1 told, top 1"]);
  });

  test("writes nothing of what the same turn pushes out again", async () => {
    const broker = start(newPath());
    const { log, commits } = open(broker, "prices", { size: 10 });
    await log.append(texts(...Array.from({ length: 500 }, (_, i) => `${i}`)));
    expect(commits.flat()).toHaveLength(500);
    const rows = broker.database.query("SELECT count(*) AS n FROM messages").get();
    expect(rows).toEqual({ n: 10 });
    expect((await log.read(0, ALL)).first).toBe(491);
  });

  test("that is under way when the broker is closed is made", async () => {
    const path = newPath();
    const broker = start(path);
    const append = open(broker).log.append(texts("a"));
    await broker.close();
    expect((await append)[0]!.offset).toBe(1);
    expect(await textsOf(open(start(path)).log)).toEqual(["a"]);
  });
});

describe("a full disk", () => {
  async function fill() {
    const log = recorder();
    const broker = start(newPath(), { log });
    const small = open(broker, "small");
    const big = open(broker, "big");
    await small.log.append(texts("before"));
    const pages = (change: number) => {
      const { page_count } = broker.database
        .query<{ page_count: number }, []>("PRAGMA page_count")
        .get()!;
      broker.database.run(`PRAGMA max_page_count = ${page_count + change}`);
    };
    return { broker, small, big, pages, lines: log.lines };
  }

  test("refuses publishes, keeps nothing of them, and gives what is there", async () => {
    const { small, big, pages } = await fill();
    pages(0);
    const error = await refusal(big.log.append(texts("x".repeat(100_000))));
    expect(error).toBeInstanceOf(ChannelError);
    expect(error).toMatchObject({ code: "storage" });
    // What a publisher is told says nothing of the machine's files.
    expect((error as Error).message).not.toContain(folder);
    expect([big.log.top, big.commits.length]).toEqual([0, 0]);
    expect(await textsOf(small.log)).toEqual(["before"]);
    expect(big.log.stat()).toEqual({ count: 0, bytes: 0 });
  });

  test("refuses no other channel what still fits", async () => {
    const { small, big, pages } = await fill();
    pages(0);
    const [other, refused] = await Promise.allSettled([
      small.log.append(texts("fits")),
      big.log.append(texts("x".repeat(100_000))),
    ]);
    expect([other.status, refused.status]).toEqual(["fulfilled", "rejected"]);
    expect(await textsOf(small.log)).toEqual(["before", "fits"]);
  });

  test("is over when there is room: the next publish goes on with the next offset", async () => {
    const { big, pages } = await fill();
    pages(0);
    await refusal(big.log.append(texts("x".repeat(100_000))));
    pages(1000);
    expect((await big.log.append(texts("y".repeat(100_000))))[0]!.offset).toBe(1);
  });

  test("is told to the log once, and that it is over", async () => {
    const { big, pages, lines } = await fill();
    pages(0);
    for (let i = 0; i < 50; i++) await refusal(big.log.append(texts("x".repeat(100_000))));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("is full (SQLITE_FULL: database or disk is full): make room");
    pages(1000);
    await big.log.append(texts("y"));
    expect(lines.slice(1)).toEqual(["info: storage works again"]);
  });
});

describe("SqliteBroker refuses to start", () => {
  const refused = (path: string) => {
    try {
      start(path);
    } catch (error) {
      return error as Error;
    }
    throw new Error("it started");
  };

  test("where the folder does not exist", () => {
    const path = join(folder, "nowhere", "tidewire.db");
    expect(refused(path).message).toBe(
      `the folder ${folder}/nowhere of the broker's file ${path} does not exist: make it, or name another file with "path:" of "broker:" in the config`,
    );
  });

  test("where the path is a folder", () => {
    const path = newPath();
    mkdirSync(path);
    expect(refused(path).message).toStartWith(`the broker's file ${path} can't be opened`);
  });

  test("on a file that is no database", () => {
    const path = newPath();
    writeFileSync(path, "These are notes, and no database at all.\n".repeat(100));
    expect(refused(path).message).toContain("is no readable database (SQLITE_NOTADB");
  });

  test("on a file of a newer version, and leaves it as it is", async () => {
    const path = newPath();
    await start(path).close();
    byHand(path, "PRAGMA user_version = 99");
    expect(refused(path).message).toContain(
      "was written by a newer Tidewire (its schema is 99, this version knows ",
    );
    const database = new Database(path);
    expect(database.query("PRAGMA user_version").get()).toEqual({ user_version: 99 });
    database.close();
  });

  test("on the database of another program, and leaves it as it is", () => {
    const path = newPath();
    byHand(path, "CREATE TABLE customers (name TEXT)");
    expect(refused(path).message).toContain("is the database of another program");
    const database = new Database(path, { readonly: true });
    expect(database.query("PRAGMA journal_mode").get()).toEqual({ journal_mode: "delete" });
    database.close();
  });

  test("while another process has the file", async () => {
    const path = newPath();
    await start(path).close();
    const script = `
      import { SqliteBroker } from ${JSON.stringify(import.meta.resolve("./sqlite.ts"))};
      new SqliteBroker({ path: ${JSON.stringify(path)}, durability: "normal" });
      console.log("open");
      setInterval(() => {}, 1000);
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    await child.stdout.getReader().read();
    expect(refused(path).message).toContain("is in use by another process (SQLITE_BUSY");
    child.kill("SIGKILL");
    await child.exited;
    start(path);
  });

  test.skipIf(process.getuid?.() !== 0)("on a file that its user may not write", async () => {
    const path = newPath();
    await start(path).close();
    const script = `
      import { SqliteBroker } from ${JSON.stringify(import.meta.resolve("./sqlite.ts"))};
      process.seteuid(65534);
      try { new SqliteBroker({ path: ${JSON.stringify(path)}, durability: "full" }); }
      catch (error) { console.log(error.message); }
    `;
    Bun.spawnSync(["chmod", "755", folder]);
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const said = await new Response(child.stdout).text();
    expect(said).toMatch(
      /^the broker's file \S+ can't be written \(EACCES: .*\): the server's user needs to/,
    );
  });
});

test("a file that is removed while the server runs refuses publishes: they would be gone with it", async () => {
  const path = newPath();
  const log = recorder();
  const broker = start(path, { log });
  const prices = open(broker);
  await prices.log.append(texts("a"));
  renameSync(path, `${path}.away`);
  expect(await refusal(prices.log.append(texts("b")))).toMatchObject({ code: "storage" });
  expect(log.lines[0]).toContain("was removed or replaced while the server runs");
  expect(await textsOf(prices.log)).toEqual(["a"]);
  renameSync(`${path}.away`, path);
  expect((await prices.log.append(texts("c")))[0]!.offset).toBe(2);
});

describe("a channel whose messages were deleted by hand", () => {
  async function prepared(...statements: string[]) {
    const path = newPath();
    const before = start(path);
    const { log } = open(before);
    await log.append(texts("a", "b", "c", "d", "e"));
    await before.close();
    byHand(path, ...statements);
    const { lines, ...rest } = recorder();
    return { epoch: log.epoch, after: open(start(path, { log: rest })).log, lines };
  }

  test.each([
    ["the newest", "DELETE FROM messages WHERE offset > 3"],
    ["the oldest", "DELETE FROM messages WHERE offset < 3"],
    ["all", "DELETE FROM messages"],
    ["its row", "DELETE FROM channels"],
  ])("(%s) starts a new epoch", async (_, statement) => {
    const { epoch, after } = await prepared(statement);
    expect(after.epoch).not.toBe(epoch);
    expect(after.top).toBe(0);
    expect(await after.read(0, ALL)).toEqual({ messages: [], first: 1 });
    expect((await after.append(texts("anew")))[0]!.offset).toBe(1);
    expect(await textsOf(after)).toEqual(["anew"]);
  });

  test("(some in the middle) gives those after the hole alone, and says so", async () => {
    const { epoch, after, lines } = await prepared("DELETE FROM messages WHERE offset = 3");
    expect(after.epoch).toBe(epoch);
    const { messages, first } = await after.read(1, ALL);
    expect([messages.map(({ text }) => text), first]).toEqual([["d", "e"], 4]);
    expect(lines.join()).toContain('messages of channel "prices" are missing from offset 3 on');
  });

  test("never comes back to an epoch that it had", async () => {
    const path = newPath();
    const epochs = new Set<string>();
    for (let life = 0; life < 3; life++) {
      const broker = start(path);
      const { log } = open(broker);
      epochs.add(log.epoch);
      await log.append(texts("a"));
      await broker.close();
      byHand(path, life === 1 ? "DELETE FROM messages" : "DELETE FROM channels");
    }
    expect(epochs.size).toBe(3);
  });
});

describe("after a power cut", () => {
  async function cut(durability: "full" | "normal", boot: string) {
    const path = newPath();
    const before = start(path, { durability, boot: "first" });
    const { log } = open(before);
    await log.append(texts("a"));
    const copy = newPath();
    // What lies on the disk while the server runs, as a machine that went down leaves it.
    for (const end of ["", "-wal"]) await Bun.write(copy + end, Bun.file(path + end));
    const lines = recorder();
    const after = open(start(copy, { durability, boot, log: lines })).log;
    return { isSame: after.epoch === log.epoch, texts: await textsOf(after), lines: lines.lines };
  }

  test("with durability normal every channel starts a new epoch, and keeps its messages", async () => {
    const { isSame, texts, lines } = await cut("normal", "second");
    expect([isSame, texts]).toEqual([false, ["a"]]);
    expect(lines.join()).toContain("all channels start a new epoch");
  });

  test("with durability full nothing can be lost, and all go on", async () => {
    expect((await cut("full", "second")).isSame).toBe(true);
  });

  test("the end of the process alone is none", async () => {
    expect((await cut("normal", "first")).isSame).toBe(true);
  });
});

test("a file of an earlier version is brought to this one, with what is in it", async () => {
  const path = newPath();
  const { MIGRATIONS } = await import("./sqlite-schema.ts");
  const before = start(path);
  await open(before).log.append(texts("a"));
  await before.close();
  const later = [
    ...MIGRATIONS,
    (database: Database) => void database.run("CREATE TABLE added (x)"),
  ];
  const after = start(path, { migrations: later });
  expect(await textsOf(open(after).log)).toEqual(["a"]);
  expect(after.database.query("PRAGMA user_version").get()).toEqual({
    user_version: later.length,
  });
  await after.close();
  expect(() => start(path)).toThrow("was written by a newer Tidewire");
  const failing = [...later, () => raise(new Error("half-way"))];
  expect(() => start(path, { migrations: failing })).toThrow("half-way");
  // Nothing of a migration that failed is kept.
  expect(await textsOf(open(start(path, { migrations: later })).log)).toEqual(["a"]);
});

function raise(error: Error): never {
  throw error;
}

describe("what is no longer kept", () => {
  const rows = (broker: SqliteBroker) =>
    broker.database.query<{ n: number }, []>("SELECT count(*) AS n FROM messages").get()!.n;
  const sweepAll = (broker: SqliteBroker) => {
    let slices = 1;
    for (; broker.sweep(); slices++) if (slices > 10_000) throw new Error("it has no end");
    return slices;
  };
  const numbers = (from: number, to: number) =>
    texts(...Array.from({ length: to - from }, (_, i) => `${from + i}`.padEnd(200)));

  test("is deleted with what comes, so that the tables stay as large as the history", async () => {
    const broker = start(newPath());
    const { log } = open(broker, "prices", { size: 100 });
    for (let i = 0; i < 100; i++) await log.append(numbers(i * 50, i * 50 + 50));
    expect(rows(broker)).toBeLessThanOrEqual(100 + 256 + 50);
  });

  test("is deleted in slices of 500, and the file gets smaller", async () => {
    const path = newPath();
    const broker = start(path);
    const { log } = open(broker, "prices", { ttlMs: 1000 });
    await log.append(numbers(0, 20_000));
    await broker.close();
    const before = statSync(path).size;
    const again = start(path);
    const after = open(again, "prices", { ttlMs: 1000 }).log;
    nowMs += 1000;
    expect(await textsOf(after)).toEqual([]);
    const left: number[] = [rows(again)];
    for (let more = true; more && left.length < 60; left.push(rows(again))) more = again.sweep();
    const steps = left.slice(1).map((each, i) => left[i]! - each);
    expect(Math.max(...steps)).toBeLessThanOrEqual(500);
    sweepAll(again);
    expect(rows(again)).toBe(0);
    expect((await after.append(texts("next")))[0]!.offset).toBe(20_001);
    await again.close();
    // 256 free pages of 4 KiB are left for what comes next.
    expect(statSync(path).size).toBeLessThan(before / 3);
  });

  test("is deleted in channels that nobody has open, too", async () => {
    const broker = start(newPath());
    const { log } = open(broker, "chat/a", { ttlMs: 1000 });
    await log.append(texts("a"));
    log.close();
    nowMs += 1000;
    sweepAll(broker);
    expect(rows(broker)).toBe(0);
    const again = open(broker, "chat/a").log;
    expect([again.epoch, again.top]).toEqual([log.epoch, 1]);
  });

  test("is an empty channel itself after 30 days; it comes back in another epoch", async () => {
    const broker = start(newPath());
    const { log } = open(broker, "chat/a", { ttlMs: 1000 });
    await log.append(texts("a"));
    log.close();
    nowMs += 31 * 86_400_000;
    sweepAll(broker);
    const again = open(broker, "chat/a").log;
    expect(again.top).toBe(0);
    expect(again.epoch).not.toBe(log.epoch);
  });

  test("is what a channel had that began anew", async () => {
    const path = newPath();
    const before = start(path);
    await open(before).log.append(numbers(0, 1200));
    await before.close();
    byHand(path, "DELETE FROM messages WHERE offset = 1200");
    const broker = start(path);
    await open(broker).log.append(texts("anew"));
    sweepAll(broker);
    expect(rows(broker)).toBe(1);
  });
});

describe("reading", () => {
  test("gives everybody who is a little behind the same messages, after a start too", async () => {
    const path = newPath();
    const before = start(path);
    await open(before).log.append(texts("a", "b", "c"));
    await before.close();
    const { log } = open(start(path));
    const first = (await log.read(1, ALL)).messages;
    const [d] = await log.append(texts("d"));
    const second = (await log.read(0, ALL)).messages;
    expect(second.map(({ text }) => text)).toEqual(["a", "b", "c", "d"]);
    expect(second[1]).toBe(first[0]!);
    expect(second[3]).toBe(d!);
  });

  test("far behind pages through the file, and leaves no reader open on it", async () => {
    const broker = start(newPath());
    const { log } = open(broker, "prices", { size: 1e6 });
    const data = texts(...Array.from({ length: 5000 }, (_, i) => `${i}`.padEnd(10_000)));
    await log.append(data);
    let after = 0;
    while (after < 5000) {
      const { messages } = await log.read(after, { through: 5000, count: 64, bytes: 100_000 });
      expect(messages[0]!.text).toBe(`${after}`.padEnd(10_000));
      after = messages.at(-1)!.offset;
    }
    expect(broker.database.query("PRAGMA wal_checkpoint(TRUNCATE)").get()).toMatchObject({
      busy: 0,
    });
  });
});

test("plugins' values lie in the same file", async () => {
  const path = newPath();
  const broker = start(path);
  const values = new SqliteValues({ database: broker.database, name: broker.path });
  const { log } = open(broker);
  await Promise.all([log.append(texts("a")), values.set("use", "key", "value", null)]);
  await values.close();
  await broker.close();
  const again = start(path);
  const kept = new SqliteValues({ database: again.database, name: again.path });
  expect(await kept.get("use", "key")).toBe("value");
  expect(await textsOf(open(again).log)).toEqual(["a"]);
  await kept.close();
});

test("a file of plugins' values alone may become the broker's", async () => {
  const path = newPath();
  const before = new SqliteValues({ path });
  await before.set("use", "key", "value", null);
  await before.close();
  const broker = start(path);
  await open(broker).log.append(texts("a"));
  const values = new SqliteValues({ database: broker.database, name: path });
  expect(await values.get("use", "key")).toBe("value");
  await values.close();
});

describe("SqliteBroker, where something fails after a commit,", () => {
  const broken = () => {
    throw new Error("the disk can't be read");
  };

  test("answers all who published, and trims before the next read", async () => {
    const { lines, ...log } = recorder();
    const broker = start(newPath(), { log });
    const one = open(broker, "one", { maxBytes: 2 });
    const two = open(broker, "two");
    await one.log.append(texts("a", "b"));
    const mark = spyOn(SqliteTables.prototype, "mark").mockImplementation(broken);
    const answers = [one.log.append(texts("c")), two.log.append(texts("x"))];
    expect((await Promise.all(answers)).flat().map(({ text }) => text)).toEqual(["c", "x"]);
    expect([one.commits.flat().length, two.commits.flat().length]).toEqual([3, 1]);
    mark.mockRestore();
    expect(await textsOf(one.log)).toEqual(["b", "c"]);
    expect(lines[0]).toContain("the disk can't be read");
  });

  test("answers all who published where one is not told of it", async () => {
    const { lines, ...log } = recorder();
    const broker = start(newPath(), { log });
    const deaf = broker.open("deaf", KEEP, () => {
      throw new Error("did not listen");
    });
    const { log: other, commits } = open(broker);
    const answers = await Promise.all([deaf.append(texts("a")), other.append(texts("b"))]);
    expect(answers.flat().map(({ text }) => text)).toEqual(["a", "b"]);
    expect(commits).toHaveLength(1);
    expect(lines).toEqual(["error: a listener of commits failed"]);
  });

  test("retain() throws nothing, for a reload is half done by then", async () => {
    const { log } = open(start(newPath()));
    await log.append(texts("a", "b", "c"));
    const mark = spyOn(SqliteTables.prototype, "mark").mockImplementation(broken);
    log.retain({ ...KEEP, maxBytes: 1 });
    mark.mockRestore();
    expect(await textsOf(log)).toEqual(["c"]);
  });

  test("deletes what is over in the other channels though one can't be read", async () => {
    const path = newPath();
    const broker = start(path);
    const bad = open(broker, "bad");
    const good = open(broker, "good", { ttlMs: 1000 });
    await bad.log.append(texts("a"));
    await good.log.append(texts("b"));
    nowMs += 1001;
    const mark = SqliteTables.prototype.mark;
    const spy = spyOn(SqliteTables.prototype, "mark").mockImplementation(function (
      this: SqliteTables,
      id,
      offset,
    ) {
      return id === 1 ? broken() : mark.call(this, id, offset);
    });
    while (broker.sweep());
    spy.mockRestore();
    expect(broker.database.query("SELECT channel FROM messages").all()).toEqual([{ channel: 1 }]);
  });
});
