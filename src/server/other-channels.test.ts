/** Plugins that publish to other channels: what arrives, what is refused, and how a loop is found. */
import { beforeEach, describe, expect, test } from "bun:test";
import { settled } from "../plugin/fake-clock.ts";
import { definePlugin, type Hooks, type Plugin, type SetupContext } from "../plugin/sdk.ts";
import { allowNoUnhandled } from "../plugin/unhandled-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestConfig, type TestServer } from "./testing.ts";

let server: TestServer;
allowNoUnhandled(() => server.stop());

type Context = SetupContext<never>;

let made = 0;

/** A plugin with a name of its own: the server of a test tells plugins apart by it. */
function plugin(
  setup: (context: Context) => Hooks | Promise<Hooks>,
  name = `plugin ${++made}`,
): Plugin {
  return definePlugin({ name, setup: setup as Plugin["setup"] });
}

type Setups = Record<string, ((context: Context) => Hooks | Promise<Hooks>) | null>;

/** A server whose channels have one plugin each, with these hooks. */
async function start(setups: Setups, more: Omit<TestConfig, "channels"> = {}): Promise<void> {
  const channels = Object.entries(setups).map(([name, setup]) => [
    name,
    { plugins: setup ? [plugin(setup, `plugin of ${name}`)] : [] },
  ]);
  server = await startTestServer({ ...more, channels: Object.fromEntries(channels) });
}

const post = (channel: string, data: unknown) =>
  fetch(`${server.urls.public}/channels/${channel}`, {
    method: "POST",
    body: JSON.stringify(data),
    headers: { "content-type": "application/json" },
  });

/** The data of all that a channel has committed, sent out yet or not. */
async function read(channel: string): Promise<unknown[]> {
  const { log } = server.channels.peek(channel)!.channel;
  const { messages } = await log.read(0, { through: log.top, count: 1000, bytes: Infinity });
  return messages.map(({ data }) => data);
}

/** Waits until a channel has so many messages. */
async function committed(channel: string, count: number): Promise<unknown[]> {
  while ((server.channels.peek(channel)?.channel.published ?? 0) < count) await settled();
  return read(channel);
}

const failures = () =>
  server.logged
    .filter(({ level }) => level === "error")
    .map(({ error }) => (error as { message: string }).message);

/** Forwards all that is committed. */
const forward =
  (to: string) =>
  ({ channel }: Context): Hooks => ({
    async sink(messages) {
      for (const { data } of messages) await channel(to).publish({ data });
    },
  });

