/** The time that a setup has, and what is left of it when the server stops. */
import { expect, test } from "bun:test";
import { LATE } from "./clock.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { SetupLimit } from "./setup-limit.ts";

function setUp() {
  const clock = new FakeClock();
  const stopping = new AbortController();
  let told = 0;
  const limits = { clock, setupMs: 30_000, closeMs: 5000, stopping: stopping.signal };
  const limit = new SetupLimit(limits, () => void told++);
  return { clock, stopping, limit, told: () => told };
}

const never = new Promise<string>(() => {});

test("a setup that hangs is given up after its limit", async () => {
  const { clock, limit, told } = setUp();
  const ended = limit.within(never);
  await clock.pass(30_000);
  expect(await ended).toBe(LATE);
  expect(limit.ms).toBe(30_000);
  expect(told()).toBe(0);
});

test("once the server stops a setup has a few seconds left", async () => {
  const { clock, stopping, limit, told } = setUp();
  const ended = limit.within(never);
  await clock.pass(10_000);
  stopping.abort();
  await settled();
  await clock.pass(5000);
  expect(await ended).toBe(LATE);
  expect(limit.ms).toBe(5000);
  expect(told()).toBe(1);
});

test("a setup that begins when the server stops has as long", async () => {
  const { clock, stopping, limit, told } = setUp();
  stopping.abort();
  const ended = limit.within(never);
  await clock.pass(5000);
  expect(await ended).toBe(LATE);
  expect(told()).toBe(1);
});

test("a setup that ends in time is what it gave, or fails with what it threw", async () => {
  const { stopping, limit, told } = setUp();
  const work = Promise.withResolvers<string>();
  const ended = limit.within(work.promise);
  stopping.abort();
  work.resolve("hooks");
  expect(await ended).toBe("hooks");
  expect(told()).toBe(1);
  const other = setUp();
  await expect(other.limit.within(Promise.reject(new Error("no")))).rejects.toThrow("no");
  // It is over: nobody is told of a stop any more.
  other.stopping.abort();
  expect(other.told()).toBe(0);
});
