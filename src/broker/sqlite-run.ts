/** Notes in the file how the server that has it open ended, for the next one to draw its conclusions. */
import type { Database } from "bun:sqlite";
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import { createEpoch } from "../channel/position.ts";

/**
 * `full`: a commit is on the disk before it is acknowledged. `normal`: it is with the operating system, which
 * writes it soon: the end of the process loses nothing, a power cut the last moments.
 */
export type Durability = "full" | "normal";

interface Run {
  /** Which start of the machine it was. */
  readonly boot: string;
  readonly durability: Durability;
  readonly isOver: boolean;
}

/**
 * Notes that a server begins to use the file.
 *
 * Where the machine went down under one with `durability: normal`, commits that clients had seen may be gone,
 * and their offsets would be given to other messages: then all channels begin a new epoch, so that clients are
 * told of a gap rather than miss messages in silence.
 *
 * @returns Whether they did.
 */
export function beginRun(database: Database, durability: Durability, boot = bootId()): boolean {
  const row = database
    .query<{ value: string }, []>("SELECT value FROM meta WHERE key = 'run'")
    .get();
  const before = row && (JSON.parse(row.value) as Run);
  const mayHaveLost =
    before !== null && !before.isOver && before.durability === "normal" && before.boot !== boot;
  database
    .transaction(() => {
      if (mayHaveLost) {
        const epoch = createEpoch();
        database.run("UPDATE meta SET value = ? WHERE key = 'epoch'", [epoch]);
        database.run("UPDATE meta SET value = 0 WHERE key = 'lost'");
        database.run("UPDATE channels SET epoch = ?", [epoch]);
      }
      note(database, { boot, durability, isOver: false });
    })
    .immediate();
  return mayHaveLost;
}

/** Notes that the server has ended as it should. */
export function endRun(database: Database, durability: Durability): void {
  note(database, { boot: bootId(), durability, isOver: true });
}

function note(database: Database, run: Run): void {
  database.run("INSERT OR REPLACE INTO meta VALUES ('run', ?)", [JSON.stringify(run)]);
}

/** Another one after each start of the machine; the same as long as it runs. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    // To within some minutes, for clocks are set right: where it is wrong, a gap is told of that is none.
    return `at ${Math.round((Date.now() / 1000 - uptime()) / 600)}`;
  }
}
