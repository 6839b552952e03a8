import { afterAll, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sealDraft, type Draft } from "../channel/message.ts";
import { SqliteBroker } from "./sqlite.ts";

const folder = mkdtempSync(join(tmpdir(), "tidewire-insert-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const kinds: Readonly<Record<string, (n: number) => Draft>> = {
  json: (n) => ({ data: { n } }),
  text: (n) => ({ data: `é ${"x".repeat(n % 7)}` }),
  bytes: (n) => ({ data: new Uint8Array([n, 255]) }),
  named: (n) => ({ data: n, event: `event ${n}` }),
  keyed: (n) => ({ data: n, key: `key ${n}` }),
};

/** So many messages of a kind one after the other. */
const RUNS: readonly (readonly [number, string])[][] = [
  [[1, "json"]],
  [[15, "text"]],
  [[16, "bytes"]],
  [[300, "json"]],
  [[145, "keyed"]],
  [
    [20, "json"],
    [20, "text"],
    [3, "named"],
    [129, "bytes"],
    [1, "keyed"],
    [40, "json"],
  ],
  [
    [9, "json"],
    [1, "named"],
    [9, "json"],
    [1, "keyed"],
    [20, "json"],
    [1, "keyed"],
  ],
];

for (const runs of RUNS) {
  const what = runs.map(([count, kind]) => `${count} ${kind}`).join(", ");
  test(`a commit of ${what} is read back from the file as it was`, async () => {
    const path = join(folder, `${RUNS.indexOf(runs as never)}.db`);
    const options = { path, durability: "normal" } as const;
    const all = { through: Infinity, count: Infinity, bytes: Infinity };
    const drafts = runs
      .flatMap(([count, kind]) => Array.from({ length: count }, (_, n) => kinds[kind]!(n)))
      .map((draft) => sealDraft(draft, 1000));
    const keep = { size: 1000, ttlMs: 1e6 };
    const before = new SqliteBroker(options);
    const log = before.open("prices", keep, () => {});
    const committed = [
      ...(await log.append([sealDraft({ data: "first" }, 1000)])),
      ...(await log.append(drafts)),
    ];
    await before.close();
    const after = new SqliteBroker(options);
    const { messages } = await after.open("prices", keep, () => {}).read(0, all);
    const fields = ({ id, time, event, key, format, size, text }: (typeof messages)[number]) => ({
      ...{ id, time, event, key, format, size, text },
    });
    expect(messages.map(fields)).toEqual(committed.map(fields));
    await after.close();
    const database = new Database(path, { readonly: true });
    const rows = database
      .query<{ before: number; size: number }, []>("SELECT before, size FROM messages")
      .all();
    let bytes = 0;
    for (const { before: stored, size } of rows) {
      expect(stored).toBe(bytes);
      bytes += size;
    }
    database.close();
  });
}
