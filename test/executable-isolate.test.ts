/** Isolated plugins in the executable: whatever one does in its worker, the server and its other channels go on. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Folder, start, type RunningServer } from "./executable.ts";
import { rawWebSocket } from "./transports/clients/websocket.ts";

function post(url: string, data: unknown): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(data),
  });
}

let folder: Folder;
let server: RunningServer;

beforeAll(async () => {
  folder = new Folder({
    "tidewire.yaml": `server: { listen: 127.0.0.1:0 }
channels:
  evil:
    publish: clients
    plugins:
      - { use: ./plugins/evil.ts, with: { mark: told }, isolate: true, timeout: 500ms }
  greedy:
    publish: clients
    plugins:
      # Silent while it allocates: on a busy machine it needs its time to come to what it may hold.
      - { use: ./plugins/evil.ts, isolate: true, timeout: 60s, memory: 64MiB }
  strict:
    publish: clients
    plugins: [{ use: ./plugins/evil.ts, isolate: true, timeout: 500ms, on_error: stop }]
  shipped:
    publish: clients
    plugins: [{ use: map, with: { to: '{ "twice": data.n * 2 }' }, isolate: true }]
  other:
    publish: clients
`,
    "plugins/evil.ts": `import { definePlugin, t } from "tidewire";
import { mark } from "greeting";
import { does } from "./does.ts";
export default definePlugin({
  name: "evil",
  options: t.Object({ mark: t.String({ default: "none" }) }),
  setup({ options, log }) {
    log.info("evil is set up", { mark: mark(options.mark) });
    return {
      transform(draft) {
        does(draft.data);
        return { ...draft, data: { done: draft.data } };
      },
    };
  },
});
`,
    "plugins/does.ts": `export function does(what: unknown): void {
  if (what === "spin") for (;;);
  if (what === "exit") process.exit(7);
  if (what === "throw") throw new RangeError("odd");
  if (what === "stray") setTimeout(() => { throw new TypeError("stray"); });
  if (what === "reject") void Promise.reject(new TypeError("nobody waits"));
  if (what === "allocate") { const all: unknown[] = []; for (;;) all.push(new Array(1000).fill(0)); }
}
`,
    "plugins/node_modules/greeting/package.json": `{ "name": "greeting", "exports": "./index.js" }`,
    "plugins/node_modules/greeting/index.js": `export const mark = (name) => "mark " + name;`,
  });
  server = await start(folder);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const ended = (reason: string) => (line: string) =>
  line.includes("plugin's worker ended") && line.includes(reason);

describe("an isolated plugin", () => {
  test("has its relative imports, its own node_modules and its options", async () => {
    // Three channels have it, each in a worker of its own, that start as they start.
    const line = await server.log.line(
      (line) => line.includes("evil is set up") && line.includes('"channel":"evil"'),
    );
    expect(JSON.parse(line)).toMatchObject({ mark: "mark told", plugin: "evil" });
    const answer = await post(`${server.publicUrl}/channels/evil`, "fine");
    expect(answer.status).toBe(201);
    const kept = await fetch(`${server.publicUrl}${answer.headers.get("location")}`);
    expect(await kept.json()).toEqual({ done: "fine" });
  });

  test("may be one that ships", async () => {
    const answer = await post(`${server.publicUrl}/channels/shipped`, { n: 21 });
    const kept = await fetch(`${server.publicUrl}${answer.headers.get("location")}`);
    expect(await kept.json()).toEqual({ twice: 42 });
  });

  test.each([
    ["spin", "evil", "no sign of life for 0.5 s"],
    ["exit", "evil", "exit code 7"],
    ["allocate", "greedy", `more than the 64 MiB of its \\"memory:\\"`],
  ])(
    "that does %s is ended and comes back, while another channel gets everything",
    async (what, channel, reason) => {
      const { publicUrl, log } = server;
      const before = log.lines.filter(ended(reason)).length;
      const back = log.lines.filter((line) => line.includes("worker is there again")).length;
      const client = await rawWebSocket.open({ url: publicUrl, channel: "other" });
      const fate = post(`${publicUrl}/channels/${channel}`, what);
      const sent: number[] = [];
      let isEnded = false;
      const ending = log.line(ended(reason), before + 1).then(() => (isEnded = true));
      while (!isEnded || sent.length < 50) {
        const answer = await post(`${publicUrl}/channels/other`, sent.length);
        expect(answer.status).toBe(201);
        sent.push(sent.length);
      }
      await ending;
      expect((await fate).status).toBe(202);
      for (const number of sent) {
        expect(await client.next()).toMatchObject({ type: "message", text: `${number}` });
      }
      client.close();
      await log.line((line) => line.includes("worker is there again"), back + 1);
      expect((await post(`${publicUrl}/channels/${channel}`, "fine again")).status).toBe(201);
    },
    60_000,
  );

  test("with on_error: stop tells the publisher", async () => {
    const answer = await post(`${server.publicUrl}/channels/strict`, "throw");
    expect(answer.status).toBe(500);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await answer.json()).toMatchObject({ type: "urn:tidewire:problem:plugin-failed" });
    // Not to be tried again: it may be this very message that the worker ended of.
    const held = await post(`${server.publicUrl}/channels/strict`, "exit");
    expect(held.status).toBe(500);
    const down = await post(`${server.publicUrl}/channels/strict`, "fine");
    expect(down.status).toBe(503);
    expect(await down.json()).toMatchObject({ type: "urn:tidewire:problem:plugin-unavailable" });
    expect(down.headers.get("retry-after")).toBe("1");
    const history = await fetch(`${server.publicUrl}/channels/strict/messages`);
    expect(await history.json()).toMatchObject({ messages: [] });
  });

  test("that throws outside of its hooks is logged, with the author's place, and goes on", async () => {
    for (const what of ["stray", "reject"]) {
      expect((await post(`${server.publicUrl}/channels/evil`, what)).status).toBe(201);
    }
    const stray = await server.log.message("uncaught exception");
    expect(stray).toMatchObject({ plugin: "evil", channel: "evil", error: { message: "stray" } });
    expect((stray["error"] as { stack: string }).stack).toContain("does.ts:5");
    await server.log.message("unhandled rejection");
    expect((await post(`${server.publicUrl}/channels/evil`, "fine")).status).toBe(201);
  });

  test("is ended with the server", async () => {
    server.signal("SIGTERM");
    expect(await server.exited).toBe(0);
  });
});
