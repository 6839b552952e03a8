/** The life of pattern channels, and the limit on connections. */
import { afterEach, describe, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { alive, history, post, server, start, sweepIn, TTL } from "./patterns-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { until } from "./until-testing.ts";

afterEach(() => server.stop());

describe("an idle pattern channel", () => {
  test("is let go of when its history is too old, a static one never", async () => {
    await start({ channels: { "room/{name}": { history }, fixed: { history } } });
    await post("/channels/room/a");
    await sweepIn(TTL - 1000);
    expect(alive()).toEqual(["fixed", "room/a"]);
    await sweepIn(TTL + 1000);
    expect(alive()).toEqual(["fixed"]);
  });

  test("is told of as a gap to a client that comes back with its old position", async () => {
    await start({ channels: { "room/{name}": { history } } });
    const { id } = (await (await post("/channels/room/a")).json()) as { id: string };
    await sweepIn(TTL + 1000);
    const url = `${server.urls.public}/channels/room/a?after=${id}`;
    const poll = await fetch(`${url}&wait=0`);
    expect(poll.status).toBe(204);
    expect(poll.headers.get("tidewire-gap")).toStartWith(`after="${id}", id="`);
    const page = await fetch(`${url}&wait=5`, {
      headers: { accept: "application/vnd.tidewire+json" },
    });
    expect(await page.json()).toMatchObject({ messages: [], gap: true });
    const socket = await TestSocket.open(url, "tidewire.v1");
    expect(await socket.json()).toMatchObject({ type: "subscribed", recovered: false });
    expect(await socket.json()).toMatchObject({ type: "gap", after: id });
    socket.close();
    const raw = await TestSocket.open(url);
    expect(await raw.next()).toMatchObject({ code: 4010 });
    const stream = await fetch(url, { headers: { accept: "text/event-stream" } });
    let text = "";
    for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes("tidewire:gap") && text.endsWith("}\n\n")) break;
    }
    expect(text).toContain(`"after":"${id}"`);
  });

  test("stays as long as somebody holds a connection, or has just been there", async () => {
    await start({ channels: { "room/{name}": { history } } });
    const socket = await TestSocket.open(`${server.urls.public}/channels/room/held`, "tidewire.v1");
    await socket.json();
    await sweepIn(10 * TTL);
    expect(alive()).toEqual(["room/held"]);
    await socket.ask({ type: "unsubscribe", channel: "room/held" });
    await sweepIn(TTL - 1000);
    expect(alive()).toEqual(["room/held"]);
    socket.close();
  });

  test("is let go of though its own source goes on publishing, and the source ends", async () => {
    const ended = Promise.withResolvers<void>();
    const source = definePlugin({
      name: "ticker",
      setup: ({ signal }) => ({
        async *source() {
          while (!signal.aborted) {
            yield { data: "tick" };
            await Bun.sleep(1);
          }
        },
        close: () => ended.resolve(),
      }),
    });
    await start({ channels: { "room/{name}": { history, plugins: [source] } } });
    await fetch(`${server.urls.public}/channels/room/a?after=earliest`);
    const { channel } = server.channels.peek("room/a")!;
    const before = channel.published;
    while (channel.published === before) await Bun.sleep(1);
    await sweepIn(TTL + 1000);
    expect(alive()).toEqual([]);
    await ended.promise;
  });

  test("that comes back waits for its plugins of before to have ended", async () => {
    const events: string[] = [];
    const gate = Promise.withResolvers<void>();
    const plugin = definePlugin({
      name: "slow-to-close",
      setup() {
        events.push("setup");
        return {
          async close() {
            await gate.promise;
            events.push("closed");
          },
        };
      },
    });
    await start({ channels: { "room/{name}": { history, plugins: [plugin] } } });
    await post("/channels/room/a");
    const sweeping = sweepIn(TTL + 1000);
    const back = post("/channels/room/a");
    // Its request has arrived when one that was sent later is answered.
    await fetch(`${server.urls.public}/nothing`);
    gate.resolve();
    expect((await back).status).toBe(201);
    await sweeping;
    expect(events).toEqual(["setup", "closed", "setup"]);
  });
});

