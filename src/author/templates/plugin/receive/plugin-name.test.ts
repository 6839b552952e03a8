import { expect, test } from "bun:test";
import { start } from "tidewire/testing";
import plugin from "./plugin-name.ts";

test("answers a ping to the client that sent it, and publishes nothing", async () => {
  await using channel = await start(plugin, { options: { answer: "here" } });
  const [ada, bob] = [channel.client(), channel.client()];
  expect(await ada.send("ping")).toEqual([]);
  expect(ada.received).toEqual(["here"]);
  expect(bob.received).toEqual([]);
});

test("publishes what else is sent, with its time", async () => {
  await using channel = await start(plugin);
  const at = new Date(channel.clock.now).toISOString();
  expect(await channel.client().send("hello")).toEqual([{ data: { text: "hello", at } }]);
});
