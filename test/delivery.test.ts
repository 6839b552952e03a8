/**
 * docs/delivery.md as it is printed: its configs are checked, its commands run, its limits looked up.
 *
 * A comment before each block says what it is: `file: <name>` is a config; `run: …` is run against the first.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { executable, Folder, start, tidewire, type RunningServer } from "./executable.ts";
import { readBlocks, readFirstColumn, readLinks, type Block } from "./readme.ts";
import { Shell } from "./shell.ts";

const FILE = join(import.meta.dir, "../docs/delivery.md");
const TEXT = await Bun.file(FILE).text();
const BLOCKS = readBlocks(TEXT);

const folder = new Folder();
let server: RunningServer;

beforeAll(async () => {
  await executable();
  for (const { mark, text } of BLOCKS) {
    const name = /^file: (.*)$/.exec(mark ?? "")?.[1];
    // The ports may be taken on this machine: it listens on free ones.
    if (name) folder.write(name, text.replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:0"));
  }
  server = await start(folder);
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

async function run(mark: string): Promise<string> {
  const { text } = BLOCKS.find((block) => block.mark === `run: ${mark}`) as Block;
  const here = text.replaceAll("http://127.0.0.1:8080", server.publicUrl);
  return new Shell(here, folder).output();
}

test("the configs of docs/delivery.md are fine", async () => {
  const files = BLOCKS.filter(({ language }) => language === "yaml");
  expect(files.map(({ mark }) => mark)).toEqual(["file: tidewire.yaml", "file: compression.yaml"]);
  for (const { mark } of files) {
    const { code, stderr } = await tidewire(folder, ["check", mark!.replace("file: ", "")]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  }
});

test("the compression that docs/delivery.md shows is the default", async () => {
  const schema = await tidewire(folder, ["schema"]);
  const { properties } = JSON.parse(schema.stdout).properties.server.properties.compression;
  const defaults = Object.entries(properties as Record<string, { default: unknown }>).map(
    ([key, value]) => [key, value.default],
  );
  const { server } = Bun.YAML.parse(
    BLOCKS.find(({ mark }) => mark === "file: compression.yaml")!.text,
  ) as { server: { compression: object } };
  expect(defaults).toEqual(Object.entries(server.compression));
});

test("a publish that is sent twice with one key is there once", async () => {
  const out = await run("published once");
  const [first, second] = out.split(/(?<=})/);
  expect(JSON.parse(first!)).toEqual({ id: expect.any(String) });
  expect(JSON.parse(second!)).toEqual(JSON.parse(first!));
  const page = await fetch(`${server.publicUrl}/channels/orders/messages?after=earliest`);
  expect(((await page.json()) as { messages: unknown[] }).messages).toHaveLength(1);
});

test("after=state gives the newest of each key, the oldest first", async () => {
  const { messages } = JSON.parse(await run("the state")) as {
    messages: { key: string; data: unknown }[];
  };
  expect(messages.map(({ key, data }) => [key, data])).toEqual([
    ["ACME", 3],
    ["INIT", 7],
  ]);
});

test("every limit that docs/delivery.md names is a key of the config", async () => {
  const { properties } = JSON.parse((await tidewire(folder, ["schema"])).stdout);
  const names = readFirstColumn(TEXT, "Limits").filter((cell) => cell.startsWith("`limits."));
  expect(names.length).toBeGreaterThan(8);
  for (const name of names) {
    expect(properties.limits.properties).toHaveProperty(name.replace(/`|limits\./g, ""));
  }
});

test("every link of docs/delivery.md leads somewhere", () => {
  for (const target of readLinks(TEXT)) {
    expect([target, existsSync(join(FILE, "..", target))]).toEqual([target, true]);
  }
});