describe("limits.connections", () => {
  const LIMIT = 3;
  async function expectFull(): Promise<void> {
    for (const headers of [{ accept: "text/event-stream" }, {}]) {
      const response = await fetch(`${server.urls.public}/channels/fixed`, {
        headers: headers as Record<string, string>,
      });
      expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
      expect(await response.json()).toMatchObject({
        type: "urn:tidewire:problem:too-many-connections",
        detail: "this server holds 3 connections, its limit; try again later",
      });
    }
    expect(TestSocket.open(`${server.urls.public}/channels/fixed`)).rejects.toThrow();
    expect(TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1")).rejects.toThrow();
    // Publishing holds no connection.
    expect((await post("/channels/fixed")).status).toBe(201);
  }

  test("refuses one more with 503, and takes it when one is gone", async () => {
    await start({ channels: { fixed: {} }, limits: { connections: LIMIT } });
    const stop = new AbortController();
    const sse = { headers: { accept: "text/event-stream" }, signal: stop.signal };
    // Kept to the end: a stream that nobody holds any more is closed by the garbage collector.
    const stream = await fetch(`${server.urls.public}/channels/fixed`, sse);
    const poll = fetch(`${server.urls.public}/channels/fixed`).then((response) => response.text());
    const socket = await TestSocket.open(`${server.urls.public}/channels/fixed`, "tidewire.v1");
    await socket.json();
    await until(() => server.connections === LIMIT);
    await expectFull();
    await poll;
    expect(stream.bodyUsed).toBe(false);
    stop.abort();
    socket.close();
    await until(() => server.connections === 0);
    await (await TestSocket.open(`${server.urls.public}/channels/fixed`)).close();
  });

  test("counts a socket once, with many subscriptions as with none", async () => {
    await start({ channels: { "room/{name}": {}, fixed: {} }, limits: { connections: LIMIT } });
    const url = `${server.urls.public}/channels`;
    const sockets: TestSocket[] = [];
    for (let i = 0; i < LIMIT; i++) sockets.push(await TestSocket.open(url, "tidewire.v1"));
    await expectFull();
    for (let i = 0; i < 10; i++) {
      await sockets[0]!.ask({ type: "subscribe", channel: `room/${i}` });
    }
    expect(server.connections).toBe(LIMIT);
    for (const socket of sockets) socket.close();
    await until(() => server.connections === 0);
  });

  test("holds for clients that wait together for a channel to open", async () => {
    const gate = Promise.withResolvers<void>();
    const slow = definePlugin({
      name: "slow",
      async setup() {
        await gate.promise;
        return {};
      },
    });
    await start({
      channels: { "room/{name}": { plugins: [slow] } },
      limits: { connections: LIMIT },
    });
    const url = `${server.urls.public}/channels/room/a`;
    const stop = new AbortController();
    const ask = (accept: string) =>
      fetch(url, { headers: { accept }, signal: stop.signal }).then(
        ({ status }) => status,
        () => null,
      );
    const asked = Array.from({ length: 10 }, () => ask("text/event-stream"));
    const polls = Array.from({ length: 10 }, () => ask("*/*"));
    const sockets = Array.from({ length: 10 }, () =>
      TestSocket.open(url).then(
        (socket) => socket.close(),
        () => {},
      ),
    );
    await fetch(`${server.urls.public}/nothing`);
    let most = 0;
    const look = setInterval(() => (most = Math.max(most, server.connections)), 1);
    gate.resolve();
    const statuses = await Promise.all(asked);
    await Promise.all(sockets);
    clearInterval(look);
    expect(most).toBeLessThanOrEqual(LIMIT);
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(LIMIT);
    expect(statuses).toContain(503);
    stop.abort();
    await Promise.all(polls);
    await until(() => server.connections === 0);
  });
});
