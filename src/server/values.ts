/** Where the config keeps what plugins store. */
import type { Broker } from "../broker/broker.ts";
import { MemoryValues } from "../broker/memory-values.ts";
import { SqliteBroker } from "../broker/sqlite.ts";
import { SqliteValues } from "../broker/sqlite-values.ts";
import type { KeyValues } from "../channel/key-values.ts";
import type { Config } from "../config/config.ts";

/** @param broker The config's own, which is closed after them. */
export function createValues({ store }: Config, broker: Broker): KeyValues {
  if (store.use === "memory") return new MemoryValues();
  if (store.use === "sqlite") return new SqliteValues({ path: store.path });
  if (!(broker instanceof SqliteBroker)) throw new TypeError("the broker has no database");
  return new SqliteValues({ database: broker.database, name: broker.path });
}