describe("a plugin publishes to another channel", () => {
  const ways: Record<string, (context: Context) => Hooks> = {
    "transform that returns at once": ({ channel }) => ({
      transform(draft) {
        void channel("b").publish({ data: draft.data });
        return draft;
      },
    }),
    "transform that awaits": ({ channel }) => ({
      async transform(draft) {
        await settled();
        await channel("b").publish({ data: draft.data });
        return draft;
      },
    }),
    receive: ({ channel }) => ({
      async receive(data) {
        await channel("b").publish({ data });
        return { data };
      },
    }),
    sink: forward("b"),
    "a timer": ({ channel }) => ({
      transform(draft) {
        setTimeout(() => void channel("b").publish({ data: draft.data }), 1);
        return draft;
      },
    }),
  };

  test.each(Object.entries(ways))("from %s", async (_way, setup) => {
    await start({ a: setup, b: null });
    expect((await post("a", { n: 1 })).status).toBe(201);
    expect(await committed("b", 1)).toEqual([{ n: 1 }]);
    expect(await read("a")).toEqual([{ n: 1 }]);
  });

  test("from source, joined, left, emit and close, and gets the ids after the commit", async () => {
    const ids: string[] = [];
    await start({
      a: ({ channel, emit }) => {
        const tell = async (data: unknown) =>
          void ids.push(...(await channel("b").publish([{ data }, { data: [data] }])));
        return {
          async *source() {
            await tell("source");
            yield { data: "yielded" };
          },
          async joined() {
            await tell("joined");
            emit(() => {
              void tell("emit");
              return null;
            });
          },
          left: () => tell("left"),
        };
      },
      b: null,
    });
    await committed("b", 2);
    const socket = await TestSocket.open(`${server.urls.public}/channels/a`);
    await committed("b", 6);
    socket.close();
    const all = await committed("b", 8);
    expect(all.filter((data) => typeof data === "string")).toEqual([
      "source",
      "joined",
      "emit",
      "left",
    ]);
    await settled();
    expect(ids).toHaveLength(8);
    const page = await fetch(`${server.urls.public}/channels/b/messages?after=earliest`);
    const { messages } = (await page.json()) as { messages: { id: string }[] };
    expect(messages.map(({ id }) => id)).toEqual(ids);
  });

  test("through its schema and its plugins", async () => {
    const refused: string[] = [];
    server = await startTestServer({
      channels: {
        a: {
          plugins: [
            plugin(({ channel }) => ({
              async sink([message]) {
                const { publish } = channel("b");
                await publish([{ data: message!.data }]).catch(({ code, message }) =>
                  refused.push(`${code}: ${message}`),
                );
              },
            })),
          ],
        },
        b: {
          schema: { type: "number" },
          plugins: [plugin(() => ({ transform: ({ data }) => ({ data: Number(data) * 2 }) }))],
        },
      },
    });
    await post("a", 4);
    expect(await committed("b", 1)).toEqual([8]);
    await post("a", "four");
    while (refused.length === 0) await settled();
    expect(refused).toEqual([
      expect.stringContaining(
        `refused: can't publish to channel "b": data does not fit the schema of channel "b"`,
      ),
    ]);
  });

  test("of a pattern, which it brings to life, with its parameters percent-encoded", async () => {
    const params: unknown[] = [];
    await start({
      a: ({ channel }) => ({
        sink: async ([message]) => void (await channel(String(message!.data)).publish({ data: 1 })),
      }),
      "chat/{room}": (context) => {
        params.push([context.channel.name, context.channel.params]);
        return {};
      },
    });
    for (const name of ["chat/lobby", "chat/a%2fb%20c", "chat/%6Cobby"]) await post("a", name);
    await committed("chat/lobby", 2);
    await committed("chat/a%2Fb%20c", 1);
    expect(params).toEqual([
      ["chat/lobby", { room: "lobby" }],
      ["chat/a%2Fb%20c", { room: "a/b c" }],
    ]);
  });

  test("and what the other's transform does to the data in place stays there", async () => {
    await start({
      a: ({ channel }) => ({
        async transform(draft) {
          const publishing = channel("b").publish(draft);
          (draft.data as { n: number }).n++;
          await publishing;
          return draft;
        },
      }),
      b: () => ({
        async transform(draft) {
          await settled();
          (draft.data as { n: number }).n = 100;
          return draft;
        },
      }),
    });
    await post("a", { n: 1 });
    expect(await committed("b", 1)).toEqual([{ n: 100 }]);
    expect(await read("a")).toEqual([{ n: 2 }]);
  });

  test("twice on two ways: what splits may meet again", async () => {
    await start({
      a: ({ channel }) => ({
        async sink([message]) {
          await Promise.all(["b", "c"].map((to) => channel(to).publish({ data: message!.data })));
        },
      }),
      b: forward("d"),
      c: forward("d"),
      d: null,
    });
    await post("a", 1);
    expect(await committed("d", 2)).toEqual([1, 1]);
    expect(failures()).toEqual([]);
  });
});

