/** A store for tests, over memory. */
import { MemoryValues } from "../broker/memory-values.ts";
import { FakeClock } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { Reports } from "./reports.ts";
import type { Store } from "./sdk.ts";
import { createStore, useName } from "./store.ts";

export function createTestStore(plugin: string): Store {
  const { log } = createFakeLog();
  const reports = new Reports({ plugin, channel: "test", log, clock: new FakeClock() });
  const values = new MemoryValues();
  return createStore({ values, use: useName("test", plugin, 0), reports });
}
