import { expect, test } from "bun:test";
import { FakeClock } from "../fake-clock.ts";
import { Watch, type WatchOptions } from "./watch.ts";

const MEBIBYTE = 1024 ** 2;

function open(more: Partial<WatchOptions> = {}) {
  const clock = new FakeClock();
  const state = { pings: 0, isBusy: true, resident: 0, answers: true };
  const bad: string[] = [];
  const watch: Watch = new Watch({
    timeoutMs: 1000,
    memory: 100 * MEBIBYTE,
    clock,
    ping: () => {
      state.pings++;
      if (state.answers) queueMicrotask(() => watch.sign());
    },
    isBusy: () => state.isBusy,
    onBad: (reason) => bad.push(reason),
    residentBytes: () => state.resident,
    ...more,
  });
  watch.start();
  watch.loaded();
  return { clock, state, bad, watch };
}

test("A worker that answers is well, however long it works", async () => {
  const { clock, bad, watch } = open();
  watch.ready();
  await clock.pass(60_000);
  expect(bad).toEqual([]);
  watch.stop();
});

test("A worker that does not answer for the timeout is bad, once", async () => {
  const { clock, state, bad, watch } = open();
  watch.ready();
  state.answers = false;
  await clock.pass(1050);
  expect(bad).toEqual([expect.stringContaining("no sign of life for 1 s")]);
  await clock.pass(5000);
  expect(bad).toHaveLength(1);
});

test("Any sign of life begins the time anew", async () => {
  const { clock, state, bad, watch } = open();
  watch.ready();
  await clock.pass(100);
  state.answers = false;
  for (let i = 0; i < 5; i++) {
    await clock.pass(800);
    watch.sign();
  }
  expect(bad).toEqual([]);
  watch.stop();
});

test("Silence while it is set up is for the limit of setup to judge", async () => {
  const { clock, state, bad, watch } = open();
  state.answers = false;
  await clock.pass(20_000);
  expect(bad).toEqual([]);
  watch.ready();
  await clock.pass(1100);
  expect(bad).toHaveLength(1);
});

test("A pause of the server's own thread is not the worker's silence", async () => {
  const clock = new FakeClock();
  let nowMs = 0;
  // Each step ends 400 ms later than it was asked to.
  const late = {
    now: () => nowMs,
    delay: async (ms: number, signal: AbortSignal) => {
      await clock.delay(ms, signal);
      nowMs += ms + 400;
    },
  };
  const { bad, watch } = open({ clock: late, ping: () => {} });
  watch.ready();
  // 450 ms a step: were all of it counted, the third would be over the second.
  await clock.pass(3 * 50);
  expect(bad).toEqual([]);
  await clock.pass(8 * 50);
  expect(bad).toHaveLength(1);
});

test("A worker that is asked nothing is left alone, for some seconds at a time", async () => {
  const { clock, state, watch } = open();
  watch.ready();
  state.isBusy = false;
  await clock.pass(100_000);
  expect(state.pings).toBeGreaterThanOrEqual(40);
  expect(state.pings).toBeLessThanOrEqual(51);
  watch.stop();
});

test("So is one that is at the same thing for long, such as a source that waits", async () => {
  const { clock, state, watch } = open();
  watch.ready();
  await clock.pass(100_000);
  expect(state.pings).toBeGreaterThanOrEqual(40);
  expect(state.pings).toBeLessThanOrEqual(60);
  watch.stop();
});

test("One that is asked something new is looked at from then on", async () => {
  const { clock, state, bad, watch } = open();
  watch.ready();
  state.isBusy = false;
  await clock.pass(10_100);
  state.isBusy = true;
  state.answers = false;
  const before = state.pings;
  watch.wake();
  await clock.pass(0);
  expect(state.pings).toBe(before + 1);
  await clock.pass(1050);
  expect(bad).toHaveLength(1);
});

test("One that spins without being asked is found at the next ping", async () => {
  const { clock, state, bad, watch } = open();
  watch.ready();
  state.isBusy = false;
  await clock.pass(10_000);
  state.answers = false;
  await clock.pass(2000 + 1100);
  expect(bad).toHaveLength(1);
});

test("hurry() leaves less time for silence, from that moment on", async () => {
  const { clock, state, bad, watch } = open({ timeoutMs: 60_000 });
  watch.ready();
  state.answers = false;
  await clock.pass(30_000);
  watch.hurry(2000);
  await clock.pass(1900);
  expect(bad).toEqual([]);
  await clock.pass(200);
  expect(bad).toEqual([
    "gave no sign of life for 2 s, when it was told to stop: an endless loop, or a call that blocks",
  ]);
});

test("hurry() gives no more time than there was", async () => {
  const { clock, state, bad, watch } = open();
  watch.ready();
  state.answers = false;
  watch.hurry(2000);
  await clock.pass(1100);
  expect(bad).toEqual([expect.stringContaining(`for 1 s, its "timeout:"`)]);
});

test("A worker that says that it holds too much is bad", () => {
  const { bad, watch } = open();
  watch.report(100 * MEBIBYTE);
  expect(bad).toEqual([]);
  watch.report(101 * MEBIBYTE);
  expect(bad).toEqual([`holds 101 MiB, more than the 100 MiB of its "memory:"`]);
});

test("The process growing while the worker says nothing counts as the worker's, with room for the others", async () => {
  const { clock, state, bad, watch } = open();
  watch.ready();
  watch.report(60 * MEBIBYTE);
  await clock.pass(100);
  // It answers: what grows is not its own.
  state.resident = 500 * MEBIBYTE;
  await clock.pass(100);
  expect(bad).toEqual([]);
  state.answers = false;
  watch.wake();
  await clock.pass(60);
  state.resident += 100 * MEBIBYTE;
  await clock.pass(50);
  expect(bad).toEqual([]);
  state.resident += 10 * MEBIBYTE;
  await clock.pass(50);
  expect(bad).toEqual([expect.stringContaining("holds 106 MiB")]);
});
