import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { MaybePromise } from "../channel/log.ts";
import type { Draft } from "../channel/message.ts";
import { PluginError } from "./errors.ts";
import { createFakeClient } from "./fake-client.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { ReceiveChain } from "./receive-chain.ts";
import { RefusedError } from "./refused-error.ts";
import { Reports } from "./reports.ts";
import type { Client, Hooks } from "./sdk.ts";

function chain(...hooks: NonNullable<Hooks["receive"]>[]) {
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  const receivers = hooks.map((receive, index) => ({
    receive: receive as (data: unknown, client: Client) => unknown,
    reports: new Reports({ plugin: `p${index}`, channel: "chat", log, clock }),
  }));
  return { chain: new ReceiveChain(receivers, "chat", clock), clock, lines, receivers };
}

function refuse(): never {
  throw new RefusedError("not today");
}

const alice = createFakeClient("alice");

describe("ReceiveChain", () => {
  test("gives the data of what one plugin returned to the next, and the last draft out", () => {
    const { chain: under } = chain(
      (data) => ({ data: `${data}b`, event: "said", key: "k" }),
      (data, client) => ({ data: `${data}c`, key: client.id }),
    );
    expect(under.receive("a", alice)).toEqual({ data: "abc", event: "said", key: "alice" });
  });

  test("asks no further plugin when one swallows the frame", async () => {
    const asked: unknown[] = [];
    const last = (data: unknown) => void asked.push(data);
    expect(chain(() => null, last).chain.receive("a", alice)).toBeNull();
    expect(chain(() => {}, last).chain.receive("a", alice)).toBeNull();
    expect(await chain(async () => null, last).chain.receive("a", alice)).toBeNull();
    expect(asked).toEqual([]);
  });

  test("gives every plugin what came, letter by letter, whatever those before it made of it", () => {
    const seen: unknown[] = [];
    const { chain: under } = chain(
      (data, _client, raw) => (seen.push(raw), { data: String(data) }),
      (data, _client, raw) => (seen.push(raw), { data }),
    );
    const bytes = new Uint8Array([1]);
    void under.receive({ n: 1 }, alice, '{"n": 1.0}');
    void under.receive("text", alice);
    void under.receive(bytes, alice);
    expect(seen).toEqual(['{"n": 1.0}', '{"n": 1.0}', "text", "text", bytes, bytes]);
  });

  test.each([
    ["throws", (): never => refuse()],
    ["rejects", async () => refuse()],
  ] as const)(
    "one that %s a RefusedError refuses the frame, and counts as no failure",
    async (_how, hook) => {
      const { chain: under, lines, receivers } = chain(hook);
      const error = await (async () => under.receive(1, alice))().catch((error: unknown) => error);
      expect(error).toBeInstanceOf(RefusedError);
      expect(receivers[0]!.reports.stats().hooks).toEqual({});
      expect(lines).toEqual([]);
    },
  );

  test("makes no promise when no hook does", () => {
    expect(chain((data) => ({ data })).chain.receive(1, alice)).not.toBeInstanceOf(Promise);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("no");
      },
    ],
  ] as const)("tells the caller of a hook that %s, and counts and logs it", async (_what, hook) => {
    const { chain: under, lines, receivers } = chain((data) => ({ data }), hook);
    const error = await (async () => under.receive(1, alice))().catch((error: unknown) => error);
    expect(error).toBeInstanceOf(PluginError);
    expect(error).toMatchObject({ plugin: "p1", hook: "receive", channel: "chat", code: "failed" });
    expect(lines).toHaveLength(1);
    expect(receivers[1]!.reports.stats().hooks.receive).toEqual({ errors: 1, dropped: 1 });
    expect(receivers[0]!.reports.stats().hooks).toEqual({});
  });

  test("refuses what is no draft, and never lets a plugin bring its own JSON text", () => {
    expect(() => chain(() => "text" as never).chain.receive(1, alice)).toThrow(
      `plugin "p0", receive, channel "chat": receive returned a string; return a draft`,
    );
    const raw = chain(() => ({ data: 1, raw: "{broken" }) as Draft).chain.receive(1, alice);
    expect(raw).toEqual({ data: 1 });
  });

  test("a failed frame does not hold up those after it", async () => {
    const { chain: under } = chain(async (data) => {
      if (data === 1) throw new Error("no");
      return { data };
    });
    const [first, second] = await Promise.allSettled([
      under.receive(1, alice),
      under.receive(2, alice),
    ]);
    expect([first!.status, second!.status]).toEqual(["rejected", "fulfilled"]);
  });

  test("gives up on a hook that does not settle within 10 s, and goes on with the next frame", async () => {
    const calls: unknown[] = [];
    let finish: (draft: Draft) => void = () => {};
    const {
      chain: under,
      clock,
      lines,
      receivers,
    } = chain(
      (data) => {
        calls.push(data);
        return data === 1 ? new Promise<Draft>((resolve) => (finish = resolve)) : { data };
      },
      (data) => (calls.push(`next ${data}`), { data }),
    );
    const frames = [1, 2].map((data) => Promise.resolve(under.receive(data, alice)));
    const settle = Promise.allSettled(frames);
    await clock.pass(9_999);
    expect(calls).toEqual([1]);
    await clock.pass(1);
    const [first, second] = await settle;
    expect(first).toMatchObject({ status: "rejected", reason: { code: "timeout", plugin: "p0" } });
    expect((first as PromiseRejectedResult).reason).toBeInstanceOf(PluginError);
    expect((first as PromiseRejectedResult).reason.message).toBe(
      `plugin "p0", receive, channel "chat": receive did not end within 10 s`,
    );
    expect(second).toEqual({ status: "fulfilled", value: { data: 2 } });
    expect(receivers[0]!.reports.stats().hooks.receive).toEqual({ errors: 1, dropped: 1 });
    expect(lines).toHaveLength(1);
    // Whoever sent it was told that it failed: what comes after all is not taken.
    finish({ data: "late" });
    await settled();
    expect(calls).toEqual([1, 2, "next 2"]);
  });

  test("leaves no timer behind when its hooks have settled", async () => {
    const { chain: under, clock } = chain(async (data) => ({ data }));
    await under.receive(1, alice);
    expect(clock.asked).toEqual([10_000]);
    expect(clock.pending).toBe(0);
  });

  test("refuses a client whose frames pile up, and no other", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const { chain: under } = chain(async (data) => (await gate, { data }));
    const waiting = Array.from({ length: 1000 }, (_, i) => under.receive(i, alice));
    expect(() => under.receive(1000, alice)).toThrow("1000 messages of this client wait");
    const other = under.receive("other", createFakeClient("bob"));
    release();
    expect(await other).toEqual({ data: "other" });
    expect(await Promise.all(waiting)).toEqual(waiting.map((_, data) => ({ data })));
    await settled();
    expect(await under.receive("again", alice)).toEqual({ data: "again" });
  });

  test("frames of one client come out as they went in, whatever each hook waits for", async () => {
    // For each frame and plugin: how many turns of the event loop it takes, or -1 for no promise.
    const turns = fc.integer({ min: -1, max: 3 });
    const frame = fc.record({ client: fc.nat(2), turns: fc.tuple(turns, turns, turns) });
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), async (frames) => {
        const hook =
          (index: number): NonNullable<Hooks["receive"]> =>
          (data) => {
            const [number, path] = data as [number, string];
            const draft: Draft = { data: [number, path + index] };
            const wait = frames[number]!.turns[index]!;
            return wait === -1 ? draft : later(draft, wait);
          };
        const { chain: under } = chain(hook(0), hook(1), hook(2));
        const clients = ["a", "b", "c"].map(createFakeClient);
        const out: [number, unknown][] = [];
        await Promise.all(
          frames.map(async ({ client }, number) => {
            const draft = await (under.receive(
              [number, ""],
              clients[client]!,
            ) as MaybePromise<Draft>);
            out.push([client, draft.data]);
          }),
        );
        for (const client of [0, 1, 2]) {
          const wanted = frames.flatMap((frame, number) =>
            frame.client === client ? [[number, "012"]] : [],
          );
          const got = out.filter(([owner]) => owner === client).map(([, data]) => data);
          expect(got).toEqual(wanted);
        }
      }),
      { numRuns: 100 },
    );
  });
});

async function later<T>(value: T, turns: number): Promise<T> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
  return value;
}
