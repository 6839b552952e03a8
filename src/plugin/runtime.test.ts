import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MemoryBroker } from "../broker/memory.ts";
import { MemoryValues } from "../broker/memory-values.ts";
import { Channel } from "../channel/channel.ts";
import type { Message } from "../channel/message.ts";
import { PluginError } from "./errors.ts";
import { createFakeClient } from "./fake-client.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { startPlugins, type StartOptions } from "./runtime.ts";
import { definePlugin, type Hooks, type Plugin, type SetupContext } from "./sdk.ts";
import { allowNoUnhandled } from "./unhandled-testing.ts";

type Context = SetupContext<never>;
type Setup = (context: Context) => Hooks | Promise<Hooks>;

// However a hook fails.
allowNoUnhandled();

function plugin(name: string, setup: Setup): Plugin {
  return definePlugin({ name, setup: setup as Plugin["setup"] });
}

/** Plugins at work in a real channel over a real broker. */
async function start(
  plugins: readonly Plugin[],
  more: Partial<StartOptions> & { schema?: (data: unknown) => void } = {},
) {
  const { schema, ...options } = more;
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  const broker = new MemoryBroker();
  const committed: Message[] = [];
  let channel: Channel | null = null;
  const runtime = await startPlugins({
    uses: plugins.map((plugin) => ({ plugin, options: {} })),
    channel: { name: "chat/lobby", params: { room: "lobby" } },
    directory: "/etc/tidewire",
    log,
    publish: (drafts) => channel!.publish(drafts),
    inject: (produce, from) => channel!.inject(produce, from),
    elsewhere: async () => [],
    values: new MemoryValues(),
    clock,
    random: () => 0,
    ...options,
  });
  channel = new Channel({
    name: "chat/lobby",
    maxBytes: 1000,
    maxWaiting: 1000,
    maxBatchBytes: 1_000_000,
    transforms: runtime.transforms,
    validate: schema,
    onTransformError: runtime.transformFailed,
    onFanOutError: (error) => {
      throw error;
    },
    onCommit: (batch) => {
      committed.push(...batch);
      runtime.sink?.(batch);
    },
    openLog: (onCommit) => broker.open("chat/lobby", { size: 1000, ttlMs: 60_000 }, onCommit),
  });
  const stop = async () => {
    await runtime.close(() => channel!.close());
    await broker.close();
  };
  const data = () => committed.map((message) => message.data);
  /** Those that were logged: of each plugin and hook the first. */
  const errors = () => lines.flatMap(({ fields: { error } }) => (error as PluginError) ?? []);
  return { runtime, channel, lines, clock, errors, committed, data, stop };
}

/** Starts plugins of which one can't be set up. */
async function refusal(plugins: readonly Plugin[], more: Partial<StartOptions> = {}) {
  const error = await start(plugins, more).then(
    () => null,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(PluginError);
  return error as PluginError;
}

describe("setup", () => {
  test("is called in order, one after the other, with what the sdk promises", async () => {
    const calls: string[] = [];
    const contexts: Context[] = [];
    const make = (name: string) =>
      plugin(name, async (context) => {
        calls.push(`${name} begins`);
        contexts.push(context);
        await settled();
        calls.push(`${name} ends`);
        context.log.info("ready");
        return {};
      });
    const given = { decimals: { list: [1] } };
    const { lines } = await start([], {
      uses: ["a", "b"].map((name) => ({ plugin: make(name), options: given })),
    });
    expect(calls).toEqual(["a begins", "a ends", "b begins", "b ends"]);
    expect(contexts[0]).toMatchObject({
      options: given,
      channel: { name: "chat/lobby", params: { room: "lobby" } },
      directory: "/etc/tidewire",
    });
    expect(contexts[0]!.signal.aborted).toBe(false);
    expect(contexts[0]!.options).not.toBe(given as never);
    expect(lines[0]).toMatchObject({
      message: "ready",
      fields: { plugin: "a", channel: "chat/lobby" },
    });
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("no such file");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("no such file");
      },
    ],
  ] as const)(
    "that %s closes what was set up before it, last first, after the signals",
    async (_what, setup) => {
      const calls: string[] = [];
      const make = (name: string) =>
        plugin(name, ({ signal }) => {
          signal.addEventListener("abort", () => calls.push(`${name} aborts`));
          return { close: async () => void calls.push(`${name} closes`) };
        });
      const failing = plugin("c", (context) => {
        context.signal.addEventListener("abort", () => calls.push("c aborts"));
        return setup();
      });
      const error = await refusal([make("a"), make("b"), failing, make("d")]);
      expect(error).toMatchObject({ plugin: "c", hook: "setup", channel: "chat/lobby" });
      expect(error.message).toBe(`plugin "c", setup, channel "chat/lobby": no such file`);
      expect(calls).toEqual(["a aborts", "b aborts", "c aborts", "b closes", "a closes"]);
    },
  );

  test("that returns a wrong hook is refused, and its own close runs all the same", async () => {
    let isClosed = false;
    const error = await refusal([
      plugin("a", () => ({ tranform: () => null, close: () => void (isClosed = true) }) as Hooks),
    ]);
    expect(error.message).toContain(`did you mean "transform"?`);
    expect(isClosed).toBe(true);
  });

  test("that does not end is given up on after 30 s, and what it opens later is closed", async () => {
    const clock = new FakeClock();
    let finish: (hooks: Hooks) => void = () => {};
    let isClosed = false;
    const starting = refusal([plugin("slow", () => new Promise((resolve) => (finish = resolve)))], {
      clock,
    });
    await clock.pass(30_000);
    const error = await starting;
    expect(error).toMatchObject({ code: "timeout", plugin: "slow", hook: "setup" });
    expect(error.message).toEndWith("setup did not end within 30 s");
    finish({ close: () => void (isClosed = true) });
    await settled();
    expect(isClosed).toBe(true);
  });
});

