import { afterEach, beforeEach, expect, test } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import { settled } from "./fake-clock.ts";
import { orUnheard } from "./unheard.ts";

const unhandled: unknown[] = [];
const onUnhandled = (error: unknown) => void unhandled.push(error);
beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", onUnhandled);
});
afterEach(() => void process.off("unhandledRejection", onUnhandled));

const failure = new Error("bad");
function start(work: Promise<unknown> = Promise.reject(failure)) {
  const told: unknown[] = [];
  return { promise: orUnheard(work, (error) => void told.push(error)), told };
}

test("orUnheard() tells of a failure that nobody hears, and leaves no unhandled rejection", async () => {
  const { told } = start();
  await settled();
  expect(told).toEqual([failure]);
  expect(unhandled).toEqual([]);
});

test("orUnheard() tells of nothing that somebody hears, in whatever way", async () => {
  const ways: ((promise: Promise<unknown>) => Promise<unknown>)[] = [
    async (promise) => await promise,
    (promise) => promise.then(() => 1),
    (promise) => promise.catch((error) => Promise.reject(error)),
    (promise) => promise.finally(() => {}),
    (promise) => Promise.all([promise]),
    (promise) => Promise.race([promise, new Promise(() => {})]),
    async (promise) => {
      for await (const _ of [promise]) break;
    },
  ];
  for (const way of ways) {
    const { promise, told } = start();
    expect(await way(promise).catch((error: unknown) => error)).toBe(failure);
    await settled();
    expect(told).toEqual([]);
  }
  expect(unhandled).toEqual([]);
});

test("orUnheard() gives what comes of it, and keeps who awaits it in its own context", async () => {
  const storage = new AsyncLocalStorage<number>();
  const { promise, told } = start(Promise.resolve(7));
  await storage.run(1, async () => {
    expect(await promise).toBe(7);
    expect(storage.getStore()).toBe(1);
  });
  expect(told).toEqual([]);
});
