import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteValues } from "./sqlite-values.ts";

let folder: string;
let file: string;
const open: { close(): unknown }[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidewire-values-"));
  file = join(folder, ".tidewire", "store.db");
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  rmSync(folder, { recursive: true, force: true });
});

function values(options: ConstructorParameters<typeof SqliteValues>[1] = {}, path = file) {
  const made = new SqliteValues({ path }, options);
  open.push(made);
  return made;
}

/** The file, as another program sees it. */
function raw(): Database {
  const database = new Database(file);
  open.push(database);
  return database;
}

const failure = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => error as Error & { code: string },
  );

describe("the file", () => {
  test("is made at the first set: what only reads or deletes makes nothing", async () => {
    const one = values();
    expect(await one.get("a", "key")).toBeUndefined();
    expect(await one.entries("a", "")).toEqual([]);
    expect(await one.delete("a", "key")).toBe(false);
    expect(existsSync(join(folder, ".tidewire"))).toBe(false);
    await one.set("a", "key", "1", null);
    expect(existsSync(file)).toBe(true);
  });

  test("is found again by the next server, and by another that has looked before", async () => {
    const other = values();
    expect(await other.get("a", "key")).toBeUndefined();
    const one = values();
    await one.set("a", "key", "1", null);
    await one.close();
    expect(await values().get("a", "key")).toBe("1");
    expect(await other.get("a", "key")).toBe("1");
  });

  test("keeps what was set, when the process is killed the moment after", async () => {
    const script = join(folder, "set.ts");
    writeFileSync(
      script,
      `import { SqliteValues } from ${JSON.stringify(join(import.meta.dir, "sqlite-values.ts"))};
      const values = new SqliteValues({ path: ${JSON.stringify(file)} });
      await Promise.all([1, 2, 3].map((n) => values.set("a", "key" + n, "" + n, null)));
      process.kill(process.pid, "SIGKILL");`,
    );
    const child = Bun.spawn([process.execPath, script], { stdout: "inherit", stderr: "inherit" });
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    expect(await values().entries("a", "")).toEqual([
      ["key1", "1"],
      ["key2", "2"],
      ["key3", "3"],
    ]);
  });

  test("is made anew when somebody deletes it while the server runs", async () => {
    const one = values();
    await one.set("a", "key", "1", null);
    rmSync(join(folder, ".tidewire"), { recursive: true });
    expect(await one.get("a", "key")).toBeUndefined();
    await one.set("a", "key", "2", null);
    expect(await values().get("a", "key")).toBe("2");
  });

  test("is opened anew when somebody puts a copy in its place while the server runs", async () => {
    const one = values();
    await one.set("a", "key", "1", null);
    const copy = join(folder, "copy.db");
    const other = raw();
    other.run("VACUUM INTO ?", [copy]);
    other.close();
    await one.set("a", "key", "2", null);
    renameSync(copy, file);
    expect(await one.get("a", "key")).toBe("1");
    await one.set("a", "other", "3", null);
    await one.close();
    expect(await values().entries("a", "")).toEqual([
      ["key", "1"],
      ["other", "3"],
    ]);
  });

  test("may be a database that has other tables, and stays open for its owner", async () => {
    const database = new Database(":memory:");
    database.run("CREATE TABLE messages (id INTEGER)");
    const one = new SqliteValues({ database, name: "the broker's" });
    expect(await one.get("a", "key")).toBeUndefined();
    await one.set("a", "key", "1", null);
    await one.close();
    expect(database.query("SELECT count(*) AS count FROM messages").get()).toEqual({ count: 0 });
    expect(await new SqliteValues({ database, name: "the broker's" }).get("a", "key")).toBe("1");
  });
});

