/** The broker that the config names: a new one is one more case here. */
import type { Broker } from "../broker/broker.ts";
import { MemoryBroker } from "../broker/memory.ts";
import { SqliteBroker } from "../broker/sqlite.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../log.ts";

/** @throws {StorageError} When its file can't be used. */
export function createBroker({ broker, idempotency }: Config, log: Log): Broker {
  const maxReceipts = idempotency.keys;
  if (broker.use === "memory") return new MemoryBroker(Date.now, maxReceipts);
  const { path, durability } = broker;
  return new SqliteBroker({ path, durability, log, maxReceipts });
}
