/** The end of the executable: SIGTERM and SIGINT, with clients connected. */
import { expect, test } from "bun:test";
import { Folder, launch, start } from "./executable.ts";
import { http2Push } from "./transports/clients/http2-push.ts";
import { rawWebSocket } from "./transports/clients/websocket.ts";

const CONFIG = `server: { listen: 127.0.0.1:0, http2_push: { listen: 127.0.0.1:0 } }
control: { listen: 127.0.0.1:0 }
shutdown: { drain: 1s }
sse: { retry: 2s }
channels:
  news: { transports: [websocket, sse, long-poll, http2-push] }
  slow: { publish: clients, plugins: [{ use: ./slow.ts }] }
`;

/** A plugin that takes its time over a message: as many milliseconds as the message says. */
const SLOW = `import { definePlugin } from "tidewire";
export default definePlugin({
  name: "slow",
  setup: ({ log }) => ({
    async transform(draft) {
      log.info("begins", { data: draft.data });
      await Bun.sleep(Number(draft.data));
      return draft;
    },
    close() { log.info("closes"); },
  }),
});
`;

function publishSlowly(url: string, ms: number): Promise<Response> {
  return fetch(`${url}/channels/slow`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: String(ms),
  });
}

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s tells every client to come back, answers what is under way and exits with 0",
  async (signal) => {
    using folder = new Folder({ "tidewire.yaml": CONFIG, "slow.ts": SLOW });
    await using server = await start(folder);
    const { publicUrl: url, pushUrl, controlUrl } = server;
    const events = await fetch(`${url}/channels/news`, {
      headers: { accept: "text/event-stream" },
    });
    const socket = await rawWebSocket.open({ url, channel: "news" });
    const pushes = await http2Push.open({ url: pushUrl, channel: "news" });
    const poll = fetch(`${url}/channels/news?transport=long-poll`);
    const publish = publishSlowly(url, 200);
    await server.log.message("begins");
    await untilConnected(controlUrl, 4);

    const startedMs = performance.now();
    server.signal(signal);
    expect(await socket.next()).toEqual({ type: "end", code: 1001 });
    expect(await pushes.next()).toEqual({ type: "end", code: 1001 });
    const [, retryMs] = /\nretry: (\d+)\n\n$/.exec(await events.text()) ?? [];
    expect(Number(retryMs)).toBeWithin(2000, 2501);
    expect((await poll).status).toBe(204);
    const published = await publish;
    expect(published.status).toBe(201);
    expect(await server.exited).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(1500);
    await server.log.message("closes");
    expect(await fetch(`${url}/channels/news`).catch((error: Error) => error)).toBeInstanceOf(
      Error,
    );
    await pushes.close();
  },
);

test("SIGTERM does not wait longer than shutdown.drain, and still exits with 0", async () => {
  using folder = new Folder({
    "tidewire.yaml": CONFIG.replace("drain: 1s", "drain: 300ms"),
    "slow.ts": SLOW,
  });
  await using server = await start(folder);
  const publish = publishSlowly(server.publicUrl, 60_000).catch((error: Error) => error);
  await server.log.message("begins");
  const startedMs = performance.now();
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
  // And not the ten seconds that are the default, nor the minute of the publish.
  expect(performance.now() - startedMs).toBeWithin(290, 9000);
  expect(await publish).toBeInstanceOf(Error);
});

test("a second signal ends it at once, with 1", async () => {
  using folder = new Folder({
    "tidewire.yaml": CONFIG.replace("drain: 1s", "drain: 1m"),
    "slow.ts": SLOW,
  });
  await using server = await start(folder);
  void publishSlowly(server.publicUrl, 60_000).catch(() => {});
  await server.log.message("begins");
  server.signal("SIGTERM");
  await server.log.message("stopping");
  server.signal("SIGINT");
  // Long before the minute that it may take, which is longer than this test may.
  expect(await server.exited).toBe(1);
});

test("SIGTERM while plugins are set up stops it when they are, with all that belongs to an end", async () => {
  using folder = new Folder({
    "tidewire.yaml": `server: { listen: 127.0.0.1:0 }
channels: { news: { plugins: [{ use: ./thorough.ts }] } }
`,
    "thorough.ts": `import { definePlugin } from "tidewire";
export default definePlugin({
  name: "thorough",
  async setup({ log }) {
    log.info("begins");
    await Bun.sleep(100);
    return { close: () => log.info("closes") };
  },
});
`,
  });
  await using server = await launch(folder);
  await server.log.message("begins");
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
  await server.log.message("closes");
  await server.log.message("stopped");
});

/** Resolves when the channel has so many connections: that a poll is held shows nowhere else. */
async function untilConnected(controlUrl: string, count: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const response = await fetch(`${controlUrl}/channels/news`);
    const { connections } = (await response.json()) as { connections: Record<string, number> };
    const total = Object.values(connections).reduce((sum, each) => sum + each, 0);
    if (total === count) return;
    await Bun.sleep(5);
  }
  throw new Error(`there were never ${count} connections`);
}
