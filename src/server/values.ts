/** Where the config keeps what plugins store. */
import { MemoryValues } from "../broker/memory-values.ts";
import { SqliteValues } from "../broker/sqlite-values.ts";
import type { KeyValues } from "../channel/key-values.ts";
import type { Config } from "../config/config.ts";

export function createValues({ store }: Config): KeyValues {
  return store.use === "memory" ? new MemoryValues() : new SqliteValues({ path: store.path });
}
