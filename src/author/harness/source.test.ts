/** `take()` and the held clock: a source gives what it would in hours, at once. */
import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { definePlugin, t, type Draft, type SetupContext } from "tidewire";
import { start } from "tidewire/testing";
import clock from "../../../plugins/clock.ts";
import httpPoll from "../../../plugins/http-poll.ts";
import randomWalk from "../../../plugins/random-walk.ts";
import tail from "../../../plugins/tail.ts";

type Source = (context: SetupContext<object>) => AsyncIterable<Draft> | Iterable<Draft>;

const sourced = (source: Source) =>
  definePlugin({ name: "made", setup: (context) => ({ source: () => source(context) }) });

describe("take()", () => {
  test("runs a source from tick to tick, from a day that is always the same", async () => {
    await using plugin = await start(clock, { options: { every: "1h", format: "iso" } });
    expect(await plugin.take(3)).toEqual([
      { data: "2026-01-01T01:00:00.000Z" },
      { data: "2026-01-01T02:00:00.000Z" },
      { data: "2026-01-01T03:00:00.000Z" },
    ]);
    expect(plugin.clock.now).toBe(Date.parse("2026-01-01T03:00:00.000Z"));
  });

  test("starts at the time that it is told", async () => {
    const options = { every: "1d", format: "iso" } as const;
    await using plugin = await start(clock, { options, now: "2030-05-05T23:59:59Z" });
    expect(await plugin.take(1)).toEqual([{ data: "2030-05-06T00:00:00.000Z" }]);
  });

  test("gives the next messages each time, with their event and key", async () => {
    const options = { symbols: ["ACME", "INIT"], seed: 7, every: "1m" };
    await using plugin = await start(randomWalk, { options });
    await using other = await start(randomWalk, { options });
    const whole = await plugin.take(6);
    expect(whole.map(({ event, key }) => `${event} ${key}`)).toEqual([
      ...["price ACME", "price INIT", "price ACME", "price INIT", "price ACME", "price INIT"],
    ]);
    expect([...(await other.take(1)), ...(await other.take(2)), ...(await other.take(3))]).toEqual(
      whole,
    );
  });

  test("takes no more from the source than was asked for", async () => {
    let made = 0;
    await using plugin = await start(
      sourced(function* () {
        for (;;) yield { data: ++made };
      }),
    );
    expect(await plugin.take(2)).toEqual([{ data: 1 }, { data: 2 }]);
    expect(made).toBe(2);
    expect(plugin.published).toHaveLength(2);
  });

  const waits: Record<string, (ms: number, signal: AbortSignal) => Promise<unknown>> = {
    setTimeout: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    setInterval: (ms) =>
      new Promise<void>((resolve) => {
        const timer = setInterval(() => (clearInterval(timer), resolve()), ms);
      }),
    "node:timers/promises": (ms, signal) => sleep(ms, undefined, { signal }),
    "Bun.sleep": (ms) => Bun.sleep(ms),
    "AbortSignal.timeout": (ms) => once(AbortSignal.timeout(ms), "abort"),
    "an endless wait for setImmediate": async (ms) => {
      const end = performance.now() + ms;
      setTimeout(() => {}, ms);
      while (performance.now() < end) await new Promise((resolve) => setImmediate(resolve));
    },
  };
  test.each(Object.entries(waits))("holds %s", async (_name, wait) => {
    await using plugin = await start(
      sourced(async function* ({ signal }) {
        for (;;) {
          await wait(3_600_000, signal);
          yield { data: [Date.now(), Math.round(performance.now())] };
        }
      }),
    );
    const first = Date.parse("2026-01-01T00:00:00Z");
    const [one, two] = await plugin.take(2);
    expect(one).toEqual({ data: [first + 3_600_000, 3_600_000] });
    expect(two).toEqual({ data: [first + 7_200_000, 7_200_000] });
  });

  test("counts what comes out of the channel, not what a transform drops", async () => {
    const odd = definePlugin({
      name: "odd",
      setup: () => ({
        *source() {
          for (let n = 1; ; n++) yield { data: n };
        },
        transform: (draft) => (Number(draft.data) % 2 ? draft : null),
      }),
    });
    await using plugin = await start(odd);
    expect(await plugin.take(3)).toEqual([{ data: 1 }, { data: 3 }, { data: 5 }]);
  });

  test("stands still for a fetch, whatever timer limits it", async () => {
    const answers = ["first", "first", "second"];
    using site = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => Response.json({ page: answers.shift() ?? "third" }),
    });
    const options = { url: site.url.href, every: "1h" };
    await using plugin = await start(httpPoll, { options });
    expect(await plugin.take(3)).toEqual([
      { data: { page: "first" } },
      { data: { page: "second" } },
      { data: { page: "third" } },
    ]);
    // The second answer was the same as the first.
    expect(plugin.clock.now).toBe(Date.parse("2026-01-01T03:00:00Z"));
  });

  test("lets a fetch time out that is never answered", async () => {
    using site = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Promise<Response>(() => {}),
    });
    await using plugin = await start(
      sourced(async function* () {
        const signal = AbortSignal.timeout(30_000);
        const failed = await fetch(site.url, { signal }).catch((error: Error) => error.name);
        yield { data: failed };
      }),
    );
    expect(await plugin.take(1)).toEqual([{ data: "TimeoutError" }]);
  });

  test("waits for files in real time", async () => {
    const directory = await mkdtemp(join(tmpdir(), "tidewire-take-"));
    try {
      await writeFile(join(directory, "lines.log"), "one\ntwo\n");
      const options = { path: "lines.log", from: "start" } as const;
      await using plugin = await start(tail, { options, directory });
      expect(await plugin.take(2)).toEqual([{ data: "one" }, { data: "two" }]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test("throws what the source threw, with the plugin and the hook", async () => {
    await using plugin = await start(
      sourced(async function* () {
        yield { data: 1 };
        throw new Error("upstream is gone");
      }),
    );
    expect(await plugin.take(1)).toEqual([{ data: 1 }]);
    await expect(plugin.take(1)).rejects.toThrow(
      'plugin "made", source, channel "test": upstream is gone',
    );
    expect(plugin.errors).toMatchObject([{ plugin: "made", hook: "source" }]);
  });

  test("goes on over restarts where it is told to, as a server does", async () => {
    let starts = 0;
    await using plugin = await start(
      sourced(async function* () {
        if (++starts < 4) throw new Error("not yet");
        yield { data: Date.now() };
      }),
    );
    const [sent] = await plugin.take(1, { restarts: true });
    // The delays are 100, 200 and 400 ms.
    expect(sent).toEqual({ data: Date.parse("2026-01-01T00:00:00.700Z") });
    expect(plugin.errors).toHaveLength(3);
  });

  test("says how many came when the source ends", async () => {
    await using plugin = await start(sourced(() => [{ data: 1 }, { data: 2 }]));
    await expect(plugin.take(3)).rejects.toThrow("made gave 2 of 3: its source has ended");
    expect(await plugin.take(2)).toEqual([{ data: 1 }, { data: 2 }]);
  });

  test("says so when timers run and nothing comes", async () => {
    await using plugin = await start(
      sourced(async function* () {
        for (;;) await sleep(1000);
      }),
    );
    await expect(plugin.take(1)).rejects.toThrow(
      "made gave 0 of 1: 100000 timers ran, and the clock went on by 100000 s",
    );
  });

  test("says so when nothing happens at all", async () => {
    await using plugin = await start(
      sourced(async function* () {
        yield { data: 1 };
        await new Promise(() => {});
      }),
      { limit: "20ms" },
    );
    await expect(plugin.take(2)).rejects.toThrow(
      "made gave 1 of 2: no timer is waiting, and nothing happened in 0.02 s of real time",
    );
  });

  test("refuses a plugin that has no source", async () => {
    await using plugin = await start("echo");
    await expect(plugin.take(1)).rejects.toThrow("echo has no source");
  });
});

describe("clock.advance()", () => {
  test("gives what was published meanwhile, the last moment included", async () => {
    await using plugin = await start(clock, { options: { every: "1s", format: "unix" } });
    const first = Date.parse("2026-01-01T00:00:00Z") / 1000;
    expect(await plugin.clock.advance("2500ms")).toEqual([
      { data: first + 1 },
      { data: first + 2 },
    ]);
    expect(await plugin.clock.advance(500)).toEqual([{ data: first + 3 }]);
    expect(await plugin.clock.advance("1h")).toHaveLength(3600);
    expect(plugin.clock.now).toBe(Date.parse("2026-01-01T01:00:03Z"));
  });

  test("takes timers that are set on the way, in order", async () => {
    const order: string[] = [];
    const busy = definePlugin({
      name: "busy",
      setup({ emit }) {
        setTimeout(() => order.push("3s"), 3000);
        setTimeout(() => {
          order.push("1s");
          setTimeout(() => {
            order.push("2s");
            emit({ data: Date.now() });
          }, 1000);
        }, 1000);
        return {};
      },
    });
    await using plugin = await start(busy);
    expect(await plugin.clock.advance("1999ms")).toEqual([]);
    const two = Date.parse("2026-01-01T00:00:02Z");
    expect(await plugin.clock.advance("1ms")).toEqual([{ data: two }]);
    await plugin.clock.advance("1s");
    expect(order).toEqual(["1s", "2s", "3s"]);
  });

  test("is refused what is no time", async () => {
    await using plugin = await start("echo");
    await expect(plugin.clock.advance(-1)).rejects.toThrow("time does not go back");
    await expect(plugin.clock.advance("5 s")).rejects.toThrow('"5 s" is not a duration');
  });
});

describe("the clock", () => {
  test("is the machine's own again when the last plugin is closed", async () => {
    const realMs = Date.now();
    {
      await using one = await start("echo");
      {
        await using two = await start("echo");
        await two.clock.advance("1h");
        expect(one.clock.now).toBe(Date.parse("2026-01-01T01:00:00Z"));
      }
      expect(new Date().getFullYear()).toBe(2026);
      expect(performance.now()).toBe(3_600_000);
      await one.close();
      await one.close();
    }
    expect(Date.now()).toBeGreaterThanOrEqual(realMs);
    await Bun.sleep(1);
    expect(Date.now()).toBeGreaterThan(realMs);
  });

  test("can't be set while another plugin holds it", async () => {
    await using _one = await start("echo");
    await expect(start("echo", { now: 0 })).rejects.toThrow("share one clock");
  });

  test("can be the machine's own", async () => {
    const before = Date.now();
    const options = { every: "10ms", format: "unix" } as const;
    await using plugin = await start(clock, { options, clock: "real" });
    const [tick] = await plugin.take(1);
    expect(Number(tick!.data) * 1000).toBeGreaterThanOrEqual(before - (before % 10));
  });

  test("is free again when a plugin could not be started", async () => {
    const broken = definePlugin({
      name: "broken",
      options: t.Object({}),
      setup() {
        throw new Error("no licence");
      },
    });
    await expect(start(broken)).rejects.toThrow(
      'plugin "broken", setup, channel "test": no licence',
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, 1);
    await promise;
  });

  test("goes on while setup waits for it", async () => {
    const slow = definePlugin({
      name: "slow",
      async setup() {
        await sleep(20_000);
        return {};
      },
    });
    await using plugin = await start(slow);
    expect(plugin.clock.now).toBe(Date.parse("2026-01-01T00:00:20Z"));
    expect(plugin.log).toMatchObject([
      { level: "warn", message: "waiting for the plugin's setup" },
    ]);
  });
});