describe("a loop", () => {
  const ways: Record<string, (to: string) => (context: Context) => Hooks> = {
    "transform that returns at once":
      (to) =>
      ({ channel }) => ({
        transform(draft) {
          void channel(to).publish({ data: draft.data });
          return draft;
        },
      }),
    "transform that awaits":
      (to) =>
      ({ channel }) => ({
        async transform(draft) {
          await settled();
          await channel(to).publish({ data: draft.data });
          return draft;
        },
      }),
    sink: forward,
    "a timer":
      (to) =>
      ({ channel }) => ({
        transform(draft) {
          setTimeout(() => void channel(to).publish({ data: draft.data }), 1);
          return draft;
        },
      }),
    emit:
      (to) =>
      ({ channel, emit }) => ({
        transform(draft) {
          if ((draft.data as { emitted?: true }).emitted) return draft;
          emit(() => {
            void channel(to).publish({ data: draft.data });
            return draft;
          });
          return null;
        },
      }),
    "emit, and then sink":
      (to) =>
      ({ channel, emit }) => ({
        transform(draft) {
          setTimeout(() => emit(draft), 1);
          return null;
        },
        async sink(messages) {
          for (const { data } of messages) await channel(to).publish({ data });
        },
      }),
  };

  for (const [first, one] of Object.entries(ways)) {
    for (const [second, other] of Object.entries(ways)) {
      test(`by ${first}, then ${second}, is refused and logged with its trail`, async () => {
        await start({ a: one("b"), b: other("c"), c: forward("a") });
        await post("a", { n: 1 });
        await committed("c", 1);
        while (failures().length === 0) await settled();
        expect(failures()).toEqual([
          `plugin "plugin of c", sink, channel "c": can't publish to channel "a": the message has passed it already: a → b → c → a`,
        ]);
        expect([await read("a"), await read("b"), await read("c")]).toEqual([
          [{ n: 1 }],
          [{ n: 1 }],
          [{ n: 1 }],
        ]);
      });
    }
  }

  test("of a channel with itself is refused in every hook, and says what is right", async () => {
    await start({ a: forward("a"), "chat/{room}": forward("chat/%61") });
    await post("a", 1);
    await post("chat/a", 1);
    while (failures().length < 2) await settled();
    expect(failures()).toEqual([
      expect.stringContaining(
        `it is the plugin's own channel (a → a); what a hook adds to it goes by emit`,
      ),
      expect.stringContaining(`(chat/a → chat/a)`),
    ]);
  });

  test("of ever new channels of a pattern ends", async () => {
    await start({
      "chat/{n}": ({ channel }) => ({
        sink: async () => {
          await channel(`chat/${Number(channel.params["n"]) + 1}`).publish({ data: 1 });
        },
      }),
    });
    await post("chat/1", 1);
    while (failures().length === 0) await settled();
    expect(failures()[0]).toContain("the message has passed 32 channels already");
    expect([...server.channels.live]).toHaveLength(32);
  });

  test("is about one message: others of the same batch, and later ones, go on", async () => {
    const seen: unknown[][] = [];
    await start({
      a: ({ channel }) => ({
        transform(draft) {
          if (draft.data === "loop") void channel("b").publish({ data: "came from a" });
          return draft;
        },
      }),
      b: ({ channel }) => ({
        async sink(messages) {
          seen.push(messages.map(({ data }) => data));
          await channel("a").publish(messages.map(({ data }) => ({ data })));
        },
      }),
    });
    const { channel: a } = server.channels.peek("a")!;
    const { channel: b } = server.channels.peek("b")!;
    // In one turn, so that they are one batch for the sink.
    void b.publish([{ data: "before" }]);
    void a.publish([{ data: "loop" }]);
    while (b.published < 2) await null;
    void b.publish([{ data: "after" }, { data: "after too" }]);
    const all = await committed("a", 4);
    expect(all).toEqual(["loop", "before", "after", "after too"]);
    expect(seen).toEqual([["before"], ["came from a"], ["after", "after too"]]);
    expect(failures()).toEqual([expect.stringContaining("a → b → a")]);
    await post("b", "later");
    expect((await committed("a", 5)).at(-1)).toBe("later");
  });

  test("is not seen in what a channel that was opened for a message does by itself", async () => {
    await start({
      a: ({ channel }) => ({
        transform(draft) {
          if (draft.data === "open") void channel("chat/1").publish({ data: "to chat" });
          return draft;
        },
      }),
      "chat/{room}": ({ channel, signal }) => {
        const timer = setTimeout(() => void channel("a").publish({ data: "from a timer" }), 20);
        signal.addEventListener("abort", () => clearTimeout(timer));
        return {
          async *source() {
            await channel("a").publish({ data: "from source" });
          },
        };
      },
    });
    await post("a", "open");
    expect((await committed("a", 3)).toSorted()).toEqual(["from a timer", "from source", "open"]);
    expect(failures()).toEqual([]);
  });

  test("of two messages that would wait for one another is refused before it stands still", async () => {
    let both = Promise.withResolvers<void>();
    let begun = 0;
    const answers: string[] = [];
    const cross =
      (to: string) =>
      ({ channel }: Context): Hooks => ({
        async transform(draft) {
          if (draft.data !== "cross") return draft;
          if (++begun === 2) both.resolve();
          await both.promise;
          await channel(to)
            .publish({ data: "crossed" })
            .then(
              () => answers.push(`${channel.name} published`),
              ({ code, message }) => answers.push(`${code} ${message}`),
            );
          return draft;
        },
      });
    await start({ a: cross("b"), b: cross("a") });
    // The second time it is known that their plugins publish elsewhere.
    for (const _round of ["first", "second"]) {
      const posts = await Promise.all([post("a", "cross"), post("b", "cross")]);
      expect(posts.map(({ status }) => status)).toEqual([201, 201]);
      expect(answers).toHaveLength(2);
      expect(answers.find((answer) => answer.startsWith("loop"))).toContain(
        "it waits for this channel just now, and neither could go on",
      );
      expect(answers.find((answer) => answer.endsWith("published"))).toBeDefined();
      answers.length = begun = 0;
      both = Promise.withResolvers();
    }
  });

  test("is not seen where two channels publish to one another from sink, whatever their transforms await", async () => {
    const gate = Promise.withResolvers<void>();
    const bridged: string[] = [];
    const bridge =
      (to: string) =>
      ({ channel }: Context): Hooks => ({
        async transform(draft) {
          if (draft.data === "held") await gate.promise;
          return draft;
        },
        async sink(messages) {
          for (const { data } of messages) {
            if (data !== "go") continue;
            bridged.push(to);
            await channel(to).publish({ data: "bridged" });
          }
        },
      });
    await start({ a: bridge("b"), b: bridge("a") });
    // Both are known to publish elsewhere from here on.
    await Promise.all([post("a", "go"), post("b", "go")]);
    await Promise.all([committed("a", 2), committed("b", 2)]);
    // Now each transform holds a message, while each sink waits for the other channel.
    const both = ["a", "b"].map((name) => server.channels.peek(name)!.channel);
    const all = both.flatMap((channel) => [
      channel.publish([{ data: "go" }]),
      channel.publish([{ data: "held" }]),
    ]);
    while (bridged.length < 4) await settled();
    await settled();
    gate.resolve();
    await Promise.all(all);
    await Promise.all([committed("a", 5), committed("b", 5)]);
    expect(failures()).toEqual([]);
  });

  test("of a channel that is opened, whose setup waits for the one that opens it, is refused", async () => {
    const codes: string[] = [];
    await start({
      a: ({ channel }) => ({
        async transform(draft) {
          await channel("chat/1").publish({ data: draft.data });
          return draft;
        },
      }),
      "chat/{room}": async ({ channel }) => {
        await channel("a")
          .publish({ data: "hello" })
          .catch(({ code }) => codes.push(code));
        return {};
      },
    });
    expect((await post("a", 1)).status).toBe(201);
    expect(codes).toEqual(["loop"]);
    expect(await committed("chat/1", 1)).toEqual([1]);
  });
});

