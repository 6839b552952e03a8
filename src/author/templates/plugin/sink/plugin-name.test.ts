import { expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { start } from "tidewire/testing";
import plugin from "./plugin-name.ts";

test("appends a line for each message", async () => {
  const folder = await mkdtemp(join(tmpdir(), "plugin-name-"));
  try {
    const path = join(folder, "messages.ndjson");
    const channel = await start(plugin, { options: { path } });
    await channel.commit([{ data: 1 }, { data: { two: 2 } }]);
    await channel.close();
    const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).data)).toEqual([1, { two: 2 }]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
