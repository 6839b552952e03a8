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
  const use = { use: file, isolate: { timeoutMs: 1000, memory: 256 * 1024 ** 2 } };
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
