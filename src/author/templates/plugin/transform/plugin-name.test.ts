import { expect, test } from "bun:test";
import { start } from "tidewire/testing";
import plugin from "./plugin-name.ts";

test("passes on what is large enough, and drops the rest", async () => {
  await using channel = await start(plugin, { options: { least: 10 } });
  expect(await channel.feed({ data: { value: 10 } })).toEqual([{ data: { value: 10 } }]);
  expect(await channel.feed({ data: { value: 9.9 } })).toEqual([]);
  expect(await channel.feed({ data: "no number" })).toEqual([]);
});
