/** Reloads from files: of plugins that run in a thread of their own, and of a certificate. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { createLog } from "../log.ts";
import { developmentCertificate } from "./certificate.ts";
import { Reader, type Whole } from "./reader.ts";
import { startServer, type RunningServer } from "./server.ts";

let folder: string;
let server: RunningServer | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidewire-reload-files-"));
});
afterEach(async () => {
  await server?.stop();
  server = null;
  rmSync(folder, { recursive: true, force: true });
});

const write = (name: string, content: string) => writeFileSync(join(folder, name), content);

async function read(): Promise<Whole> {
  const whole = await new Reader(join(folder, "tidewire.yaml"), {}).read();
  if ("config" in whole) return whole;
  throw new Error(whole.diagnostics.map(({ message }) => message).join("; "));
}

async function start(): Promise<RunningServer> {
  const log = createLog({ level: "error", format: "json", write: (line) => console.error(line) });
  return (server = await startServer({ ...(await read()), log }));
}

test("an isolated plugin gets a thread with what its files hold now, and only when they changed", async () => {
  write(
    "tidewire.yaml",
    `server: { listen: "127.0.0.1:0" }
channels:
  a: { publish: clients, plugins: [{ use: ./plugin.ts, isolate: true }] }
`,
  );
  write(
    "plugin.ts",
    `import { definePlugin } from "tidewire"; import { mark } from "./mark.ts";
export default definePlugin({
  name: "isolated",
  setup() {
    let count = 0;
    return { transform: (draft) => ({ ...draft, data: mark + ++count }) };
  },
});`,
  );
  write("mark.ts", `export const mark = "old ";`);
  const running = await start();
  const publish = async () => {
    const [message] = await running.channels.peek("a")!.publish([{ data: 0 }]);
    return message!.data;
  };
  expect(await publish()).toBe("old 1");
  expect(await running.reload(await read())).toMatchObject({ changed: [], unchanged: 1 });
  expect(await publish()).toBe("old 2");
  write("mark.ts", `export const mark = "new ";`);
  expect(await running.reload(await read())).toMatchObject({ changed: ["a"], unchanged: 0 });
  expect(await publish()).toBe("new 1");
});

test("a certificate whose files were renewed needs a restart, and says so", async () => {
  const renew = async () => {
    const { cert, key } = await developmentCertificate();
    write("cert.pem", cert);
    write("key.pem", key);
  };
  await renew();
  write(
    "tidewire.yaml",
    `server: { listen: "127.0.0.1:0", tls: { cert: cert.pem, key: key.pem } }
channels: { a: {} }
`,
  );
  const running = await start();
  expect((await running.reload(await read())).needsRestart).toEqual([]);
  await renew();
  expect((await running.reload(await read())).needsRestart).toEqual(["server.tls"]);
});

test("a file that two plugins share is one module for both, also after a mistake that was taken back", async () => {
  const sharing = (name: string) => `import { definePlugin } from "tidewire";
import { seen } from "./shared.ts";
export default definePlugin({
  name: ${JSON.stringify(name)},
  setup: () => ({ transform: (draft) => ({ ...draft, data: seen.push(draft.data) }) }),
});`;
  const shared = `export const seen: unknown[] = [];`;
  write("a.ts", sharing("a"));
  write("b.ts", sharing("b"));
  write("shared.ts", shared);
  write(
    "tidewire.yaml",
    `server: { listen: "127.0.0.1:0" }
channels:
  a: { plugins: [{ use: ./a.ts }] }
  b: { plugins: [{ use: ./b.ts }] }
`,
  );
  const running = await start();
  const publish = async (channel: string) => {
    const [message] = await running.channels.peek(channel)!.publish([{ data: 0 }]);
    return message!.data;
  };
  expect([await publish("a"), await publish("b")]).toEqual([1, 2]);
  write("shared.ts", "export const seen = ;");
  await expect(read()).rejects.toThrow();
  write("shared.ts", shared);
  // Nothing is another than what runs: it goes on.
  expect(await running.reload(await read())).toMatchObject({ changed: [], unchanged: 2 });
  expect([await publish("a"), await publish("b")]).toEqual([3, 4]);
  write("a.ts", sharing("A"));
  expect(await running.reload(await read())).toMatchObject({ changed: ["a", "b"] });
  expect([await publish("a"), await publish("b")]).toEqual([1, 2]);
  // From here on only what changed.
  write("a.ts", sharing("a"));
  expect(await running.reload(await read())).toMatchObject({ changed: ["a"], unchanged: 1 });
  expect([await publish("a"), await publish("b")]).toEqual([3, 4]);
});
