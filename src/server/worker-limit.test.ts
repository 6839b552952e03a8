/** `limits.workers`: clients that ask for ever other channels of a pattern do not get a thread for each. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { startTestServer } from "./testing.ts";

test("a channel of a pattern that needs one more worker than there may be is refused, the others go on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-workers-"));
  const file = join(folder, "mark.ts");
  writeFileSync(
    file,
    `import { definePlugin } from "tidewire";
export default definePlugin({ name: "mark", setup: () => ({ transform: (draft) => ({ ...draft, data: [draft.data] }) }) });`,
  );
  const use = { use: file, isolate: { timeoutMs: 60_000, memory: 256 * 1024 ** 2 } };
  const server = await startTestServer({
    limits: { workers: 2 },
    channels: { "room/{name}": { plugins: [use] }, fixed: { plugins: [use] } },
  });
  try {
    const post = (channel: string) =>
      fetch(`${server.urls.public}/channels/${channel}`, { method: "POST", body: "1" });
    expect((await post("room/a")).status).toBe(201);
    expect((await post("room/b")).status).toBe(201);
    const refused = await post("room/c");
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ type: "urn:tidewire:problem:channel-failed" });
    expect((await post("room/a")).status).toBe(201);
    // Declared by its name: it does not count.
    expect((await post("fixed")).status).toBe(201);
    // When one is let go of, there is room.
    await server.channels.sweep(Date.now() + 24 * 3600_000);
    expect((await post("room/c")).status).toBe(201);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
});

test("at the limit a room that nobody uses, and nothing was published to, makes room: the least used one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-workers-"));
  const file = join(folder, "quiet.ts");
  writeFileSync(
    file,
    `import { definePlugin } from "tidewire";
export default definePlugin({ name: "quiet", setup: () => ({ joined() {} }) });`,
  );
  const use = { use: file, isolate: { timeoutMs: 60_000, memory: 256 * 1024 ** 2 } };
  const server = await startTestServer({
    limits: { workers: 3 },
    channels: {
      "room/{name}": { plugins: [use] },
      "pair/{name}": { plugins: [use, use] },
      "crowd/{name}": { plugins: [use, use, use, use] },
      "plain/{name}": { plugins: [{ use: file }] },
    },
  });
  try {
    const open = async (channel: string) => {
      const answer = await fetch(`${server.urls.public}/channels/${channel}/messages`);
      return (await answer.text(), answer.status);
    };
    const post = async (channel: string) => {
      const url = `${server.urls.public}/channels/${channel}`;
      return (await fetch(url, { method: "POST", body: "1" })).status;
    };
    const live = () => Array.from(server.channels.live, ({ name }) => name).toSorted();
    // Used least of late, but it has no worker to give.
    expect(await open("plain/x")).toBe(200);
    expect(await post("room/kept")).toBe(201);
    expect([await open("room/b"), await open("room/c")]).toEqual([200, 200]);
    expect(await open("room/d")).toBe(200);
    expect(live()).toEqual(["plain/x", "room/c", "room/d", "room/kept"]);
    // It can never be: nobody is let go of for it.
    expect(await open("crowd/x")).toBe(503);
    expect(live()).toEqual(["plain/x", "room/c", "room/d", "room/kept"]);
    expect(await open("pair/x")).toBe(200);
    expect(live()).toEqual(["pair/x", "plain/x", "room/kept"]);
    const many = ["1", "2", "3", "4", "5", "6", "7", "8"].map((name) => open(`room/${name}`));
    const statuses = await Promise.all(many);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(2);
    expect(await open("room/after")).toBe(200);
    expect(live()).toContain("room/kept");
    // Those let go of count no longer.
    expect(live().length).toBeLessThanOrEqual(4);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
});
