/** Clients that a test plays, and sinks. */
import { describe, expect, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import { definePlugin, RefusedError, type Hooks } from "tidewire";
import { start } from "tidewire/testing";
import echo from "../../../plugins/echo.ts";
import webhook from "../../../plugins/webhook.ts";

const hooked = (hooks: Hooks) => definePlugin({ name: "made", setup: () => hooks });

describe("client.send()", () => {
  test("is answered to that client alone", async () => {
    await using plugin = await start(echo, { options: { prefix: "> " } });
    const [one, other] = [plugin.client(), plugin.client()];
    expect(await one.send("hi")).toEqual([]);
    await one.send({ n: 1 });
    expect(one.received).toEqual(["> hi", '> {"n":1}']);
    expect(other.received).toEqual([]);
    expect(plugin.published).toEqual([]);
  });

  test("gives what was published, and shows the client as it came", async () => {
    await using plugin = await start(
      hooked({
        async receive(data, client, raw) {
          await sleep(9000);
          client.send("taken", { event: "ok" });
          const { transport, address } = client;
          const user = client.headers.get("x-user");
          return { data: [data, raw, transport, address, user, client.query.get("room")] };
        },
        transform: (draft) => ({ ...draft, key: "k" }),
      }),
    );
    const client = plugin.client({
      transport: "post",
      headers: { "x-user": "ada" },
      query: { room: "1" },
      address: "10.0.0.1",
    });
    expect(await client.sendJson('{"n": 1.0}', { event: "e" })).toEqual([
      { data: [{ n: 1 }, '{"n": 1.0}', "post", "10.0.0.1", "ada", "1"], event: "e", key: "k" },
    ]);
    expect(client.answers).toEqual([{ data: "taken", event: "ok" }]);
  });

  test("throws what receive threw, or that it took too long, or that it refused", async () => {
    await using plugin = await start(
      hooked({
        async receive(data) {
          if (data === "slow") await sleep(20_000);
          if (data === "no") throw new RefusedError("not today");
          throw new Error("boom");
        },
      }),
    );
    const client = plugin.client();
    await expect(client.send("x")).rejects.toThrow('plugin "made", receive, channel "test": boom');
    await expect(client.send("slow")).rejects.toThrow("receive did not end within 10 s");
    await expect(client.send("no")).rejects.toThrow("not today");
    expect(plugin.errors).toHaveLength(2);
  });

  test("needs a receive, or a channel that clients publish to", async () => {
    await using plugin = await start(hooked({ transform: (draft) => draft }));
    await expect(plugin.client().send(1)).rejects.toThrow("made has no receive; start it with");
    await using open = await start(hooked({}), { publish: "clients" });
    expect(await open.client().send(1)).toEqual([{ data: 1 }]);
  });

  test("ends where a hook closes the connection, and left is called", async () => {
    const left: string[] = [];
    await using plugin = await start(
      hooked({
        receive: (_data, client) => client.close(4001, "go away"),
        left: (client) => void left.push(client.id),
      }),
    );
    const client = plugin.client();
    await client.join();
    await client.send("x");
    expect(client.closed).toEqual({ code: 4001, reason: "go away" });
    expect(left).toEqual([client.id]);
    await expect(client.send("y")).rejects.toThrow('with code 4001: "go away"');
  });
});

describe("client.join() and leave()", () => {
  test("call the hooks, and wait for them", async () => {
    await using plugin = await start(
      definePlugin({
        name: "presence",
        setup: ({ emit }) => ({
          async joined(client) {
            await sleep(1000);
            client.send("welcome");
            emit({ event: "joined", data: client.id });
          },
          left: (client) => void emit({ event: "left", data: client.id }),
        }),
      }),
    );
    const client = plugin.client({ transport: "sse" });
    await client.leave();
    await client.join();
    await client.join();
    expect(client.received).toEqual(["welcome"]);
    await client.leave();
    expect(plugin.published.map(({ event, data }) => [event, data])).toEqual([
      ["joined", client.id],
      ["left", client.id],
    ]);
  });

  test("throw what the hooks threw", async () => {
    await using plugin = await start(
      hooked({
        joined: () => {
          throw new Error("no room");
        },
      }),
    );
    await expect(plugin.client().join()).rejects.toThrow('plugin "made", joined');
  });
});

describe("authorize()", () => {
  const guarded = hooked({
    authorize({ action, cookies }) {
      const user = cookies.get("user");
      if (user === "broken") throw new Error("no database");
      if (user === undefined) return { deny: "no cookie" };
      return action === "subscribe" || user === "ada" ? "allow" : undefined;
    },
  });

  test("gives the verdict and its reason", async () => {
    await using plugin = await start(guarded);
    const headers = { cookie: "user=ada" };
    expect(await plugin.authorize({ headers })).toBe("allow");
    expect(await plugin.authorize()).toEqual({ deny: "no cookie" });
    const publish = { action: "publish", headers: { cookie: "user=bob" } } as const;
    expect(await plugin.authorize(publish)).toMatchObject({
      deny: expect.stringContaining("none"),
    });
    await expect(plugin.authorize({ headers: { cookie: "user=broken" } })).rejects.toThrow(
      'plugin "made", authorize, channel "test": no database',
    );
  });

  test("is asked when a client joins or publishes, as by the server", async () => {
    await using plugin = await start(guarded, { publish: "authorized" });
    const bob = plugin.client({ headers: { cookie: "user=bob" } });
    await bob.join();
    await expect(bob.send("hi")).rejects.toThrow("authorize denied to publish: none of");
    const ada = plugin.client({ headers: { cookie: "user=ada" } });
    expect(await ada.send("hi")).toEqual([{ data: "hi" }]);
    await expect(plugin.client().join()).rejects.toThrow("denied to subscribe: no cookie");
  });

  test("needs the hook", async () => {
    await using plugin = await start("echo");
    await expect(plugin.authorize()).rejects.toThrow("echo has no authorize");
  });
});

describe("a sink", () => {
  test("gets what is fed, and has done its work when feed returns", async () => {
    const got: unknown[] = [];
    using site = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        got.push(await request.json());
        return new Response();
      },
    });
    await using plugin = await start(webhook, { options: { url: site.url.href } });
    await plugin.feed([{ data: 1 }, { data: 2, event: "e" }]);
    const first = Date.parse("2026-01-01T00:00:00Z");
    expect(got).toMatchObject([
      [
        { channel: "test", time: first, data: 1 },
        { data: 2, event: "e" },
      ],
    ]);
  });

  test("is retried without waiting", async () => {
    let asked = 0;
    using site = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response("", { status: ++asked < 4 ? 503 : 200 }),
    });
    await using plugin = await start(webhook, { options: { url: site.url.href } });
    await plugin.feed({ data: 1 });
    await plugin.clock.advance("1m");
    expect(asked).toBe(4);
    expect(plugin.log.at(-1)).toMatchObject({ level: "info", message: "delivers again" });
  });

  test("gets what is committed, past the transforms", async () => {
    const batches: number[] = [];
    await using plugin = await start(
      hooked({
        transform: () => null,
        async sink(messages) {
          batches.push(messages.length);
          await sleep(500);
        },
      }),
    );
    const committed = await plugin.commit([{ data: 1 }, { data: 2, key: "k" }]);
    expect(committed).toMatchObject([{ data: 1 }, { data: 2, key: "k" }]);
    expect(plugin.sunk).toEqual(committed);
    expect(batches).toEqual([2]);
  });

  test("that throws makes the call throw", async () => {
    await using plugin = await start(
      hooked({ sink: () => Promise.reject(new Error("disk is full")) }),
    );
    await expect(plugin.feed({ data: 1 })).rejects.toThrow('plugin "made", sink');
    await expect(plugin.commit({ data: 2 })).rejects.toThrow("disk is full");
  });

  test("is needed by commit", async () => {
    await using plugin = await start("echo");
    await expect(plugin.commit({ data: 1 })).rejects.toThrow("echo has no sink");
  });
});
