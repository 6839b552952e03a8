/** A server that stops while the workers of plugins spin: they are ended once, and the others close as ever. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { startTestServer } from "./testing.ts";

const SPINS = `import { definePlugin } from "tidewire";
export default definePlugin({
  name: "spins",
  setup: ({ log }) => ({
    async *source() { await new Promise(() => {}); },
    joined() {},
    sink() { log.info("spins"); for (;;); },
    close() { log.info("closed after all"); },
  }),
});`;

test("a worker that spins under a long timeout is ended once, and holds up neither the stop nor the others", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-stop-"));
  const file = join(folder, "spins.ts");
  writeFileSync(file, SPINS);
  const closed: string[] = [];
  const beside = definePlugin({
    name: "beside",
    setup: ({ channel }) => ({ close: () => void closed.push(channel.name) }),
  });
  const isolated = { use: file, isolate: { timeoutMs: 600_000, memory: 256 * 1024 ** 2 } };
  const server = await startTestServer({
    channels: { a: { plugins: [beside, isolated, isolated] }, b: { plugins: [beside] } },
    shutdown: { drainMs: 1000 },
  });
  const said = (part: string) =>
    server.logged.filter((line) => JSON.stringify(line).includes(part)).length;
  try {
    const url = `${server.urls.public}/channels/a`;
    expect((await fetch(url, { method: "POST", body: "1" })).status).toBe(201);
    while (said('"message":"spins"') < 2) await new Promise((resolve) => setImmediate(resolve));
    await server.stop();
    expect(closed.toSorted()).toEqual(["a", "b"]);
    // Had each step of the end waited for it, this is what the log would say.
    expect(said("still busy")).toBe(0);
    expect(said("closed after all")).toBe(0);
    expect(said("gave no sign of life for 2 s, when it was told to stop")).toBeGreaterThan(0);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}, 30_000);
