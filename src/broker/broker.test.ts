import { testBroker, type CreateBroker } from "./contract.ts";
import { MemoryBroker } from "./memory.ts";

const brokers: readonly (readonly [string, CreateBroker])[] = [
  ["memory", (now) => new MemoryBroker(now)],
];

for (const [name, create] of brokers) testBroker(name, create);