describe("a plugin that was reloaded", () => {
  test("gets out what it still had in its transform, and nothing that it does later", async () => {
    const contexts: Context[] = [];
    const held = Promise.withResolvers<void>();
    const old = plugin((context) => {
      contexts.push(context);
      return {
        async transform(draft) {
          await held.promise;
          await context.channel("b").publish({ data: draft.data });
          return draft;
        },
      };
    });
    server = await startTestServer({ channels: { a: { plugins: [old] }, b: {} } });
    const live = server.channels.peek("a")!;
    const published = Promise.all([1, 2].map(async (data) => live.publish([{ data }])));
    const become = server.become({ channels: { a: { plugins: [plugin(() => ({}))] }, b: {} } });
    await settled();
    held.resolve();
    await become;
    await published;
    expect(await read("a")).toEqual([1, 2]);
    expect(await read("b")).toEqual([1, 2]);

    const [{ channel }] = contexts as [Context];
    for (let n = 0; n < 3; n++) void channel("b").publish({ data: "late" });
    expect(
      await channel("b")
        .publish({ data: "late" })
        .catch((error) => error),
    ).toMatchObject({
      code: "not-ready",
      message: expect.stringContaining("this plugin has ended"),
    });
    await settled();
    expect(await read("b")).toEqual([1, 2]);
    expect(failures()).toEqual([expect.stringContaining("this plugin has ended")]);
  });
});

