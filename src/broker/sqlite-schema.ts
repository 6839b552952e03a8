/** The tables that history is in, and how a file of an earlier version becomes one of this. */
import type { Database } from "bun:sqlite";
import { createEpoch } from "../channel/position.ts";
import { foreignFile, newerSchema } from "./storage-error.ts";

/** Takes a file from the version before to the next one, within a transaction. */
export type Migration = (database: Database) => void;

/** Marks a file as Tidewire's (SQLite's `application_id`): "Tdw1". */
const APPLICATION = 0x54647731;

/**
 * The first makes an empty file; each later one is added at the end, and none is ever changed once it was
 * released. The number of them is the schema's version (SQLite's `user_version`).
 */
export const MIGRATIONS: readonly Migration[] = [
  (database) => {
    const statements = [
      // epoch: of channels that nothing was published to. lost: channels that were forgotten. run: see sqlite-run.ts
      "CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
      // bytes: of all messages that ever were. keep_*: the retention, for channels that nobody has open.
      // name: null for one that began anew, whose messages are still to be deleted.
      `CREATE TABLE channels (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, epoch TEXT NOT NULL,
        top INTEGER NOT NULL, first INTEGER NOT NULL, time INTEGER NOT NULL, bytes INTEGER NOT NULL,
        keep_count INTEGER NOT NULL, keep_ms INTEGER NOT NULL
      )`,
      // before: bytes of all messages of the channel before this one, so that any range is one subtraction.
      `CREATE TABLE messages (
        channel INTEGER NOT NULL, offset INTEGER NOT NULL, time INTEGER NOT NULL, event TEXT, key TEXT,
        format INTEGER NOT NULL, size INTEGER NOT NULL, before INTEGER NOT NULL, data NOT NULL,
        PRIMARY KEY (channel, offset)
      ) WITHOUT ROWID`,
      // length: of all receipts before this one.
      `CREATE TABLE receipts (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
        note TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        expires INTEGER NOT NULL, length INTEGER NOT NULL, UNIQUE (channel, key)
      )`,
      // A channel that is forgotten, be it by hand, never comes back under the same epoch: positions of the
      // life before would seem to be good, and messages go missing in silence.
      `CREATE TRIGGER channels_delete AFTER DELETE ON channels BEGIN
        UPDATE meta SET value = value + 1 WHERE key = 'lost';
        DELETE FROM messages WHERE channel = old.id;
      END`,
    ];
    for (const statement of statements) database.run(statement);
    database.run("INSERT INTO meta VALUES ('epoch', ?), ('lost', 0)", [createEpoch()]);
  },
  (database) => {
    const statements = [
      // Of channels that keep one. since, unkept: see sqlite-states.ts. through: the newest message that it follows.
      `CREATE TABLE states (
        channel INTEGER PRIMARY KEY, since INTEGER NOT NULL, unkept INTEGER NOT NULL, keys INTEGER NOT NULL,
        bytes INTEGER NOT NULL, through INTEGER NOT NULL
      )`,
      `CREATE TABLE state_messages (
        channel INTEGER NOT NULL, offset INTEGER NOT NULL, time INTEGER NOT NULL, event TEXT,
        key TEXT NOT NULL, format INTEGER NOT NULL, size INTEGER NOT NULL, data NOT NULL,
        PRIMARY KEY (channel, offset)
      ) WITHOUT ROWID`,
      "CREATE UNIQUE INDEX state_keys ON state_messages (channel, key)",
      `CREATE TRIGGER channels_delete_state AFTER DELETE ON channels BEGIN
        DELETE FROM states WHERE channel = old.id;
        DELETE FROM state_messages WHERE channel = old.id;
      END`,
    ];
    for (const statement of statements) database.run(statement);
  },
];

/**
 * Checks, without writing to it, that the file is one that this version may use.
 *
 * @returns Its schema's version; 0 for an empty one.
 * @throws {StorageError} For a file of a newer version, or of another program.
 */
export function checkSchema(
  database: Database,
  path: string,
  migrations: readonly Migration[] = MIGRATIONS,
): number {
  const version = read(database, "user_version");
  const application = read(database, "application_id");
  if (application !== APPLICATION && (application !== 0 || version !== 0 || hasTables(database))) {
    throw foreignFile(path);
  }
  if (version > migrations.length) throw newerSchema(path, version, migrations.length);
  return version;
}

/** Brings a file that was checked to the newest schema, in one transaction. */
export function migrate(
  database: Database,
  version: number,
  migrations: readonly Migration[] = MIGRATIONS,
): void {
  if (version === migrations.length) return;
  database
    .transaction(() => {
      for (const step of migrations.slice(version)) step(database);
      database.run(`PRAGMA application_id = ${APPLICATION}`);
      database.run(`PRAGMA user_version = ${migrations.length}`);
    })
    .immediate();
}

/** A file of plugins' values alone (value-tables.ts) may become the broker's. */
function hasTables(database: Database): boolean {
  const sql =
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'plugin_*' AND name NOT GLOB 'sqlite_*'";
  return database.query(sql).get() !== null;
}

function read(database: Database, pragma: string): number {
  return Object.values(database.query<Record<string, number>, []>(`PRAGMA ${pragma}`).get()!)[0]!;
}
