/** The executable with the sqlite broker: over restarts, and with a file that can't be used. */
import { beforeAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { executable, Folder, launch, start, tidewire } from "./executable.ts";

const config = (broker: string) => `server: { listen: 127.0.0.1:0 }
broker: ${broker}
channels:
  news: { publish: clients }
  chat/{room}: { publish: clients, history: { ttl: 1s } }
  count: { publish: clients, plugins: [{ use: ./count.ts }] }
`;
const SQLITE = "{ use: sqlite, path: ./tidewire.db }";

const COUNT = `import { definePlugin } from "tidewire";
export default definePlugin({
  name: "count",
  setup: ({ store }) => ({
    async transform() {
      const data = ((await store.get<number>("count")) ?? 0) + 1;
      await store.set("count", data);
      return { data };
    },
  }),
});
`;

const folderWith = (broker: string) =>
  new Folder({ "tidewire.yaml": config(broker), "count.ts": COUNT });

beforeAll(async () => void (await executable()), 120_000);

async function publish(url: string, channel: string, data: unknown): Promise<Response> {
  return fetch(`${url}/channels/${channel}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(data),
  });
}

async function idOf(published: Promise<Response>): Promise<string> {
  const response = await published;
  expect(response.status).toBe(201);
  return ((await response.json()) as { id: string }).id;
}

async function after(url: string, channel: string, position: string) {
  const response = await fetch(`${url}/channels/${channel}?after=${position}`, {
    headers: { accept: "application/vnd.tidewire+json" },
  });
  const { messages, gap } = (await response.json()) as {
    messages: { id: string; data: unknown }[];
    gap: boolean;
  };
  return { ids: messages.map(({ id }) => id), data: messages.map(({ data }) => data), gap };
}

test.each(["SIGTERM", "SIGKILL"] as const)(
  "after %s a client resumes where it was, and plugins find their values in the same file",
  async (signal) => {
    using folder = folderWith(SQLITE);
    const ids: string[] = [];
    {
      await using server = await start(folder);
      for (const n of [1, 2]) ids.push(await idOf(publish(server.publicUrl, "news", n)));
      ids.push(await idOf(publish(server.publicUrl, "chat/a", "hello")));
      await idOf(publish(server.publicUrl, "count", null));
      server.signal(signal);
      expect(await server.exited).toBe(signal === "SIGTERM" ? 0 : null);
    }
    await using server = await start(folder);
    const { publicUrl: url } = server;
    ids.push(await idOf(publish(url, "news", 3)));
    expect(await after(url, "news", ids[0]!)).toEqual({
      ids: [ids[1]!, ids[3]!],
      data: [2, 3],
      gap: false,
    });
    const next = await idOf(publish(url, "chat/a", "again"));
    expect(await after(url, "chat/a", ids[2]!)).toEqual({
      ids: [next],
      data: ["again"],
      gap: false,
    });
    const counted = await idOf(publish(url, "count", null));
    const count = await fetch(`${url}/channels/count/messages/${counted}`);
    expect(await count.text()).toBe("2");
    expect(existsSync(join(folder.path, ".tidewire"))).toBe(false);
  },
);

test("what can't be kept is refused with 503 and Retry-After, and all else goes on", async () => {
  using folder = folderWith(SQLITE);
  await using server = await start(folder);
  const { publicUrl: url } = server;
  const id = await idOf(publish(url, "news", 1));
  const file = join(folder.path, "tidewire.db");
  renameSync(file, `${file}.away`);
  const refused = await publish(url, "news", 2);
  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toBe("5");
  expect(await refused.json()).toMatchObject({
    type: "urn:tidewire:problem:storage-failed",
    detail: `channel "news" can't keep messages now: the server's storage failed, its log says why; try again later`,
  });
  expect(await after(url, "news", "earliest")).toEqual({ ids: [id], data: [1], gap: false });
  await server.log.line((line) => line.includes("was removed or replaced while the server runs"));
  renameSync(`${file}.away`, file);
  await idOf(publish(url, "news", 3));
  await server.log.message("storage works again");
});

describe("it does not start, exits with 1 and says in one line what would be right", () => {
  const cases: [string, (folder: Folder) => void, string, string][] = [
    ["where the folder is not there", () => {}, "./data/tidewire.db", "data of the broker's file"],
    [
      "on a file that is no database",
      (folder) => folder.write("tidewire.db", "no database".repeat(1000)),
      "./tidewire.db",
      "is no readable database (SQLITE_NOTADB",
    ],
    [
      "on another program's database",
      (folder) => {
        const database = new Database(join(folder.path, "tidewire.db"));
        database.run("CREATE TABLE customers (name TEXT)");
        database.close();
      },
      "./tidewire.db",
      "is the database of another program",
    ],
  ];
  test.each(cases)("%s", async (_, prepare, path, said) => {
    using folder = folderWith(`{ use: sqlite, path: ${path} }`);
    prepare(folder);
    const { code, stderr } = await tidewire(folder, ["run"]);
    expect(code).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toContain(said);
    expect(stderr).not.toContain("stack");
  });

  test("while another server has the file", async () => {
    using folder = folderWith(SQLITE);
    await using first = await start(folder);
    await using second = await launch(folder);
    expect(await second.exited).toBe(1);
    expect(second.log.lines.join()).toContain("is in use by another process (SQLITE_BUSY");
    expect((await publish(first.publicUrl, "news", 1)).status).toBe(201);
  });
});

test("check says that a path is a folder, with exit code 78", async () => {
  using folder = folderWith("{ use: sqlite, path: ./data }");
  mkdirSync(join(folder.path, "data"));
  const { code, stderr } = await tidewire(folder, ["check"]);
  expect(code).toBe(78);
  expect(stderr).toContain(`"./data" is a folder, not a file`);
});
