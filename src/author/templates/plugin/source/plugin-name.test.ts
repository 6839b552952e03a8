import { expect, test } from "bun:test";
import { start } from "tidewire/testing";
import plugin from "./plugin-name.ts";

test("publishes at even times", async () => {
  await using channel = await start(plugin, { options: { every: "10m" } });
  const startMs = channel.clock.now;
  // Time goes from timer to timer here: half an hour is over at once.
  const messages = await channel.take(3);
  expect(channel.clock.now - startMs).toBe(20 * 60_000);
  expect(messages[0]).toEqual({ event: "memory", data: { bytes: expect.any(Number) } });
});
