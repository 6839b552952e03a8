/** What a publisher is told when a plugin fails at its message, or its worker is down. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "bun:test";
import { definePlugin } from "../plugin/sdk.ts";
import { startTestServer } from "./testing.ts";

const folder = mkdtempSync(join(tmpdir(), "tidewire-failure-"));
const file = join(folder, "evil.ts");
writeFileSync(
  file,
  `import { definePlugin } from "tidewire";
export default definePlugin({ name: "evil", setup: () => ({ transform: (draft) => (draft.data === "evil" ? process.exit(1) : draft) }) });`,
);
afterAll(() => rmSync(folder, { recursive: true }));

const odd = definePlugin({
  name: "odd",
  setup: () => ({
    transform(draft) {
      if (draft.data === "evil") throw new Error("odd");
      return draft;
    },
  }),
});

const isolate = { timeoutMs: 60_000, memory: 256 * 1024 ** 2 };

function post(url: string, lines: readonly unknown[]): Promise<Response> {
  return fetch(`${url}/channels/a`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: lines.map((line) => JSON.stringify(line)).join("\n"),
  });
}

describe.each([
  ["in the server's thread", { use: odd }],
  ["in a worker", { use: file, isolate }],
])("A transform %s that fails", (_where, use) => {
  test.each([
    ["drop", 201, 2],
    ["pass", 201, 3],
  ] as const)("with on_error: %s leaves the others of its POST", async (onError, status, count) => {
    await using server = await open({ ...use, onError });
    // A worker that ends holds all of a POST: with drop nothing is left of it.
    const isHeld = "isolate" in use && onError === "drop";
    const answer = await post(server.url, ["a", "evil", "b"]);
    expect(answer.status).toBe(isHeld ? 202 : status);
    const { ids = [] } = (await answer.json()) as { ids?: string[] };
    expect(ids).toHaveLength(isHeld ? 0 : count);
  });

  test("with on_error: stop refuses its POST, and a frame", async () => {
    await using server = await open({ ...use, onError: "stop" });
    const answer = await post(server.url, ["a", "evil", "b"]);
    expect(answer.status).toBe(500);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await answer.json()).toMatchObject({ type: "urn:tidewire:problem:plugin-failed" });
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/channels`, "tidewire.v1");
    await new Promise((resolve) => (socket.onopen = resolve));
    const frame = new Promise<string>(
      (resolve) => (socket.onmessage = (event) => resolve(event.data as string)),
    );
    socket.send(JSON.stringify({ type: "publish", channel: "a", data: "evil", ref: 7 }));
    const { type, code, ref } = JSON.parse(await frame) as Record<string, unknown>;
    // Right after the POST its worker is down: that is told apart.
    expect([type, ref, code]).toEqual([
      "error",
      7,
      "isolate" in use ? "plugin-unavailable" : "plugin-failed",
    ]);
    socket.close();
    const history = await fetch(`${server.url}/channels/a/messages`);
    expect(await history.json()).toMatchObject({ messages: [] });
  });
});

async function open(use: object) {
  const server = await startTestServer({ channels: { a: { plugins: [use as never] } } });
  return { url: server.urls.public, [Symbol.asyncDispose]: () => server.stop() };
}
