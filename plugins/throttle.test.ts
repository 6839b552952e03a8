import { createChannelContext } from "../src/plugin/channel-context.ts";
import { createTestStore } from "../src/plugin/fake-store.ts";
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Draft } from "tidewire";
import { complaint, start, until, type Running } from "./testing.ts";
import throttle from "./throttle.ts";

const running: Running[] = [];

afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
});

async function open(options: Record<string, unknown>): Promise<Running> {
  const one = await start(throttle, options);
  running.push(one);
  return one;
}

const draft = (key: string | undefined, data: unknown): Draft => ({ key, data });

/** Does what has to happen within one interval, again with a new key where the machine took longer than that. */
async function inOneInterval(ms: number, act: (key: string) => Promise<void>): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const began = performance.now();
    const outcome = await act(`a${attempt}`).catch((error: unknown) => ({ error }));
    if (performance.now() - began >= ms) continue;
    if (outcome) throw outcome.error;
    return `a${attempt}`;
  }
}

describe("throttle", () => {
  test("lets the first of each key through at once", async () => {
    const { transform } = await open({ every: "1h" });
    expect(await transform(draft("a", 1))).toEqual([draft("a", 1)]);
    expect(await transform(draft("b", 1))).toEqual([draft("b", 1)]);
    expect(await transform(draft(undefined, 1))).toEqual([draft(undefined, 1)]);
    expect(await transform(draft(undefined, 2))).toEqual([]);
  });

  test("stays synchronous while the key is the message's own", async () => {
    const { hooks } = await open({ every: "1h" });
    expect(hooks.transform!(draft("a", 1))).not.toBeInstanceOf(Promise);
  });

  test("sends the newest of a key when the interval ends, and nothing else", async () => {
    const { transform, emitted } = await open({ every: "40ms" });
    const began = performance.now();
    const a = await inOneInterval(40, async (key) => {
      for (let i = 1; i <= 5; i++) {
        const out = await transform(draft(key, i));
        expect(out).toHaveLength(i === 1 ? 1 : 0);
      }
    });
    // Nothing is held of b, so its interval ends with nothing sent.
    expect(await transform(draft("b", 1))).toHaveLength(1);
    const of = (key: string) => emitted.filter((one) => one.key === key);
    await until(() => of(a).length > 0);
    expect(performance.now() - began).toBeGreaterThanOrEqual(40);
    const c = await inOneInterval(40, async (key) => {
      await transform(draft(`c${key}`, 1));
      expect(await transform(draft(`c${key}`, 2))).toEqual([]);
    });
    await until(() => of(`c${c}`).length > 0);
    expect(of(a)).toEqual([draft(a, 5)]);
    expect(of(`c${c}`)).toEqual([draft(`c${c}`, 2)]);
    expect(of("b")).toEqual([]);
  });

  test("starts a new interval with what it sends later", async () => {
    const { transform, emitted } = await open({ every: "500ms" });
    await transform(draft("a", 1));
    await transform(draft("a", 2));
    await until(() => emitted.length === 1);
    expect(await transform(draft("a", 3))).toEqual([]);
    await until(() => emitted.length === 2);
    expect(emitted).toEqual([draft("a", 2), draft("a", 3)]);
  });

  test("lets a newer one replace a held one that is late", async () => {
    const { transform, emitted } = await open({ every: "300ms" });
    await transform(draft("a", 1));
    await transform(draft("a", 2));
    // The timer can't run meanwhile: the interval ends with 2 still held.
    Bun.sleepSync(310);
    expect(await transform(draft("a", 3))).toEqual([draft("a", 3)]);
    await transform(draft("a", 4));
    await until(() => emitted.length > 0);
    expect(emitted).toEqual([draft("a", 4)]);
  });

  test("throttles together what an expression says", async () => {
    const { transform } = await open({ every: "1h", key: "data.symbol" });
    expect(await transform({ data: { symbol: "A", n: 1 } })).toHaveLength(1);
    expect(await transform({ data: { symbol: "A", n: 2 } })).toEqual([]);
    expect(await transform({ data: { symbol: "B", n: 3 } })).toHaveLength(1);
    // 1 and "1" are not the same.
    expect(await transform({ data: { symbol: 1 } })).toHaveLength(1);
    expect(await transform({ data: { symbol: "1" } })).toHaveLength(1);
    expect(await transform({ data: "none" })).toHaveLength(1);
    expect(await transform({ data: "none either" })).toEqual([]);
  });

  test("sends what is held when the channel closes", async () => {
    const { transform, emitted, stop } = await start(throttle, { every: "1h" });
    for (const key of ["a", "b", "c"]) await transform(draft(key, 1));
    await transform(draft("b", 2));
    await transform(draft("a", 2));
    await stop();
    expect(emitted).toEqual([draft("a", 2), draft("b", 2)]);
    // What comes now, such as from a plugin before it that closes later, is not held.
    expect(await transform(draft("a", 3))).toEqual([draft("a", 3)]);
    expect(await transform(draft("a", 4))).toEqual([draft("a", 4)]);
  });

  test("remembers no more keys than max_keys, and loses nothing that it forgets", async () => {
    const { transform } = await open({ every: "1h", max_keys: 2 });
    await transform(draft("a", 1));
    await transform(draft("b", 1));
    await transform(draft("a", 2));
    expect(await transform(draft("c", 1))).toEqual([draft("a", 2), draft("c", 1)]);
    expect(await transform(draft("a", 3))).toEqual([draft("a", 3)]);
    expect(await transform(draft("c", 2))).toEqual([]);
  });

  test("tries again when the channel has no room", async () => {
    const emitted: (Draft | readonly Draft[] | null)[] = [];
    let refusals = 0;
    const hooks = await throttle.setup({
      options: { every: "10ms", max_keys: 10 },
      channel: createChannelContext("test", {}, (name) => {
        throw new Error(`there is no channel "${name}"`);
      }),
      store: createTestStore("throttle"),
      directory: "/",
      log: { debug() {}, info() {}, warn() {}, error() {} },
      signal: new AbortController().signal,
      emit(drafts) {
        if (++refusals < 3) return false;
        emitted.push(typeof drafts === "function" ? drafts() : drafts);
        return true;
      },
    });
    await hooks.transform!(draft("a", 1));
    await hooks.transform!(draft("a", 2));
    await until(() => emitted.length > 0);
    expect(emitted).toEqual([[draft("a", 2)]]);
    expect(refusals).toBe(3);
  });

  test("gives for each key its first, its last, and the rest in order", async () => {
    const sequence = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(sequence, fc.integer({ min: 1, max: 4 }), async (keys, maxKeys) => {
        const one = await start(throttle, { every: "1ms", max_keys: maxKeys });
        const seen: Draft[] = [];
        let taken = 0;
        const takeEmitted = () => {
          seen.push(...one.emitted.slice(taken));
          taken = one.emitted.length;
        };
        for (const [i, key] of keys.entries()) {
          takeEmitted();
          seen.push(...(await one.transform(draft(key, i))));
          if (i % 7 === 0) await Bun.sleep(1);
        }
        await one.stop();
        takeEmitted();
        for (const key of new Set(keys)) {
          const sent = seen.filter((one) => one.key === key).map((one) => one.data as number);
          expect(sent[0]).toBe(keys.indexOf(key));
          expect(sent.at(-1)).toBe(keys.lastIndexOf(key));
          expect(sent).toEqual([...sent].sort((a, b) => a - b));
        }
        expect(new Set(seen).size).toBe(seen.length);
      }),
      { numRuns: 30 },
    );
  });

  test.each([
    [{}, "/every"],
    [{ every: "0s" }, 'every is "0s"; it must be at least 1ms'],
    [{ every: "1s", key: "data." }, "key: "],
  ])("refuses %j", async (options, message) => {
    expect(start(throttle, options)).rejects.toThrow(message);
  });

  test.each([
    [{ every: "0s" }, "every", "it must be at least 1ms"],
    [{ every: "1s", key: "data." }, "key", "key: "],
  ])("check() refuses %j without a start, at the option", (options, option, message) => {
    expect(complaint(throttle, options)).toEqual({
      option,
      message: expect.stringContaining(message),
    });
  });

  test("check() has nothing against options that setup takes", () => {
    expect(complaint(throttle, { every: "1ms", key: "data.id" })).toBeNull();
  });
});
