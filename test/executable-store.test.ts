/** What plugins keep, and publish to other channels, in the executable: over restarts and `kill -9`. */
import { beforeAll, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { executable, Folder, start, type RunningServer } from "./executable.ts";

const FILES = {
  "tidewire.yaml": `server: { listen: 127.0.0.1:0 }
channels:
  count/{name}:
    publish: clients
    plugins: [{ use: ./count.ts }]
  ping:
    publish: clients
    plugins: [{ use: ./forward.ts, with: { to: pong } }]
  pong:
    plugins: [{ use: ./forward.ts, with: { to: alerts } }]
  alerts:
    plugins: [{ use: ./forward.ts, with: { to: ping } }]
`,
  "count.ts": `import { definePlugin } from "tidewire";
export default definePlugin({
  name: "count",
  async setup({ store }) {
    let count = (await store.get<number>("count")) ?? 0;
    return {
      async transform(draft) {
        if (draft.data === "look") return { data: count };
        await store.set("count", ++count);
        return { data: count };
      },
    };
  },
});
`,
  "forward.ts": `import { definePlugin, t } from "tidewire";
export default definePlugin({
  name: "forward",
  options: t.Object({ to: t.String() }),
  setup: ({ channel, options }) => ({
    async sink(messages) {
      await channel(options.to).publish(messages.map(({ data }) => ({ data })));
    },
  }),
});
`,
};

beforeAll(() => executable(), 60_000);

/** Publishes to a channel and gives what it has committed last. */
async function publish(server: RunningServer, channel: string, data: unknown): Promise<unknown> {
  const url = `${server.publicUrl}/channels/${channel}`;
  const answer = await fetch(url, {
    method: "POST",
    body: JSON.stringify(data),
    headers: { "content-type": "application/json" },
  });
  expect(answer.status).toBe(201);
  const { id } = (await answer.json()) as { id: string };
  return (await fetch(`${url}/messages/${id}`)).json();
}

test("what a plugin has kept is there after a stop and after kill -9, in each channel its own", async () => {
  using folder = new Folder(FILES);
  const file = join(folder.path, ".tidewire", "store.db");
  {
    await using server = await start(folder);
    expect(await publish(server, "count/a", "look")).toBe(0);
    expect(existsSync(file)).toBe(false);
    expect(await publish(server, "count/a", "add")).toBe(1);
    expect(await publish(server, "count/a", "add")).toBe(2);
    expect(await publish(server, "count/b%2Fc", "add")).toBe(1);
    server.signal("SIGTERM");
    expect(await server.exited).toBe(0);
  }
  {
    await using server = await start(folder);
    expect(await publish(server, "count/a", "add")).toBe(3);
    server.signal("SIGKILL");
    await server.exited;
  }
  await using server = await start(folder);
  expect(await publish(server, "count/a", "look")).toBe(3);
  expect(await publish(server, "count/b%2Fc", "look")).toBe(1);
});

test("a store that is damaged fails the plugin that needs it, says why, and the server stays up", async () => {
  using folder = new Folder(FILES);
  folder.write(".tidewire/store.db", "no database ".repeat(1000));
  await using server = await start(folder);
  const answer = await fetch(`${server.publicUrl}/channels/count/a`, {
    method: "POST",
    body: "add",
  });
  expect(answer.status).toBe(503);
  const line = await server.log.line((line) => line.includes("could not be opened"));
  expect(line).toContain("store.db is no readable database (SQLITE_NOTADB");
  expect(await publish(server, "ping", 1)).toBe(1);
});

test("a loop over three channels is refused, and the log shows the way", async () => {
  using folder = new Folder(FILES);
  await using server = await start(folder);
  expect(await publish(server, "ping", { n: 1 })).toEqual({ n: 1 });
  const line = await server.log.line((line) => line.includes("plugin failed in sink"));
  expect(line).toContain("the message has passed it already: ping → pong → alerts → ping");
  for (const channel of ["ping", "pong", "alerts"]) {
    const url = `${server.publicUrl}/channels/${channel}/messages?after=earliest`;
    const { messages } = (await (await fetch(url)).json()) as { messages: unknown[] };
    expect(messages).toHaveLength(1);
  }
});

test("a store in memory writes no file", async () => {
  using folder = new Folder(FILES);
  writeFileSync(
    join(folder.path, "tidewire.yaml"),
    `store: { use: memory }\n${FILES["tidewire.yaml"]}`,
  );
  await using server = await start(folder);
  expect(await publish(server, "count/a", "add")).toBe(1);
  expect(existsSync(join(folder.path, ".tidewire"))).toBe(false);
});
