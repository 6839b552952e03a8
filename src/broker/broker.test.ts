import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testBroker } from "./contract.ts";
import { MemoryBroker } from "./memory.ts";
import { SqliteBroker } from "./sqlite.ts";
import { testState } from "./state-contract.ts";
import { testTerms } from "./terms-contract.ts";
import type { CreateBroker } from "./testing.ts";

const folder = mkdtempSync(join(tmpdir(), "tidewire-broker-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

const brokers: readonly (readonly [string, CreateBroker])[] = [
  ["memory", (now) => new MemoryBroker(now)],
  // Durability is nothing that a test in one process could see: the one that is faster.
  [
    "sqlite",
    (now) => new SqliteBroker({ path: join(folder, `${++count}.db`), durability: "normal", now }),
  ],
];

for (const [name, create] of brokers) {
  testBroker(name, create);
  testTerms(name, create);
  testState(name, create);
}
