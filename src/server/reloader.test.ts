/** When a reload runs, how often, and what is told of it. */
import { expect, test } from "bun:test";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import { createLog } from "../log.ts";
import type { Reader, ReadResult } from "./reader.ts";
import { Reloader } from "./reloader.ts";
import type { ReloadResult } from "./server.ts";
import { testConfig } from "./testing.ts";

const config = testConfig({ channels: { a: {} } });
const fine: ReadResult = { config, plugins: new Map() };
const result: ReloadResult = {
  added: [],
  removed: [],
  changed: ["a"],
  unchanged: 2,
  needsRestart: [],
};

/** A reloader whose server and files are told what to do. */
function setUp(read: () => Promise<ReadResult>, reload: () => Promise<ReloadResult>) {
  const logged: Record<string, unknown>[] = [];
  const told: (readonly Diagnostic[])[] = [];
  const done: string[] = [];
  const log = createLog({
    level: "debug",
    format: "json",
    write: (line) => void logged.push(JSON.parse(line) as Record<string, unknown>),
  });
  const reader = {
    read: () => (done.push("read"), read()),
    settle: () => void done.push("settle"),
  } as unknown as Reader;
  const server = { reload: () => (done.push("reload"), reload()) };
  const report = (diagnostics: readonly Diagnostic[]) => void told.push(diagnostics);
  const onRead = () => void done.push("watch");
  const reloader = new Reloader({ server, reader, log, config, report, onRead });
  return { reloader, logged, told, done };
}

test("tells what changed and how long it took", async () => {
  const { reloader, logged, done } = setUp(
    async () => fine,
    async () => ({ ...result, needsRestart: ["server.listen", "store"] }),
  );
  await reloader.ask("SIGHUP");
  expect(logged).toEqual([
    {
      ...{ time: expect.any(String), level: "info", message: "reloaded", why: "SIGHUP" },
      ...{ added: [], removed: [], changed: ["a"], unchanged: 2, ms: expect.any(Number) },
    },
    expect.objectContaining({
      level: "warn",
      message: "2 changes of the config need a restart: server.listen, store",
      keys: ["server.listen", "store"],
    }),
  ]);
  expect(done).toEqual(["read", "reload", "settle", "watch"]);
});

test("an invalid state is told with its diagnostics, and the server is not touched", async () => {
  const diagnostic = { code: "unknown-key", message: "", file: "t.yaml", place: null, help: null };
  const diagnostics = [diagnostic, diagnostic];
  const { reloader, logged, told, done } = setUp(
    async () => ({ diagnostics }),
    async () => result,
  );
  await reloader.ask("SIGHUP");
  expect(told).toEqual([diagnostics]);
  expect(logged).toEqual([
    expect.objectContaining({
      level: "error",
      message: "reload failed, the old state goes on",
      errors: 2,
    }),
  ]);
  expect(done).toEqual(["read", "watch"]);
});

test("a setup that fails is told, and the next reload runs", async () => {
  let isBroken = true;
  const { reloader, logged } = setUp(
    async () => fine,
    async () => {
      if (isBroken) throw new Error("no upstream");
      return result;
    },
  );
  await reloader.ask("SIGHUP");
  isBroken = false;
  await reloader.ask("SIGHUP");
  expect(logged.map(({ message }) => message)).toEqual([
    "reload failed, the old state goes on",
    "reloaded",
  ]);
  expect(logged[0]).toMatchObject({ error: { message: "no upstream" } });
});

test("asked for while one runs, one more follows, however often that was", async () => {
  const gate = Promise.withResolvers<void>();
  const { reloader, done } = setUp(
    async () => (await gate.promise, fine),
    async () => result,
  );
  const asked = [1, 2, 3, 4].map(() => reloader.ask("SIGHUP"));
  gate.resolve();
  await Promise.all(asked);
  expect(done.filter((what) => what === "reload").length).toBe(2);
  await reloader.ask("SIGHUP");
  expect(done.filter((what) => what === "reload").length).toBe(3);
});

test("nothing is reloaded once the server stops, and nothing is told of it", async () => {
  const gate = Promise.withResolvers<void>();
  const { reloader, logged, done } = setUp(
    async () => (await gate.promise, fine),
    async () => result,
  );
  const asked = reloader.ask("SIGHUP");
  const stopped = reloader.stop();
  gate.resolve();
  await Promise.all([asked, stopped]);
  await reloader.ask("SIGHUP");
  expect(done).toEqual(["read", "watch"]);
  expect(logged).toEqual([]);
});
