import { afterEach, expect, spyOn, test } from "bun:test";
import { within } from "./body-time.ts";

const timers = spyOn(globalThis, "setTimeout");
afterEach(() => timers.mockClear());

const late = () => new Error("too late");
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("within() makes no timer for what is there, or fails, before the turn ends", async () => {
  const [soon, failing] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const [both, failed] = [within(1, soon.promise, late), within(1, failing.promise, late)];
  soon.resolve("here");
  failing.reject(new Error("broke off"));
  expect(await both).toBe("here");
  await expect(failed).rejects.toThrow("broke off");
  await turn();
  expect(timers).not.toHaveBeenCalled();
});

test("within() rejects what takes longer, and makes no more of what comes of it then", async () => {
  const work = Promise.withResolvers<string>();
  await expect(within(1, work.promise, late)).rejects.toThrow("too late");
  expect(timers).toHaveBeenCalledTimes(1);
  work.reject(new Error("the connection ended"));
});

test("within() ends its timer when the work is done, and waits anew in each turn", async () => {
  const ended = spyOn(globalThis, "clearTimeout");
  for (let round = 1; round <= 2; round++) {
    const work = Promise.withResolvers<number>();
    const waited = within(60_000, work.promise, late);
    await turn();
    expect(timers).toHaveBeenCalledTimes(round);
    work.resolve(round);
    expect(await waited).toBe(round);
    expect(ended).toHaveBeenCalledTimes(round);
  }
  ended.mockRestore();
});
