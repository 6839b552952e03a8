/** The life of a plugin, from a setup that may take its time to a close that always runs. */
import { expect, test } from "bun:test";
import { MemoryValues } from "../broker/memory-values.ts";
import { currentTrail, withTrail } from "../channel/trail.ts";
import { createFakeClient } from "./fake-client.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { startPlugins, type StartOptions } from "./runtime.ts";
import { definePlugin, type Hooks, type Plugin, type SetupContext } from "./sdk.ts";

type Context = SetupContext<never>;

function plugin(name: string, setup: (context: Context) => Hooks | Promise<Hooks>): Plugin {
  return definePlugin({ name, setup: setup as Plugin["setup"] });
}

function start(uses: StartOptions["uses"], values = new MemoryValues()) {
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  const starting = startPlugins({
    uses,
    channel: { name: "chat/lobby", params: { room: "lobby" } },
    directory: "/etc/tidewire",
    log,
    publish: () => [],
    inject: () => [],
    elsewhere: async () => [],
    values,
    clock,
    random: () => 0,
  });
  return { starting, lines, clock };
}

test("a setup that is slow is told of after two seconds, and may take thirty", async () => {
  const gate = Promise.withResolvers<Hooks>();
  const { starting, clock, lines } = start([
    { plugin: plugin("slow", () => gate.promise), options: {} },
  ]);
  await clock.pass(1999);
  expect(lines).toEqual([]);
  await clock.pass(1);
  expect(lines).toMatchObject([
    { level: "warn", message: "waiting for the plugin's setup", fields: { plugin: "slow" } },
  ]);
  await clock.pass(27_999);
  let isClosed = false;
  gate.resolve({ close: () => void (isClosed = true) });
  const runtime = await starting;
  await runtime.close();
  expect(isClosed).toBe(true);
});

test("a setup that is too late finds its signal aborted, and a close of it that fails is logged", async () => {
  const gate = Promise.withResolvers<Hooks>();
  let signal!: AbortSignal;
  const { starting, clock, lines } = start([
    {
      plugin: plugin("late", (context) => {
        signal = context.signal;
        return gate.promise;
      }),
      options: {},
    },
  ]);
  const failed = starting.catch((error: unknown) => error as Error);
  await clock.pass(30_000);
  expect((await failed) as Error).toMatchObject({ code: "timeout" });
  expect(signal.aborted).toBe(true);
  gate.resolve({
    close() {
      expect(signal.aborted).toBe(true);
      throw new Error("can't close");
    },
  });
  await settled();
  expect(lines.at(-1)).toMatchObject({ level: "error", message: "plugin failed in close" });
  expect(String(lines.at(-1)!.fields["error"])).toContain("can't close");
});

test("every close runs, after the signal, whatever another does in it", async () => {
  const calls: string[] = [];
  const make = (name: string, close: () => unknown) => ({
    plugin: plugin(name, ({ signal }) => ({
      close() {
        calls.push(`${name} ${signal.aborted}`);
        return close() as Promise<void>;
      },
    })),
    options: {},
  });
  const { starting, clock } = start([
    make("last", () => {}),
    make("hangs", () => new Promise(() => {})),
    make("throws", () => {
      throw new Error("bad");
    }),
    make("rejects", async () => {
      throw new Error("bad");
    }),
  ]);
  const closing = (await starting).close();
  await clock.pass(5000);
  await closing;
  expect(calls).toEqual(["rejects true", "throws true", "hangs true", "last true"]);
});

test("the store of a use is found again by what is written and which of these it is", async () => {
  const values = new MemoryValues();
  const run = async (...written: string[]) => {
    const found: unknown[] = [];
    const uses = written.map((use) => ({
      written: use,
      options: {},
      plugin: plugin("same name", async ({ store }) => {
        found.push(await store.get("from"));
        await store.set(
          "from",
          `${use} ${written.slice(0, found.length).filter((w) => w === use).length}`,
        );
        return {};
      }),
    }));
    await (await start(uses, values).starting).close();
    return found;
  };
  expect(await run("./a.ts", "./b.ts", "./a.ts")).toEqual([undefined, undefined, undefined]);
  expect(await run("./b.ts", "./a.ts", "./c.ts", "./a.ts")).toEqual([
    "./b.ts 1",
    "./a.ts 1",
    undefined,
    "./a.ts 2",
  ]);
});

test("joined and left are not about the message in whose turn a client comes or goes", async () => {
  const trails: unknown[] = [];
  const { starting } = start([
    {
      plugin: plugin("presence", () => ({
        joined: () => void trails.push(currentTrail()),
        left: () => void trails.push(currentTrail()),
      })),
      options: {},
    },
  ]);
  const runtime = await starting;
  const client = createFakeClient("1");
  withTrail(["a"], () => {
    runtime.joined(client);
    runtime.left(client);
    expect(currentTrail()).toEqual(["a"]);
  });
  expect(trails).toEqual([null, null]);
  await runtime.close();
});
