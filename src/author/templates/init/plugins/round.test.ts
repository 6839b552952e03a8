import { expect, test } from "bun:test";
import { start } from "tidewire/testing";
import round from "./round.ts";

test("rounds the numbers of a message, and leaves the rest", async () => {
  await using plugin = await start(round, { options: { decimals: 1 } });
  const [message] = await plugin.feed({ data: { symbol: "ACME", price: 101.26, bid: [99.94] } });
  expect(message?.data).toEqual({ symbol: "ACME", price: 101.3, bid: [99.9] });
});

test("keeps two decimals where the config does not say", async () => {
  await using plugin = await start(round);
  expect(await plugin.feed({ data: 3.14159 })).toEqual([{ data: 3.14 }]);
});