describe("transforms", () => {
  test("run in config order", async () => {
    const append = (letter: string) =>
      plugin(letter, () => ({ transform: (draft) => ({ data: `${draft.data}${letter}` }) }));
    const { channel, data } = await start([append("a"), append("b"), append("c")]);
    channel.publish([{ data: "" }]);
    expect(data()).toEqual(["abc"]);
  });

  test("that throw for every message drop it, with one line in the log, and carry the author's stack", async () => {
    function authorsCode(): never {
      throw new RangeError("odd");
    }
    const { runtime, channel, data, lines, errors, clock } = await start([
      plugin("even", () => ({
        transform: (draft) => (Number(draft.data) % 2 ? authorsCode() : draft),
      })),
      plugin("last", () => ({ transform: (draft) => draft })),
    ]);
    for (let i = 0; i < 100; i++) channel.publish([{ data: i }]);
    expect(data()).toEqual(Array.from({ length: 50 }, (_, i) => i * 2));
    expect(lines).toHaveLength(1);
    const [error] = errors();
    expect(error).toMatchObject({ plugin: "even", hook: "transform", channel: "chat/lobby" });
    expect(error!.cause).toBeInstanceOf(RangeError);
    expect(error!.stack).toContain("authorsCode");
    await clock.pass(10_000);
    expect(lines[1]!.fields).toMatchObject({ plugin: "even", channel: "chat/lobby", count: 49 });
    expect(runtime.stats()).toEqual([
      { plugin: "even", hooks: { transform: { errors: 50, dropped: 50 } } },
      { plugin: "last", hooks: {} },
    ]);
  });

  test("that return what is no draft, or one that can't be a message, are named", async () => {
    const { channel, errors, committed } = await start([
      plugin("nothing", () => ({
        transform: ((draft) => (draft.data === 1 ? undefined : draft)) as Hooks["transform"] & {},
      })),
      plugin("huge", () => ({ transform: (draft) => ({ data: "x".repeat(Number(draft.data)) }) })),
    ]);
    channel.publish([{ data: 1 }]);
    channel.publish([{ data: 2000 }]);
    expect(committed).toEqual([]);
    expect(errors().map(({ plugin, message }) => [plugin, message])).toEqual([
      ["nothing", expect.stringContaining("transform returned nothing")],
      ["huge", expect.stringContaining("data has 2000 bytes; at most 1000 are allowed")],
    ]);
  });

  test("may return a promise of another make", async () => {
    const { channel, data } = await start([
      plugin("foreign", () => ({
        transform: (draft) =>
          ({
            then: (resolve: (value: unknown) => void) => resolve({ data: [draft.data] }),
          }) as never,
      })),
    ]);
    await channel.publish([{ data: 1 }]);
    expect(data()).toEqual([[1]]);
  });

  test("keep the order of messages, whatever each plugin waits for, splits, drops or throws", async () => {
    const step = fc.constantFrom("pass", "wait", "wait long", "drop", "split", "throw", "reject");
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(step, step, step), { minLength: 1, maxLength: 8 }),
        async (messages) => {
          const at = (index: number) =>
            plugin(`p${index}`, () => ({
              transform(draft) {
                const [number, path] = draft.data as [number, string];
                const give = (mark: string) => ({ data: [number, path + mark] });
                switch (messages[number]![index]!) {
                  case "pass":
                    return give(".");
                  case "wait":
                    return Promise.resolve().then(() => give("."));
                  case "wait long":
                    return settled().then(() => give("."));
                  case "drop":
                    return null;
                  case "split":
                    return [give("1"), give("2")];
                  case "throw":
                    throw new Error("thrown");
                  default:
                    return Promise.reject(new Error("rejected"));
                }
              },
            }));
          const { channel, data, stop } = await start([at(0), at(1), at(2)]);
          await Promise.all(messages.map((_, number) => channel.publish([{ data: [number, ""] }])));
          await stop();
          const wanted = messages.flatMap((steps, number) => {
            let paths = [""];
            for (const step of steps) {
              if (step === "split") paths = paths.flatMap((path) => [`${path}1`, `${path}2`]);
              else if (["drop", "throw", "reject"].includes(step)) paths = [];
              else paths = paths.map((path) => `${path}.`);
            }
            return paths.map((path) => [number, path]);
          });
          expect(data()).toEqual(wanted);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("emit", () => {
  test("enters the pipeline after the plugin's own transform", async () => {
    const emits: Context["emit"][] = [];
    const mark = (letter: string) =>
      plugin(letter, ({ emit }) => {
        emits.push(emit);
        return { transform: (draft) => ({ data: `${draft.data}${letter}` }) };
      });
    const silent = plugin("no transform", ({ emit }) => {
      emits.push(emit);
      return {};
    });
    const { runtime, data } = await start([mark("a"), silent, mark("b"), mark("c")]);
    runtime.startSources();
    const [a, none, b, c] = emits;
    expect(a!({ data: "-" })).toBe(true);
    expect(none!([{ data: "1" }, { data: "2" }])).toBe(true);
    expect(b!(() => ({ data: "+" }))).toBe(true);
    expect(c!({ data: "=" })).toBe(true);
    expect(b!(() => null)).toBe(true);
    expect(data()).toEqual(["-bc", "1bc", "2bc", "+c", "="]);
  });

  test("before the channel stands is kept until it does", async () => {
    const { runtime, data } = await start([
      plugin("early", ({ emit }) => {
        emit({ data: "in setup" });
        return {};
      }),
    ]);
    expect(data()).toEqual([]);
    runtime.startSources();
    expect(data()).toEqual(["in setup"]);
  });

  test("that is given what is no draft, or a function that throws, is logged and loses this alone", async () => {
    let emit!: Context["emit"];
    const { runtime, data, errors } = await start([
      plugin("held", (context) => {
        emit = context.emit;
        return {};
      }),
    ]);
    runtime.startSources();
    emit(7 as never);
    emit(() => {
      throw new Error("bad");
    });
    emit({ data: "x".repeat(2000) });
    emit({ data: "good" });
    expect(data()).toEqual(["good"]);
    expect(errors().map(({ plugin, hook }) => `${plugin} ${hook}`)).toEqual(["held emit"]);
    expect(runtime.stats()[0]!.hooks.emit).toEqual({ errors: 3, dropped: 3 });
  });

  test("works until close has ended, then gives false", async () => {
    let emit!: Context["emit"];
    const seen: unknown[] = [];
    const { runtime, data, stop } = await start([
      plugin("held", (context) => {
        emit = context.emit;
        return { close: () => void emit({ data: "last" }) };
      }),
      plugin("sink", () => ({ sink: (batch) => void seen.push(...batch.map(({ data }) => data)) })),
    ]);
    runtime.startSources();
    await stop();
    expect(data()).toEqual(["last"]);
    // A plugin with a sink closes after the others: it gets what they sent at the end.
    expect(seen).toEqual(["last"]);
    let isCalled = false;
    expect(emit(() => ((isCalled = true), { data: 1 }))).toBe(false);
    expect(isCalled).toBe(false);
  });
});

describe("sources", () => {
  test("wait for startSources, and go through every transform", async () => {
    const { runtime, data, stop } = await start([
      plugin("twice", () => ({ transform: (draft) => ({ data: Number(draft.data) * 2 }) })),
      plugin("count", () => ({
        async *source() {
          yield { data: 1 };
          yield { data: 2 };
        },
      })),
    ]);
    await settled();
    expect(data()).toEqual([]);
    runtime.startSources();
    runtime.startSources();
    await settled();
    expect(data()).toEqual([2, 4]);
    await stop();
  });

  test("whose draft the schema refuses go on", async () => {
    const { runtime, data, stop } = await start(
      [plugin("count", () => ({ source: () => [{ data: 1 }, { data: "two" }, { data: 3 }] }))],
      {
        schema: (data) => {
          if (typeof data !== "number") throw new TypeError("not a number");
        },
      },
    );
    runtime.startSources();
    await settled();
    expect(data()).toEqual([1, 3]);
    expect(runtime.stats()[0]!.hooks.source).toEqual({ errors: 1, dropped: 1 });
    await stop();
  });
});

describe("joined and left", () => {
  test("that throw or reject hurt nobody else", async () => {
    const calls: string[] = [];
    const { runtime, errors } = await start([
      plugin("throws", () => ({
        joined() {
          throw new Error("joined");
        },
        async left() {
          throw new Error("left");
        },
      })),
      plugin("fine", () => ({
        joined: (client) => void calls.push(`joined ${client.id}`),
        left: (client) => void calls.push(`left ${client.id}`),
      })),
    ]);
    const client = createFakeClient("1");
    runtime.joined(client);
    runtime.left(client);
    await settled();
    expect(calls).toEqual(["joined 1", "left 1"]);
    expect(errors().map(({ plugin, hook }) => `${plugin} ${hook}`)).toEqual([
      "throws joined",
      "throws left",
    ]);
  });

  test("come one after the other for each client, and do not hold up another", async () => {
    const calls: string[] = [];
    const ends = new Map<string, () => void>();
    const { runtime } = await start([
      plugin("presence", () => ({
        async joined({ id }) {
          await new Promise<void>((resolve) => ends.set(id, resolve));
          calls.push(`joined ${id}`);
        },
        left: ({ id }) => void calls.push(`left ${id}`),
      })),
    ]);
    const [one, two] = [createFakeClient("1"), createFakeClient("2")];
    runtime.joined(one);
    runtime.left(one);
    runtime.joined(two);
    ends.get("2")!();
    await settled();
    runtime.left(two);
    expect(calls).toEqual(["joined 2", "left 2"]);
    ends.get("1")!();
    await settled();
    expect(calls.slice(2)).toEqual(["joined 1", "left 1"]);
  });
});

describe("receive", () => {
  test("is null when no plugin has it, else the chain of those that do", async () => {
    const { runtime: without } = await start([plugin("a", () => ({}))]);
    expect(without.receive).toBeNull();
    const { runtime } = await start([
      plugin("a", () => ({ receive: (data) => ({ data: `${data}a` }) })),
      plugin("b", () => ({})),
      plugin("c", () => ({ receive: async (data) => ({ data: `${data}c` }) })),
    ]);
    expect(await runtime.receive!("", createFakeClient("1"))).toEqual({ data: "ac" });
  });

  test("that does not settle fails that message after 10 s of the runtime's clock", async () => {
    const { runtime, clock } = await start([
      plugin("hangs", () => ({ receive: () => new Promise(() => {}) })),
    ]);
    const received = Promise.resolve(runtime.receive!(1, createFakeClient("1")));
    received.catch(() => {});
    await clock.pass(10_000);
    expect(await received.catch((error: unknown) => error)).toMatchObject({
      code: "timeout",
      plugin: "hangs",
    });
    expect(runtime.stats()[0]!.hooks.receive).toEqual({ errors: 1, dropped: 1 });
  });
});

describe("close", () => {
  test("aborts every signal, ends sources, then closes the last plugin first, once", async () => {
    const calls: string[] = [];
    const make = (name: string) =>
      plugin(name, ({ signal }) => ({
        async *source() {
          try {
            await new Promise((resolve) => signal.addEventListener("abort", resolve));
            calls.push(`${name} signal`);
          } finally {
            calls.push(`${name} finally`);
          }
        },
        close: () => void calls.push(`${name} close`),
      }));
    const { runtime, stop } = await start([make("a"), make("b")]);
    runtime.startSources();
    await settled();
    await Promise.all([stop(), runtime.close()]);
    expect(calls.slice(0, 4).sort()).toEqual(["a finally", "a signal", "b finally", "b signal"]);
    expect(calls.slice(4)).toEqual(["b close", "a close"]);
  });

  test("that throws or never ends keeps no other from closing", async () => {
    let isClosed = false;
    const { runtime, clock, errors } = await start([
      plugin("first", () => ({ close: () => void (isClosed = true) })),
      plugin("hangs", () => ({ close: () => new Promise(() => {}) })),
      plugin("throws", () => ({
        close() {
          throw new Error("bad");
        },
      })),
    ]);
    const closing = runtime.close();
    await clock.pass(5000);
    await closing;
    expect(isClosed).toBe(true);
    expect(errors().map(({ plugin, hook, code }) => `${plugin} ${hook} ${code}`)).toEqual([
      "throws close failed",
      "hangs close timeout",
    ]);
    expect(clock.pending).toBe(0);
  });

  test("does not wait forever for a source, a sink or a transform that never ends", async () => {
    const calls: string[] = [];
    const { runtime, channel, clock, lines, stop } = await start([
      plugin("source", () => ({
        async *source() {
          await new Promise(() => {});
        },
        close: () => void calls.push("source"),
      })),
      plugin("transform", () => ({
        transform: (draft) => (draft.data === "hang" ? new Promise(() => {}) : draft),
        close: () => void calls.push("transform"),
      })),
      plugin("sink", () => ({
        sink: () => new Promise(() => {}),
        close: () => void calls.push("sink"),
      })),
    ]);
    runtime.startSources();
    await channel.publish([{ data: 1 }]);
    await settled();
    await channel.publish([{ data: 2 }]);
    void channel.publish([{ data: "hang" }]);
    const closing = stop();
    await clock.pass(15_000);
    await closing;
    expect(calls).toEqual(["transform", "source", "sink"]);
    expect(
      lines.filter(({ level }) => level === "warn").map(({ fields }) => fields["plugin"]),
    ).toEqual(["source", "sink", "sink"]);
    expect(runtime.stats()[2]!.hooks.sink).toEqual({ errors: 0, dropped: 1 });
  });

  test("calls no joined or left after it, however long one took before", async () => {
    const calls: string[] = [];
    let finish = () => {};
    const { runtime, clock, stop } = await start([
      plugin("presence", () => ({
        joined: () => new Promise<void>((resolve) => (finish = resolve)),
        left: () => void calls.push("left"),
        close: () => void calls.push("close"),
      })),
    ]);
    const client = createFakeClient("1");
    runtime.joined(client);
    runtime.left(client);
    const closing = stop();
    await clock.pass(5000);
    await closing;
    finish();
    await settled();
    expect(calls).toEqual(["close"]);
  });

  test("counts what a transform gives back only after it as lost for the sink", async () => {
    let finish = () => {};
    const { runtime, channel, clock, data, stop, lines } = await start([
      plugin("slow", () => ({
        transform: (draft) => new Promise((resolve) => (finish = () => resolve(draft))),
      })),
      plugin("sink", () => ({ sink: () => {} })),
    ]);
    const published = channel.publish([{ data: 1 }]);
    const closing = stop();
    await clock.pass(5000);
    finish();
    await Promise.all([published, closing]);
    expect(data()).toEqual([1]);
    expect(runtime.stats()[1]!.hooks.sink).toEqual({ errors: 0, dropped: 1 });
    expect(lines.at(-1)).toMatchObject({ level: "warn", fields: { plugin: "sink", dropped: 1 } });
  });

  test("gives a sink all that was committed before its own close", async () => {
    const calls: unknown[] = [];
    const { channel, stop } = await start([
      plugin("sink", () => ({
        async sink(batch) {
          await settled();
          calls.push(...batch.map(({ data }) => data));
        },
        close: () => void calls.push("close"),
      })),
    ]);
    channel.publish([{ data: 1 }]);
    await new Promise((resolve) => setImmediate(resolve));
    channel.publish([{ data: 2 }]);
    await stop();
    expect(calls).toEqual([1, 2, "close"]);
  });
});
