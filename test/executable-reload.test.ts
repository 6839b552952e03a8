/** `run --watch` and SIGHUP of the executable: a plugin and the config are edited while clients are connected. */
import { renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "bun:test";
import {
  executable,
  Folder,
  launch,
  start,
  type LogLine,
  type RunningServer,
} from "./executable.ts";
import { rawWebSocket } from "./transports/clients/websocket.ts";

beforeAll(async () => void (await executable()), 60_000);

const CONFIG = `server: { listen: 127.0.0.1:0 }
channels:
  prices: { publish: clients, plugins: [{ use: ./plugins/mark.ts }] }
`;

const PLUGIN = `import { definePlugin } from "tidewire";
import { mark } from "./lib/mark.ts";
export default definePlugin({
  name: "mark",
  setup: () => ({ transform: (draft) => ({ ...draft, data: mark + String(draft.data) }) }),
});
`;

const MARK = (mark: string) => `export const mark = ${JSON.stringify(mark)};\n`;

function files(): Folder {
  return new Folder({
    "tidewire.yaml": CONFIG,
    "plugins/mark.ts": PLUGIN,
    "plugins/lib/mark.ts": MARK("one "),
  });
}

async function publish(server: RunningServer, text: string): Promise<number> {
  const response = await fetch(`${server.publicUrl}/channels/prices`, {
    method: "POST",
    body: text,
    headers: { "content-type": "text/plain" },
  });
  return response.status;
}

/** The line that tells of the given reload, from 1: of those that worked, or of those that did not. */
async function reloaded(server: RunningServer, which: number, isFine = true): Promise<LogLine> {
  const message = isFine ? '"message":"reloaded"' : '"message":"reload failed';
  return JSON.parse(await server.log.line((line) => line.includes(message), which)) as LogLine;
}

/** As many editors save: a new file takes the place of the old one. */
function save(folder: Folder, name: string, content: string): void {
  renameSync(folder.write(`${name}~`, content), join(folder.path, name));
}

test("SIGHUP reads the plugins and what they import again, and clients stay", async () => {
  using folder = files();
  await using server = await start(folder);
  const client = await rawWebSocket.open({ url: server.publicUrl, channel: "prices" });
  await publish(server, "a");
  folder.write("plugins/lib/mark.ts", MARK("two "));
  server.signal("SIGHUP");
  expect(await reloaded(server, 1)).toMatchObject({ why: "SIGHUP", changed: ["prices"] });
  await publish(server, "b");

  // Invalid: told with its place, and the old state goes on.
  folder.write("plugins/lib/mark.ts", "export const mrk = 1;\n");
  server.signal("SIGHUP");
  expect(await reloaded(server, 1, false)).toMatchObject({ errors: 1 });
  expect(server.log.lines.join("\n")).toContain("--> plugins/mark.ts:2:10");
  await publish(server, "c");

  folder.write("plugins/lib/mark.ts", MARK("three "));
  server.signal("SIGHUP");
  await reloaded(server, 2);
  await publish(server, "d");

  folder.write(
    "tidewire.yaml",
    CONFIG.replace("127.0.0.1:0", "127.0.0.1:1").replace("prices", "p"),
  );
  server.signal("SIGHUP");
  expect(await reloaded(server, 3)).toMatchObject({ added: ["p"], removed: ["prices"] });
  expect(await server.log.line((line) => line.includes("needs a restart"))).toContain(
    "1 change of the config needs a restart: server.listen",
  );
  expect(await publish(server, "e")).toBe(404);
  const got = [];
  for (let i = 0; i < 5; i++) got.push(await client.next());
  expect(got.map((item) => ("text" in item ? item.text : item))).toEqual([
    "one a",
    "two b",
    "two c",
    "three d",
    { type: "end", code: 4004 },
  ]);
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
});

test("run --watch reloads when a file is saved, and after a mistake when it is put right", async () => {
  using folder = files();
  await using server = await start(folder, { args: ["run", "--watch"] });
  const client = await rawWebSocket.open({ url: server.publicUrl, channel: "prices" });
  save(folder, "plugins/lib/mark.ts", MARK("two "));
  expect(await reloaded(server, 1)).toMatchObject({ why: "a file changed", changed: ["prices"] });
  await publish(server, "a");

  // The import of a file that is not there yet.
  save(folder, "plugins/lib/mark.ts", `export { mark } from "./deep/mark.ts";\n`);
  await reloaded(server, 1, false);
  folder.write("plugins/lib/deep/mark.ts", MARK("deep "));
  await reloaded(server, 2);
  await publish(server, "b");
  // That file is watched from then on.
  save(folder, "plugins/lib/deep/mark.ts", MARK("deeper "));
  await reloaded(server, 3);
  await publish(server, "c");

  save(folder, "tidewire.yaml", CONFIG.replace("publish", "publihs"));
  await server.log.line((line) => line.includes('"publihs" is not a key of a channel'));
  await reloaded(server, 2, false);
  save(
    folder,
    "tidewire.yaml",
    `${CONFIG}  more: { schema: { type: string }, publish: "\${file:who}" }\n`,
  );
  await reloaded(server, 3, false);
  // A file that the config names counts as a part of it.
  folder.write("who", "clients\n");
  expect(await reloaded(server, 4)).toMatchObject({ added: ["more"], unchanged: 1 });
  folder.write("who", "nobody\n");
  expect(await reloaded(server, 5)).toMatchObject({ changed: ["more"], unchanged: 1 });

  const got = [];
  for (let i = 0; i < 3; i++) got.push(await client.next());
  expect(got.map((item) => ("text" in item ? item.text : item))).toEqual([
    "two a",
    "deep b",
    "deeper c",
  ]);
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
});

test("run --watch follows links that are swapped, though a database grows beside them", async () => {
  using folder = new Folder();
  // As Kubernetes mounts a ConfigMap: each file is a link through a folder that is one itself.
  const mount = (version: string, mark: string) => {
    folder.write(`..${version}/tidewire.yaml`, CONFIG.replace("./plugins/mark.ts", "./plugin.ts"));
    folder.write(`..${version}/plugin.ts`, PLUGIN.replace("./lib/mark.ts", "./mark.ts"));
    folder.write(`..${version}/mark.ts`, MARK(mark));
    symlinkSync(`..${version}`, join(folder.path, "..next"));
    renameSync(join(folder.path, "..next"), join(folder.path, "..data"));
  };
  mount("1", "one ");
  for (const name of ["tidewire.yaml", "plugin.ts", "mark.ts"]) {
    symlinkSync(`..data/${name}`, join(folder.path, name));
  }
  await using server = await start(folder, { args: ["run", "--watch"] });
  const client = await rawWebSocket.open({ url: server.publicUrl, channel: "prices" });
  await publish(server, "a");
  let size = 0;
  const writer = setInterval(() => folder.write("tidewire.db", "x".repeat(size++)), 2);
  mount("2", "two ");
  expect(await reloaded(server, 1)).toMatchObject({ changed: ["prices"] });
  await publish(server, "b");
  mount("3", "three ");
  await reloaded(server, 2);
  await publish(server, "c");
  clearInterval(writer);
  const got = [];
  for (let i = 0; i < 3; i++) got.push(await client.next());
  expect(got.map((item) => ("text" in item ? item.text : item))).toEqual([
    "one a",
    "two b",
    "three c",
  ]);
});

test("a setup of a reload that waits for what never comes does not hold up the stop", async () => {
  using folder = files();
  await using server = await start(folder);
  folder.write(
    "plugins/mark.ts",
    `import { definePlugin } from "tidewire";
export default definePlugin({
  name: "patient",
  async setup({ signal, log }) {
    log.info("setting up");
    await new Promise((_resolve, reject) => (signal.onabort = () => reject(signal.reason)));
    return {};
  },
});
`,
  );
  server.signal("SIGHUP");
  await server.log.message("setting up");
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
});

test("a SIGHUP that comes while the server starts is followed when it has started", async () => {
  using folder = files();
  folder.write(
    "plugins/mark.ts",
    `import { existsSync } from "node:fs";
import { definePlugin } from "tidewire";
export default definePlugin({
  name: "late",
  async setup({ directory, log }) {
    log.info("setting up");
    while (!existsSync(directory + "/go")) await Bun.sleep(5);
    return {};
  },
});
`,
  );
  await using server = await launch(folder);
  await server.log.message("setting up");
  server.signal("SIGHUP");
  folder.write("tidewire.yaml", `${CONFIG}  added: {}\n`);
  folder.write("go", "");
  expect(await server.log.message("reloaded")).toMatchObject({ why: "SIGHUP", added: ["added"] });
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
});