describe("a publish that is refused", () => {
  /** The code and message of what a `receive` hook gets when it publishes. */
  async function refusal(to: string, data: unknown = 1): Promise<string> {
    const answer = await post("a", { to, data });
    return ((await answer.json()) as { detail: string }).detail;
  }
  const asking = ({ channel }: Context): Hooks => ({
    async receive(given) {
      const { to, data } = given as { to: string; data: unknown };
      try {
        await channel(to).publish({ data });
      } catch (error) {
        const { code, message } = error as Error & { code: string };
        said.push(`${code}: ${message}`);
      }
      return null;
    },
  });
  const said: string[] = [];
  beforeEach(() => void (said.length = 0));

  test("says which channel there is not, and which was meant", async () => {
    await start({ a: asking, alerts: null, "chat/{room}": null });
    for (const to of ["alrets", "nothing", "chat/%zz", "chat/a/b"])
      await refusal(to).catch(() => {});
    expect(said).toEqual([
      `unknown-channel: can't publish to channel "alrets": there is no such channel; did you mean "alerts"?`,
      `unknown-channel: can't publish to channel "nothing": there is no such channel; the config has a, alerts, chat/{room}`,
      expect.stringContaining(
        `refused: can't publish to channel "chat/%zz": the channel name "chat/%zz" has broken percent-encoding`,
      ),
      expect.stringContaining("unknown-channel"),
    ]);
  });

  test("says that too much waits there", async () => {
    const gate = Promise.withResolvers<void>();
    await start(
      { a: asking, slow: () => ({ transform: async (draft) => (await gate.promise, draft) }) },
      { limits: { waiting: 1 } },
    );
    const first = post("slow", 1);
    while (server.channels.peek("slow")!.isIdle(Infinity, false)) await settled();
    await refusal("slow").catch(() => {});
    gate.resolve();
    await first;
    expect(said).toEqual([
      expect.stringContaining(
        `overloaded: can't publish to channel "slow": channel "slow" has too many messages waiting`,
      ),
    ]);
  });

  test("says why the other channel could not be opened", async () => {
    await start({
      a: asking,
      "chat/{room}": () => {
        throw new Error("no such file");
      },
    });
    await refusal("chat/1").catch(() => {});
    expect(said).toEqual([expect.stringContaining("one of its plugins failed to start")]);
  });

  test("and that nobody awaits is logged as the plugin's, and counted", async () => {
    await start({
      a: ({ channel }) => ({
        transform(draft) {
          void channel("nowhere").publish([{ data: 1 }, { data: 2 }]);
          return draft;
        },
      }),
    });
    await post("a", 1);
    while (failures().length === 0) await settled();
    expect(failures()).toEqual([
      expect.stringContaining(
        `plugin "plugin of a", publish, channel "a": can't publish to channel "nowhere"`,
      ),
    ]);
    expect(server.channels.peek("a")!.plugins.stats()[0]!.hooks.publish).toEqual({
      errors: 1,
      dropped: 2,
    });
  });

  test("for what it is given is told to the caller", async () => {
    await start({
      a: ({ channel }) => ({
        async receive() {
          for (const wrong of [undefined, "text", [1], { date: 1 }]) {
            await channel("b")
              .publish(wrong as never)
              .catch(({ message }) => said.push(message));
          }
          for (const name of [undefined, 7, ""]) {
            try {
              channel(name as never);
            } catch (error) {
              said.push((error as Error).message);
            }
          }
          await channel("b").publish([]);
          return null;
        },
      }),
      b: null,
    });
    await post("a", 1);
    expect(said).toEqual([
      `publish was given nothing; a draft is an object with "data"`,
      `publish was given a string; a draft is an object with "data"`,
      `publish was given a number; a draft is an object with "data"`,
      `publish was given an object without "data"; a draft is an object with "data"`,
      expect.stringContaining("channel(…) was given nothing"),
      expect.stringContaining("channel(…) was given a number"),
      expect.stringContaining("channel(…) was given an empty name"),
    ]);
  });

  test("for the server starts fails the setup that awaits it, with what is right", async () => {
    await start({ fine: null });
    const starting = startTestServer({
      channels: {
        a: {
          plugins: [
            plugin(async ({ channel }) => {
              await channel("b").publish({ data: 1 });
              return {};
            }),
          ],
        },
        b: {},
      },
    });
    const error = await starting.catch((error: unknown) => error as Error);
    expect((error as Error).message).toContain(
      `setup, channel "a": can't publish to channel "b": the server starts, and no channel takes messages before all are set up; publish from a hook or from source`,
    );
  });
});

