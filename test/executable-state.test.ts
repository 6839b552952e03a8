/** The executable with `latest_by_key` in a file: killed while it is published to, its state is there again. */
import { beforeAll, expect, test } from "bun:test";
import { executable, Folder, start } from "./executable.ts";

const CONFIG = `server: { listen: 127.0.0.1:0 }
broker: { use: sqlite, path: ./tidewire.db }
channels:
  prices: { publish: clients, history: { size: 5, ttl: 1s, latest_by_key: true, keys: 100 } }
`;
const PUBLISHERS = 4;
const ROUNDS = 4;

beforeAll(async () => void (await executable()), 120_000);

/** One key as its publisher knows it. */
interface Known {
  /** What was acknowledged last; null where the key is deleted, or was never there. */
  value: number | null;
  /** What was sent and not answered: it may be there or not. */
  sent?: number | null;
}

async function stateOf(url: string): Promise<Map<string, number>> {
  const response = await fetch(`${url}/channels/prices/messages?after=state&limit=1000`);
  const { messages } = (await response.json()) as { messages: { key: string; data: number }[] };
  return new Map(messages.map(({ key, data }) => [key, data]));
}

test("after kill -9 the state is what was acknowledged, deletions included", async () => {
  using folder = new Folder({ "tidewire.yaml": CONFIG });
  const known = new Map<string, Known>();
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await using server = await start(folder);
    const { publicUrl: url } = server;
    const state = await stateOf(url);
    for (const [key, entry] of known) {
      const { value, sent = value } = entry;
      const kept = state.get(key) ?? null;
      expect([key, [value, sent].includes(kept)]).toEqual([key, true]);
      known.set(key, { value: kept });
    }
    expect([...state.keys()].filter((key) => !known.has(key))).toEqual([]);
    const publishing = Array.from({ length: PUBLISHERS }, async (_, publisher) => {
      for (;;) {
        const n = ++count;
        const entry = { key: `p${publisher}-k${n % 7}`, value: n % 5 === 0 ? null : n };
        const before = known.get(entry.key) ?? { value: null };
        known.set(entry.key, { value: before.value, sent: entry.value });
        const response = await fetch(`${url}/channels/prices?key=${entry.key}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(entry.value),
        }).catch(() => null);
        if (response === null) return;
        expect(response.status).toBe(201);
        known.set(entry.key, { value: entry.value });
      }
    });
    const enough = count + 100 + round * 37;
    while (count < enough) await new Promise((resolve) => setTimeout(resolve, 1));
    server.signal("SIGKILL");
    await Promise.all(publishing);
    await server.exited;
  }
  expect(known.size).toBe(PUBLISHERS * 7);
}, 30_000);
