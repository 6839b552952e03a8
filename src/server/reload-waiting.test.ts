/** How long a reload waits for what the plugins that it replaces have under way. */
import { expect, test } from "bun:test";
import { MemoryBroker } from "../broker/memory.ts";
import { FakeClock, settled } from "../plugin/fake-clock.ts";
import { createFakeLog } from "../plugin/fake-log.ts";
import { definePlugin, type Plugin } from "../plugin/sdk.ts";
import { Sources } from "../plugin/source-text.ts";
import { Channels } from "./channels.ts";
import type { ChannelClient } from "./client.ts";
import { testConfig } from "./testing.ts";
import { createValues } from "./values.ts";

test("a receive hook that is slow with each of many messages holds up a reload for ten seconds", async () => {
  let calls = 0;
  const clock = new FakeClock();
  const slow = definePlugin({
    name: "slow",
    setup: () => ({
      async receive(data) {
        calls++;
        await clock.delay(9000, new AbortController().signal);
        return { data };
      },
    }),
  }) as Plugin;
  const config = testConfig({ channels: { a: { plugins: [slow] } } });
  const { use } = config.channels[0]!.plugins[0]!;
  const plugins = new Map([[use, { use, file: null, plugin: slow, sources: Sources.none }]]);
  const broker = new MemoryBroker();
  const values = createValues(config, broker);
  const channels = new Channels({
    config,
    broker,
    plugins,
    values,
    log: createFakeLog().log,
    trial: clock,
  });
  await channels.start();
  const live = await channels.open(channels.matchName("a")!);
  const client = { transport: "post", mayPublish: () => undefined } as unknown as ChannelClient;
  const sent = live.submit([{ data: 1 }, { data: 2 }, { data: 3 }], client);
  let isReloaded = false;
  const reloaded = channels
    .reload(testConfig({ channels: { a: {} } }), new Map(), () => {})
    .then(() => (isReloaded = true));
  await settled();
  await clock.pass(9999);
  expect(isReloaded).toBe(false);
  await clock.pass(1);
  await settled();
  expect([isReloaded, calls]).toEqual([true, 2]);
  await reloaded;
  // They are let to their end: who published is told.
  await clock.pass(20_000);
  expect((await sent).map(({ data }) => data)).toEqual([1, 2, 3]);
  await channels.close();
  await values.close();
  await broker.close();
});
