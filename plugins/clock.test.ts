import { afterEach, describe, expect, test } from "bun:test";
import clock from "./clock.ts";
import { complaint, start, until, type Running } from "./testing.ts";

let running: Running | null = null;

afterEach(async () => {
  await running?.stop();
  running = null;
});

async function ticks(options: Record<string, unknown>, count: number): Promise<unknown[]> {
  running = await start(clock, options);
  running.run();
  await until(() => running!.yielded.length >= count);
  return running.yielded.slice(0, count).map((draft) => draft.data);
}

describe("clock", () => {
  test("gives the time of day as plain text by default", async () => {
    const [data] = await ticks({ every: "20ms" }, 1);
    expect(data).toMatch(/^([01]\d|2[0-3]):[0-5]\d:[0-5]\d$/);
    // Text, not a JSON string: no format says otherwise.
    expect(running!.yielded[0]).toEqual({ data });
  });

  test("ticks at whole intervals, one after the other", async () => {
    const seconds = (await ticks({ every: "20ms", format: "unix" }, 5)) as number[];
    const steps = seconds.map((value) => Math.round(value * 1000) / 20);
    for (const step of steps) expect(Number.isInteger(step)).toBe(true);
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
  });

  test("does not tick before its time", async () => {
    running = await start(clock, { every: "20ms", format: "unix" });
    let count = 0;
    for await (const { data } of running.hooks.source!()) {
      expect(Date.now()).toBeGreaterThanOrEqual((data as number) * 1000);
      if (++count === 3) break;
    }
  });

  test("gives one tick, the newest, after the machine slept", async () => {
    await ticks({ every: "20ms", format: "unix" }, 1);
    const before = running!.yielded.length;
    Bun.sleepSync(110);
    await until(() => running!.yielded.length >= before + 2);
    const [slept, next] = running!.yielded
      .slice(before)
      .map((draft) => (draft.data as number) * 1000) as [number, number];
    const last = (running!.yielded[before - 1]!.data as number) * 1000;
    expect(slept - last).toBeGreaterThanOrEqual(100);
    expect(next).toBeGreaterThan(slept);
  });

  test("writes ISO time, in UTC", async () => {
    const before = Date.now();
    const [data] = await ticks({ every: "20ms", format: "iso", time_zone: "Asia/Tokyo" }, 1);
    expect(new Date(data as string).toISOString()).toBe(data as string);
    expect(Date.parse(data as string)).toBeGreaterThanOrEqual(before - 20);
    expect(Date.parse(data as string)).toBeLessThanOrEqual(Date.now());
  });

  test("writes the time of another time zone", async () => {
    const before = Date.now() - 20;
    const [data] = await ticks({ every: "20ms", time_zone: "Asia/Kolkata" }, 1);
    // Five and a half hours ahead of UTC all year. Seconds may pass between start and tick.
    const seconds = Math.ceil((Date.now() - before) / 1000) + 1;
    const expected = Array.from({ length: seconds }, (_, i) =>
      new Date(before + 5.5 * 3_600_000 + i * 1000).toISOString().slice(11, 19),
    );
    expect(expected).toContain(data as string);
  });

  test("writes the date and time of a language", async () => {
    const [data] = await ticks(
      { every: "20ms", format: "locale", locale: "de", time_zone: "UTC" },
      1,
    );
    expect(data).toMatch(/^\d\d\.\d\d\.\d{4}, \d\d:\d\d:\d\d$/);
  });

  test("ends at the abort, without waiting for its tick", async () => {
    running = await start(clock, { every: "1h" });
    running.run();
    await running.stop();
    expect(running.yielded).toEqual([]);
  });

  test.each([
    [{ every: "1ms" }, 'every is "1ms"; it must be at least 10ms'],
    [{ every: "0s" }, 'every is "0s"; it must be at least 10ms'],
    [{ time_zone: "Mars/Olympus" }, "Mars/Olympus"],
    [{ format: "locale", locale: "no such" }, 'locale is "no such"'],
    [{ every: "soon" }, "/every"],
    [{ format: "sundial" }, "/format"],
  ])("refuses %j", async (options, message) => {
    expect(start(clock, options)).rejects.toThrow(message);
  });

  test.each([
    [{ every: "0s" }, "every", 'every is "0s"; it must be at least 10ms'],
    [{ time_zone: "Mars/Olympus" }, "time_zone", 'write an IANA name such as "Europe/Berlin"'],
    [{ format: "iso", time_zone: "Mars/Olympus" }, "time_zone", 'time_zone is "Mars/Olympus"'],
    [{ locale: "no such" }, "locale", 'locale is "no such"'],
  ])("check() refuses %j without a start, at the option", (options, option, message) => {
    expect(complaint(clock, options)).toEqual({
      option,
      message: expect.stringContaining(message),
    });
  });

  test("check() has nothing against options that setup takes", () => {
    expect(
      complaint(clock, { every: "10ms", format: "locale", locale: "de", time_zone: "Asia/Tokyo" }),
    ).toBeNull();
  });
});
