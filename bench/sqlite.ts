/**
 * Durable publishing: messages that the sqlite broker acknowledges in a second, beside what `bun:sqlite`
 * inserts in one, with as many rows in a transaction as the publishers have under way.
 *
 *     bun bench/sqlite.ts [seconds]
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../test/executable.ts";
import { executable } from "./executable.ts";
import { pinned } from "./measure.ts";
import { SERVER_CORE } from "./servers.ts";
import { payload, type DurableLoad, type DurableLoadResult } from "./sqlite-load.ts";

export interface DurableResult {
  readonly durability: "full" | "normal";
  readonly publishers: number;
  /** Messages of one POST. */
  readonly batch: number;
  readonly rawRate: number;
  readonly rate: number;
  readonly refused: number;
}

const PUBLISHERS = 64;
const BATCHES = [1, 100];
const PAYLOAD_BYTES = 128;
/** Odd, so that one run is in the middle. */
const ROUNDS = 3;

/** @param seconds Of each measurement. */
export async function measureSqlite(
  seconds: number,
  progress: (text: string) => void,
): Promise<DurableResult[]> {
  const results: DurableResult[] = [];
  for (const durability of ["full", "normal"] as const) {
    for (const batch of BATCHES) {
      const raw: number[] = [];
      const served: DurableLoadResult[] = [];
      // In turns: a disk is faster at one time than at another.
      for (let round = 1; round <= ROUNDS; round++) {
        progress(`sqlite, ${durability}, ${batch} a POST, ${round} of ${ROUNDS}`);
        raw.push(await rawRate(durability, PUBLISHERS * batch, seconds));
        served.push(await servedRate(durability, batch, seconds));
      }
      results.push({
        ...{ durability, batch, publishers: PUBLISHERS },
        rawRate: middle(raw),
        rate: middle(served.map(({ rate }) => rate)),
        refused: served.reduce((sum, each) => sum + each.refused, 0),
      });
    }
  }
  return results;
}

/** A Markdown table. */
export function formatSqlite(results: readonly DurableResult[]): string {
  const rows = results.map(({ durability, publishers, batch, rawRate, rate, refused }) =>
    [
      `${durability}, ${publishers} publishers, ${batch} a POST`,
      Math.round(rate).toLocaleString("en"),
      `${Math.round(rawRate).toLocaleString("en")} (${publishers * batch} rows a transaction)`,
      `${Math.round((rate / rawRate) * 100)} %`,
      String(refused),
    ].join(" | "),
  );
  return [
    `Messages of ${PAYLOAD_BYTES} bytes that are acknowledged in a second, the middle one of ${ROUNDS} runs:`,
    "",
    "| durability | Tidewire | raw bun:sqlite | of it | refused |",
    "|---|---|---|---|---|",
    ...rows.map((row) => `| ${row} |`),
  ].join("\n");
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Rows in a second, in a process of its own on the server's core. */
async function rawRate(durability: string, rows: number, seconds: number): Promise<number> {
  const args = ["--raw", durability, String(rows), String(seconds)];
  const command = pinned(SERVER_CORE, [process.execPath, import.meta.path, ...args]);
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  return Number(await new Response(child.stdout).text());
}

async function servedRate(
  durability: string,
  batch: number,
  seconds: number,
): Promise<DurableLoadResult> {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-bench-"));
  const port = freePort();
  const config = join(folder, "tidewire.yaml");
  // All that comes is kept, as the raw rows are.
  await Bun.write(
    config,
    `server: { listen: "127.0.0.1:${port}" }
broker: { use: sqlite, durability: ${durability} }
limits: { publishes: { per_second: 1000000, burst: 1000000 } }
defaults: { publish: clients, history: { size: 10000000, ttl: 1d, bytes: 64GiB } }
log: { format: json }
channels: { bench: {} }
`,
  );
  const server = Bun.spawn(pinned(SERVER_CORE, [await executable(), "run", config]), {
    stderr: "pipe",
  });
  try {
    await server.stderr.getReader().read();
    const spec: DurableLoad = {
      ...{ port, path: "/channels/bench", publishers: PUBLISHERS, batch, seconds },
      payloadBytes: PAYLOAD_BYTES,
      warmUpSeconds: 1,
    };
    const file = join(import.meta.dir, "sqlite-load.ts");
    const command = pinned(1 - SERVER_CORE, [process.execPath, file, JSON.stringify(spec)]);
    const load = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
    return JSON.parse(await new Response(load.stdout).text()) as DurableLoadResult;
  } finally {
    server.kill("SIGKILL");
    await server.exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Rows with the same columns as the broker's, by one prepared insert, in transactions: nothing around it. */
function insertRaw(durability: string, rows: number, seconds: number): number {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-bench-"));
  const database = new Database(join(folder, "raw.db"), { create: true });
  try {
    database.run("PRAGMA journal_mode = WAL");
    database.run(`PRAGMA synchronous = ${durability}`);
    database.run(
      "CREATE TABLE messages (channel INTEGER, offset INTEGER, time INTEGER, event TEXT, key TEXT, format INTEGER, size INTEGER, before INTEGER, data, PRIMARY KEY (channel, offset)) WITHOUT ROWID",
    );
    const insert = database.query("INSERT INTO messages VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)");
    const data = payload(PAYLOAD_BYTES);
    let offset = 0;
    const startedMs = performance.now();
    while (performance.now() - startedMs < seconds * 1000) {
      database.run("BEGIN IMMEDIATE");
      for (let row = 0; row < rows; row++) {
        const before = PAYLOAD_BYTES * offset;
        insert.run(++offset, Date.now(), null, null, 0, PAYLOAD_BYTES, before, data);
      }
      database.run("COMMIT");
    }
    return (offset / (performance.now() - startedMs)) * 1000;
  } finally {
    database.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const [first, durability, rows, seconds] = process.argv.slice(2);
  if (first === "--raw") console.log(insertRaw(durability!, Number(rows), Number(seconds)));
  else console.log(formatSqlite(await measureSqlite(Number(first ?? 5), console.error)));
}
