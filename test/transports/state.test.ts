/** `after=state` over every transport and broker: the newest message of each key, then what changes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTestServer, type TestConfig, type TestServer } from "../../src/server/testing.ts";
import { WAYS } from "./clients/all.ts";
import type { TestClient, Way } from "./clients/client.ts";

const folder = mkdtempSync(join(tmpdir(), "tidewire-state-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BROKERS: readonly NonNullable<TestConfig["broker"]>[] = [
  { use: "memory" },
  { use: "sqlite", path: join(folder, "state.db"), durability: "normal" },
];

interface Entry {
  readonly key: string;
  readonly value: number;
}

describe.each(BROKERS.map((broker) => [broker.use, broker] as const))("broker %s", (_, broker) => {
  let server: TestServer;
  let names = 0;
  beforeAll(async () => {
    server = await startTestServer({
      broker,
      // Less history than keys: what is older has to come of the state.
      channels: { "room/{name}": { history: { size: 30, ttlMs: 600_000, latestByKey: true } } },
      server: { http2Push: { listen: { hostname: "127.0.0.1", port: 0 }, tls: null } },
    });
  });
  afterAll(() => server.stop());

  async function put(channel: string, entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) await publish(channel, entry.key, entry);
  }

  async function publish(channel: string, key: string, data: unknown): Promise<void> {
    const response = await fetch(`${server.urls.public}/channels/${channel}?key=${key}`, {
      method: "POST",
      body: JSON.stringify(data),
      headers: { "content-type": "application/json" },
    });
    if (response.status !== 201) throw new Error(await response.text());
  }

  function open(way: Way, channel: string): Promise<TestClient> {
    const url = way.transport === "http2-push" ? server.urls.http2Push! : server.urls.public;
    return way.open({ url, channel, after: "state" });
  }

  async function next(client: TestClient): Promise<Entry | null> {
    const item = await client.next();
    if (item.type !== "message") throw new Error(`not a message: ${JSON.stringify(item)}`);
    return JSON.parse(item.text) as Entry | null;
  }

  for (const way of WAYS) {
    test(`${way.name}: delivers the state, then the changes, deletions among them`, async () => {
      const channel = `room/r${++names}`;
      const entry = (key: string, value: number) => ({ key, value });
      await put(channel, [entry("old", 1), entry("a", 2), entry("b", 3), entry("gone", 4)]);
      await put(
        channel,
        Array.from({ length: 40 }, (_, value) => entry("busy", value)),
      );
      await put(channel, [entry("b", 5)]);
      await publish(channel, "gone", null);
      const client = await open(way, channel);
      const state = [];
      while (state.length < 4) state.push(await next(client));
      expect(state).toEqual([entry("old", 1), entry("a", 2), entry("busy", 39), entry("b", 5)]);
      await publish(channel, "a", null);
      await put(channel, [entry("c", 6)]);
      expect([await next(client), await next(client)]).toEqual([null, entry("c", 6)]);
      await client.close();
    });

    test(`${way.name}: gives a map that is right while keys change all the time`, async () => {
      const channel = `room/r${++names}`;
      const entry = (value: number) => ({ key: `k${(value * 7) % 13}`, value });
      await put(
        channel,
        Array.from({ length: 13 }, (_, value) => entry(value)),
      );
      const publishing = (async () => {
        for (let value = 13; value < 38; value++) await put(channel, [entry(value)]);
        await put(channel, [{ key: "end", value: 0 }]);
      })();
      const client = await open(way, channel);
      const map = new Map<string, number>();
      for (let got = await next(client); got!.key !== "end"; got = await next(client)) {
        map.set(got!.key, got!.value);
      }
      await publishing;
      const expected = new Map(Array.from({ length: 38 }, (_, i) => [entry(i).key, i]));
      expect([...map].toSorted()).toEqual([...expected].toSorted());
      await client.close();
    });
  }
});