describe("stop()", () => {
  test("lets close hooks and sinks publish to one another until nothing is under way", async () => {
    const seen: Record<string, unknown[]> = {};
    const keep: Plugin = plugin(({ channel }) => ({
      sink: (messages) =>
        void (seen[channel.name] ??= []).push(...messages.map(({ data }) => data)),
    }));
    server = await startTestServer({
      channels: {
        a: {
          plugins: [
            plugin(({ channel }) => ({
              async close() {
                await settled();
                await channel("b").publish({ data: "last words" });
              },
            })),
          ],
        },
        b: { plugins: [plugin(forward("c")), keep] },
        c: {
          plugins: [
            plugin(() => ({ transform: async (draft) => (await settled(), draft) })),
            plugin(forward("d")),
            keep,
          ],
        },
        d: { plugins: [keep] },
      },
    });
    await server.stop();
    expect(seen).toEqual({ b: ["last words"], c: ["last words"], d: ["last words"] });
    expect(failures()).toEqual([]);
  });

  test("refuses to open another channel", async () => {
    const codes: string[] = [];
    await start({
      a: ({ channel }) => ({
        close: () =>
          channel("chat/1")
            .publish({ data: 1 })
            .then(
              () => {},
              ({ message }) => void codes.push(message),
            ),
      }),
      "chat/{room}": null,
    });
    await server.stop();
    expect(codes).toEqual([
      `can't publish to channel "chat/1": the server stops, and this channel is not open`,
    ]);
  });
});

test("what came from another channel looks as any other to clients, sinks and history", async () => {
  const sunk: unknown[] = [];
  await start({
    a: forward("b"),
    b: () => ({ sink: (messages) => void sunk.push(...messages) }),
  });
  const socket = await TestSocket.open(`${server.urls.public}/channels/b`, "tidewire.v1");
  await socket.json();
  await post("a", { n: 1 });
  const message = (await socket.json()) as object;
  socket.close();
  expect(Object.keys(message).toSorted()).toEqual(["channel", "data", "id", "time", "type"]);
  const page = await fetch(`${server.urls.public}/channels/b/messages?after=earliest`);
  expect(await page.text()).not.toContain("trail");
  await committed("b", 1);
  while (sunk.length === 0) await settled();
  expect(JSON.stringify(sunk)).not.toContain("trail");
  const [kept] = (
    await server.channels.peek("b")!.channel.log.read(0, {
      through: 1,
      count: 1,
      bytes: 1e6,
    })
  ).messages;
  expect(kept!.trail).toEqual(["a"]);
  expect(Object.keys(kept!)).not.toContain("trail");
  expect(JSON.stringify(kept)).not.toContain("trail");
});

test("the error of a refusal has the line of the plugin that publishes", async () => {
  const stacks: string[] = [];
  async function authorsCode(channel: Context["channel"]) {
    await settled();
    await channel("nowhere").publish({ data: 1 });
  }
  await start({
    a: ({ channel }) => ({
      async receive() {
        await authorsCode(channel).catch(({ stack }) => stacks.push(stack));
        return null;
      },
    }),
  });
  await post("a", 1);
  const [first, second] = stacks[0]!.split("\n");
  expect(first).toStartWith(
    `CrossingError: can't publish to channel "nowhere": there is no such channel`,
  );
  expect(second).toMatch(/authorsCode .*other-channels\.test\.ts:\d+/);
});
