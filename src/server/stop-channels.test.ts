/** How channels end when a server stops: nobody is left waiting, and every plugin is closed. */
import { connect as connectHttp2 } from "node:http2";
import { expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { sendRaw } from "./raw-http-testing.ts";
import { startTestServer } from "./testing.ts";

const free = { hostname: "127.0.0.1", port: 0 };

/** A plugin whose setup waits until it is let go on. */
function slowToStart() {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const closed: string[] = [];
  const plugin = definePlugin({
    name: "slow-to-start",
    async setup({ channel }) {
      begun.resolve();
      await gate.promise;
      return { close: () => void closed.push(channel.name) };
    },
  });
  return { plugin, open: () => gate.resolve(), begun: begun.promise, closed };
}

const WEBSOCKET =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

test("stop() tells those whose channel is opening at once, and ends the channel when it is open", async () => {
  const { plugin, open, begun, closed } = slowToStart();
  const server = await startTestServer({
    channels: { "room/{name}": { plugins: [plugin] } },
    server: { http2Push: { listen: free, tls: null } },
    shutdown: { drainMs: 60_000 },
  });
  const get = (headers: string) =>
    sendRaw(
      server.urls.public,
      `GET /channels/room/a HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`,
    );
  const session = connectHttp2(server.urls.http2Push!);
  session.on("error", () => {});
  const getHttp2 = (path: string) =>
    new Promise((resolve) =>
      session
        .request({ ":path": path, accept: "application/vnd.tidewire.push" })
        .on("response", (headers) => resolve(headers[":status"])),
    );
  const pushed = getHttp2("/channels/room/a");
  const asked = ["Accept: text/event-stream\r\n", "Accept: */*\r\n", WEBSOCKET].map(get);
  await begun;
  // Those that were sent before it have arrived.
  expect(await getHttp2("/nothing")).toBe(404);
  await fetch(`${server.urls.public}/nothing`);
  const stopped = server.stop();
  for (const answer of await Promise.all(asked)) {
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(answer.body).toContain("urn:tidewire:problem:stopping");
  }
  expect(await pushed).toBe(503);
  session.destroy();
  open();
  await stopped;
  expect(closed).toEqual(["room/a"]);
  expect(server.connections).toBe(0);
});

test("stop() cuts off clients at shutdown.drain, and runs every close hook all the same", async () => {
  const closed: string[] = [];
  const gates = new Map(
    ["first", "second", "third"].map((n) => [n, Promise.withResolvers<void>()]),
  );
  const plugins = [...gates].map(([name, gate]) =>
    definePlugin({
      name,
      setup: () => ({
        async close() {
          await gate.promise;
          closed.push(name);
        },
      }),
    }),
  );
  const server = await startTestServer({
    channels: { prices: { plugins } },
    shutdown: { drainMs: 20 },
  });
  // Half a body, which never comes to its end.
  const cut = sendRaw(
    server.urls.public,
    "POST /channels/prices HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf",
  );
  await fetch(`${server.urls.public}/nothing`);
  const stopped = server.stop();
  expect((await cut).status).toBeNull();
  expect(closed).toEqual([]);
  for (const { resolve } of gates.values()) resolve();
  await stopped;
  expect(closed).toEqual(["third", "second", "first"]);
});

test("stop() ends its channels side by side", async () => {
  const names = ["a", "b", "c"];
  const ending: string[] = [];
  const all = Promise.withResolvers<void>();
  const plugin = definePlugin({
    name: "waits-for-the-others",
    setup: ({ channel }) => ({
      async close() {
        ending.push(channel.name);
        if (ending.length === names.length) all.resolve();
        await all.promise;
      },
    }),
  });
  const channels = Object.fromEntries(names.map((name) => [name, { plugins: [plugin] }]));
  const server = await startTestServer({ channels, shutdown: { drainMs: 20 } });
  await server.stop();
  expect(ending.toSorted()).toEqual(names);
  expect(server.logged.filter(({ level }) => level === "error")).toEqual([]);
});

test("stop() ends listeners and the other channels when one can't be ended, and says so", async () => {
  const closed: string[] = [];
  const plugin = definePlugin({
    name: "closing",
    setup: ({ channel }) => ({ close: () => void closed.push(channel.name) }),
  });
  const channels = { broken: { plugins: [plugin] }, fine: { plugins: [plugin] } };
  const server = await startTestServer({ channels });
  const { log } = server.channels.peek("broken")!.channel;
  const close = log.close.bind(log);
  log.close = () => {
    log.close = close;
    throw new Error("the disk is gone");
  };
  await server.stop();
  expect(closed.toSorted()).toEqual(["broken", "fine"]);
  expect(server.logged).toContainEqual(
    expect.objectContaining({ message: "a channel did not end", channel: "broken" }),
  );
  await expect(fetch(server.urls.public)).rejects.toThrow();
});