describe("writes", () => {
  test("of one turn are one transaction, whatever use they are of", async () => {
    const one = values();
    await one.set("a", "key", "0", null);
    const other = raw();
    const version = () =>
      other.query<{ data_version: number }, []>("PRAGMA data_version").get()!.data_version;
    // It counts the commits of others that this connection has seen.
    const before = version();
    const writes = ["a", "b", "c"].map((use) => one.set(use, "key", "1", null));
    await Promise.all(writes);
    expect(version()).toBe(before + 1);
    const pages = other.query<{ count: number }, []>("SELECT count(*) count FROM plugin_values");
    expect(pages.get()).toEqual({ count: 3 });
  });

  test("wait for another process, with a timer and not in SQLite, while others read", async () => {
    const one = values();
    await one.set("a", "key", "1", null);
    await one.set("b", "key", "2", null);
    const other = raw();
    other.run("BEGIN IMMEDIATE");
    let isSet = false;
    const setting = one.set("a", "key", "3", null).then(() => (isSet = true));
    const behind = one.get("a", "key");
    // That this turn comes at all shows that the lock holds up nobody.
    expect(await one.get("b", "key")).toBe("2");
    expect(await one.entries("b", "")).toEqual([["key", "2"]]);
    expect(isSet).toBe(false);
    other.run("ROLLBACK");
    await setting;
    expect(await behind).toBe("3");
  });

  test("that wait too long say so, and what only reads is answered", async () => {
    const one = values({ busyMs: 30 });
    await one.set("a", "key", "1", null);
    const other = raw();
    other.run("BEGIN IMMEDIATE");
    const writing = [one.set("a", "key", "2", null), one.delete("a", "key")].map(failure);
    const behind = one.get("a", "key");
    for (const error of await Promise.all(writing)) {
      expect(error).toMatchObject({ code: "busy" });
      expect(error!.message).toContain(`${file} was locked by another process for 0.03 s`);
    }
    expect(await behind).toBe("1");
    other.run("ROLLBACK");
    await one.set("a", "key", "4", null);
    expect(await one.get("a", "key")).toBe("4");
  });

  test("of two servers at once are all kept", async () => {
    const both = [values(), values()];
    await Promise.all(
      both.flatMap((one, server) =>
        Array.from({ length: 20 }, async (_, n) => {
          for (let turn = 0; turn < n; turn++) await one.get("a", "key");
          await one.set("a", `${server}/${n}`, `${n}`, null);
        }),
      ),
    );
    expect(await values().entries("a", "")).toHaveLength(40);
  });

  test("of several processes at once are all kept", async () => {
    const script = join(folder, "set.ts");
    writeFileSync(
      script,
      `import { SqliteValues } from ${JSON.stringify(join(import.meta.dir, "sqlite-values.ts"))};
      const values = new SqliteValues({ path: ${JSON.stringify(file)} });
      for (let n = 0; n < 100; n++) await values.set("a", process.argv[2] + n, "1", null);
      await values.close();`,
    );
    const children = ["x", "y", "z"].map((name) =>
      Bun.spawn([process.execPath, script, name], { stdout: "inherit", stderr: "inherit" }),
    );
    const one = values();
    for (let n = 0; n < 100; n++) await one.set("a", `w${n}`, "1", null);
    expect(await Promise.all(children.map(({ exited }) => exited))).toEqual([0, 0, 0]);
    expect(await one.entries("a", "")).toHaveLength(400);
  });

  test("sweep what is over", async () => {
    let nowMs = 1_000_000;
    const one = values({ now: () => nowMs });
    await one.set("a", "short", "1", nowMs + 1000);
    await one.set("gone", "short", "1", nowMs + 1000);
    nowMs += 61_000;
    await one.set("a", "long", "2", null);
    const kept = raw().query("SELECT use, cast(key AS TEXT) AS key FROM plugin_values").all();
    expect(kept).toEqual([{ use: "a", key: "long" }]);
    expect(raw().query("SELECT use, bytes FROM plugin_uses").all()).toEqual([
      { use: "a", bytes: 5 },
    ]);
  });

  test("are refused when ten thousand of a use wait, and others go on", async () => {
    const one = values();
    const all = Array.from({ length: 10_001 }, (_, n) => one.set("a", `${n}`, "1", null));
    const other = one.set("b", "key", "1", null);
    expect(await failure(all.pop()!)).toMatchObject({ code: "busy" });
    await Promise.all([...all, other]);
    expect(await one.entries("a", "")).toHaveLength(10_000);
  });
});

describe("a store that can't be used", () => {
  test("because a newer version wrote it, says so and is left alone", async () => {
    const one = values();
    await one.set("a", "key", "1", null);
    await one.close();
    raw().run("UPDATE plugin_store SET schema = 2");
    const two = values();
    for (const work of [two.get("a", "key"), two.set("a", "key", "2", null)]) {
      const error = await failure(work);
      expect(error).toMatchObject({ code: "newer" });
      expect(error!.message).toContain("its schema is 2, this version knows 1");
    }
    const kept = raw().query("SELECT value FROM plugin_values").all();
    expect(kept).toEqual([{ value: "1" }]);
  });

  test("because it is damaged, says so at each call, until it is moved away", async () => {
    await values().set("a", "key", "1", null);
    rmSync(join(folder, ".tidewire"), { recursive: true });
    const one = values({}, join(folder, "store.db"));
    writeFileSync(join(folder, "store.db"), "this is no database at all. ".repeat(400));
    for (const work of [
      () => one.get("a", "key"),
      () => one.set("a", "key", "2", null),
      () => one.delete("a", "key"),
      () => one.entries("a", ""),
    ]) {
      const error = await failure(work());
      expect(error).toMatchObject({ code: "damaged" });
      expect(error!.message).toContain(`${join(folder, "store.db")} is no readable database`);
    }
    rmSync(join(folder, "store.db"));
    await one.set("a", "key", "2", null);
    expect(await one.get("a", "key")).toBe("2");
  });

  test("because a file stands where its folder belongs, says so", async () => {
    writeFileSync(join(folder, "taken"), "");
    const one = values({}, join(folder, "taken", "store.db"));
    expect(await one.get("a", "key")).toBeUndefined();
    const error = await failure(one.set("a", "key", "1", null));
    expect(error).toMatchObject({ code: "refused" });
    expect(error!.message).toContain("taken/store.db");
  });

  test("because it may only be read, gives what it has, and says so at a write", async () => {
    await values().set("a", "key", "1", null);
    const database = new Database(file, { readonly: true });
    open.push(database);
    const one = new SqliteValues({ database, name: file });
    const error = await failure(one.set("a", "key", "2", null));
    expect(error).toMatchObject({ code: "refused" });
    expect(error!.message).toContain("can't be written (SQLITE_READONLY");
    expect(await one.get("a", "key")).toBe("1");
  });

  test("because the disk is full, says so, keeps what it has, and goes on when there is room", async () => {
    const database = new Database(":memory:");
    const one = new SqliteValues({ database, name: "the broker's" });
    await one.set("a", "key", "1", null);
    database.run("PRAGMA max_page_count = 12");
    const error = await failure(one.set("a", "large", "x".repeat(100_000), null));
    expect(error).toMatchObject({ code: "full" });
    expect(error!.message).toContain("the disk of the store the broker's is full");
    expect(await one.get("a", "key")).toBe("1");
    database.run("PRAGMA max_page_count = 1000");
    await one.set("a", "large", "x".repeat(100_000), null);
  });
});
