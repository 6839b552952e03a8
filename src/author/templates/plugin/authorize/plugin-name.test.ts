import { expect, test } from "bun:test";
import { start } from "tidewire/testing";
import plugin from "./plugin-name.ts";

test("lets in who shows the key, in the query or in a header", async () => {
  await using channel = await start(plugin, { options: { key: "open sesame" } });
  expect(await channel.authorize({ query: { key: "open sesame" } })).toBe("allow");
  const headers = { authorization: "Bearer open sesame" };
  expect(await channel.authorize({ action: "publish", headers })).toBe("allow");
});

test("denies everybody else", async () => {
  await using channel = await start(plugin, { options: { key: "open sesame" } });
  expect(await channel.authorize()).toEqual({ deny: "no key" });
  expect(await channel.authorize({ query: { key: "open" } })).toEqual({ deny: "wrong key" });
});
