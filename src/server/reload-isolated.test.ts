/** A reload that comes while the worker of a plugin is down: the channel goes on with the new one. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { createLog } from "../log.ts";
import { Reader } from "./reader.ts";
import { startServer } from "./server.ts";

test("a plugin that can't be started again is replaced by one that can", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tidewire-reload-isolated-"));
  const write = (name: string, content: string) => writeFileSync(join(folder, name), content);
  const plugin = (setup: string, transform: string) => `import { definePlugin } from "tidewire";
export default definePlugin({
  name: "p",
  async setup({ store, signal }) {
    ${setup}
    return { transform: (draft) => (${transform}) };
  },
});`;
  write(
    "tidewire.yaml",
    `server: { listen: "127.0.0.1:0" }
channels:
  a: { publish: clients, plugins: [{ use: ./p.ts, isolate: true }] }
`,
  );
  const hangs = `if (await store.get("lived")) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await store.set("lived", true);`;
  write("p.ts", plugin(hangs, `draft.data === "evil" ? process.exit(1) : draft`));
  const reader = new Reader(join(folder, "tidewire.yaml"), {});
  const read = async () => {
    const whole = await reader.read({ isProbed: true });
    if ("config" in whole) return whole;
    throw new Error(whole.diagnostics.map(({ message }) => message).join("; "));
  };
  const lines: string[] = [];
  const log = createLog({ level: "error", format: "json", write: (line) => void lines.push(line) });
  const server = await startServer({ ...(await read()), log });
  try {
    const publish = async (data: unknown) => {
      const committed = await server.channels.peek("a")!.publish([{ data }]);
      return committed.map((message) => message.data);
    };
    expect(await publish("before")).toEqual(["before"]);
    expect(await publish("evil")).toEqual([]);
    while (!lines.join("").includes("worker ended")) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await publish("down")).toEqual([]);
    write("p.ts", plugin("", `{ ...draft, data: "new " + draft.data }`));
    expect(await server.reload(await read())).toMatchObject({ changed: ["a"] });
    expect(await publish("after")).toEqual(["new after"]);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}, 30_000);
