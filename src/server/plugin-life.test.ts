/** Plugins of a whole server, from its start to its stop: setup, parameters, what they keep, and close. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { definePlugin, type Hooks, type Plugin, type SetupContext } from "../plugin/sdk.ts";
import { startTestServer, type TestServer } from "./testing.ts";

type Context = SetupContext<never>;

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function start(...config: Parameters<typeof startTestServer>): Promise<TestServer> {
  const server = await startTestServer(...config);
  servers.push(server);
  return server;
}

function plugin(name: string, setup: (context: Context) => Hooks | Promise<Hooks>): Plugin {
  return definePlugin({ name, setup: setup as Plugin["setup"] });
}

/** Writes down its life. */
const told = (events: string[]) =>
  plugin("told", ({ channel, signal }) => {
    events.push(`setup ${channel.name} ${JSON.stringify(channel.params)}`);
    signal.addEventListener("abort", () => events.push(`signal ${channel.name}`));
    return { close: () => void events.push(`close ${channel.name}`) };
  });

const post = (server: TestServer, channel: string) =>
  fetch(`${server.urls.public}/channels/${channel}`, { method: "POST", body: "text" });

describe("a plugin", () => {
  test("is closed when the setup of another channel fails at the start", async () => {
    const events: string[] = [];
    const failing = plugin("failing", async () => {
      throw new Error("no such file");
    });
    const starting = startTestServer({
      channels: { a: { plugins: [told(events)] }, b: { plugins: [failing] } },
    });
    expect(((await starting.catch((error: unknown) => error)) as Error).message).toBe(
      'plugin "failing", setup, channel "b": no such file',
    );
    expect(events).toEqual(["setup a {}", "signal a", "close a"]);
  });

  test("of a pattern has its parameters decoded, once for each channel, and is closed when let go of", async () => {
    const events: string[] = [];
    const server = await start({
      channels: { "chat/{room}/{user}": { plugins: [told(events)] } },
    });
    for (const name of ["chat/a%2Fb/%C3%A9%20", "chat/%61%2fb/é%20", "chat/100%25/__proto__"]) {
      expect((await post(server, name)).status).toBe(201);
    }
    expect(events).toEqual([
      'setup chat/a%2Fb/é%20 {"room":"a/b","user":"é "}',
      'setup chat/100%25/__proto__ {"room":"100%","user":"__proto__"}',
    ]);
    await server.channels.sweep(Date.now() + 700_000);
    expect(events.slice(2).toSorted()).toEqual([
      "close chat/100%25/__proto__",
      "close chat/a%2Fb/é%20",
      "signal chat/100%25/__proto__",
      "signal chat/a%2Fb/é%20",
    ]);
    await server.stop();
    expect(events).toHaveLength(6);
  });

  test("that takes its time to be set up holds up the start, and its own channel alone later", async () => {
    const gate = Promise.withResolvers<void>();
    const slow = plugin("slow", async ({ channel }) => {
      if (channel.params["room"] === "slow") await gate.promise;
      return {};
    });
    const server = await start({ channels: { "chat/{room}": { plugins: [slow] } } });
    const waiting = post(server, "chat/slow");
    expect((await post(server, "chat/fast")).status).toBe(201);
    expect(server.channels.peek("chat/slow")).toBeNull();
    gate.resolve();
    expect((await waiting).status).toBe(201);
  });
});

describe("what a plugin keeps", () => {
  const counting = plugin("counting", async ({ store }) => {
    let count = (await store.get<number>("count")) ?? 0;
    return {
      async transform() {
        await store.set("count", ++count);
        return { data: count };
      },
    };
  });
  const channels = { "count/{name}": { plugins: [counting] } };

  async function count(server: TestServer, channel: string): Promise<unknown> {
    const { id } = (await (await post(server, channel)).json()) as { id: string };
    return (await fetch(`${server.urls.public}/channels/${channel}/messages/${id}`)).json();
  }

  test("is there when its channel was let go of, and is of that channel alone", async () => {
    const server = await start({ channels });
    expect(await count(server, "count/a")).toBe(1);
    expect(await count(server, "count/a")).toBe(2);
    expect(await count(server, "count/b")).toBe(1);
    await server.channels.sweep(Date.now() + 700_000);
    expect(await count(server, "count/a")).toBe(3);
  });

  test("is there in the next server, and in one beside it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidewire-life-"));
    try {
      const store = { use: "sqlite", path: join(folder, "kept", "store.db") } as const;
      const first = await start({ channels, store });
      expect(existsSync(store.path)).toBe(false);
      expect(await count(first, "count/a")).toBe(1);
      await first.stop();
      const [second, third] = [await start({ channels, store }), await start({ channels, store })];
      expect(await count(second, "count/a")).toBe(2);
      expect(await count(third, "count/a")).toBe(3);
    } finally {
      for (const server of servers.splice(0)) await server.stop();
      rmSync(folder, { recursive: true });
    }
  });

  test("is found by what replaces the plugin at a reload, and what was kept before it is there", async () => {
    const server = await start({ channels: { "count/{name}": { plugins: [{ use: counting }] } } });
    expect(await count(server, "count/a")).toBe(1);
    const first = server.channels.peek("count/a")!.plugins;
    const changed = { use: counting, with: { other: true } };
    await server.become({
      channels: { "count/{name}": { plugins: [changed] } },
    });
    expect(server.channels.peek("count/a")!.plugins).not.toBe(first);
    expect(await count(server, "count/a")).toBe(2);
  });

  test("may be written until close has ended, also as the server stops", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidewire-life-"));
    const found: unknown[] = [];
    const last = plugin("last", async ({ store }) => {
      found.push(await store.get("words"));
      return { close: () => store.set("words", "last") };
    });
    try {
      const store = { use: "sqlite", path: join(folder, "store.db") } as const;
      for (const _life of ["first", "second"]) {
        await (await start({ channels: { a: { plugins: [last] } }, store })).stop();
      }
      expect(found).toEqual([undefined, "last"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
