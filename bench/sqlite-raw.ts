/**
 * What `bun:sqlite` inserts in a second with nothing around it: rows with the same columns as the broker's, one
 * prepared insert a row, in transactions, in a process of its own.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { payload } from "./sqlite-load.ts";

/** What it is told, as JSON. */
export interface RawInserts {
  readonly durability: "full" | "normal";
  /** Rows of one transaction. */
  readonly rows: number;
  readonly payloadBytes: number;
  readonly seconds: number;
}

export interface RawResult {
  /** Rows in a second. */
  readonly rate: number;
  /** CPU time for one of them, in microseconds. */
  readonly cpuUs: number;
}

function insert({ durability, rows, payloadBytes, seconds }: RawInserts): RawResult {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-bench-"));
  const database = new Database(join(folder, "raw.db"), { create: true });
  try {
    database.run("PRAGMA journal_mode = WAL");
    database.run(`PRAGMA synchronous = ${durability}`);
    database.run(
      "CREATE TABLE messages (channel INTEGER, offset INTEGER, time INTEGER, event TEXT, key TEXT, format INTEGER, size INTEGER, before INTEGER, data, PRIMARY KEY (channel, offset)) WITHOUT ROWID",
    );
    const row = database.query("INSERT INTO messages VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)");
    const data = payload(payloadBytes);
    let offset = 0;
    const cpuBefore = process.cpuUsage();
    const startedMs = performance.now();
    while (performance.now() - startedMs < seconds * 1000) {
      database.run("BEGIN IMMEDIATE");
      for (let n = 0; n < rows; n++) {
        const before = payloadBytes * offset;
        row.run(++offset, Date.now(), null, null, 0, payloadBytes, before, data);
      }
      database.run("COMMIT");
    }
    const rate = (offset / (performance.now() - startedMs)) * 1000;
    const { user, system } = process.cpuUsage(cpuBefore);
    return { rate, cpuUs: (user + system) / offset };
  } finally {
    database.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  console.log(JSON.stringify(insert(JSON.parse(process.argv[2]!) as RawInserts)));
}
