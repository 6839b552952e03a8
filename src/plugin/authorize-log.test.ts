import { describe, expect, test } from "bun:test";
import { DenialLog, type Denial } from "./authorize-log.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";

const denial: Denial = {
  plugin: "guard",
  channel: "chat/a",
  action: "subscribe",
  transport: "websocket",
  address: "192.0.2.7",
  reason: "no token",
};

function start() {
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  return { denials: new DenialLog(log, clock), lines, clock };
}

describe("DenialLog", () => {
  test("writes the first twenty at once, and the rest of ten seconds as one line with the last", async () => {
    const { denials, lines, clock } = start();
    for (let i = 0; i < 1000; i++) denials.denied({ ...denial, channel: `chat/${i}` });
    expect(lines).toHaveLength(20);
    await clock.pass(10_000);
    expect(lines).toHaveLength(21);
    expect(lines[20]).toMatchObject({
      level: "info",
      message: "access denied 980 more times, the last as told here",
      fields: { count: 980, channel: "chat/999", reason: "no token" },
    });
  });

  test("stays quiet for as long as it goes on, and starts anew after ten quiet seconds", async () => {
    const { denials, lines, clock } = start();
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 100; i++) denials.denied(denial);
      await clock.pass(1000);
    }
    expect(lines).toHaveLength(20 + 6);
    await clock.pass(20_000);
    denials.denied(denial);
    expect(lines.at(-1)!.message).toBe("access denied");
  });

  test("counts each plugin and action by itself", () => {
    const { denials, lines } = start();
    for (let i = 0; i < 30; i++) denials.denied(denial);
    denials.denied({ ...denial, plugin: null });
    denials.denied({ ...denial, action: "publish" });
    expect(lines).toHaveLength(22);
  });

  test("counts failures apart, so that denials that are meant hide none, and tells what it wrote", () => {
    const { denials, lines } = start();
    const written = Array.from({ length: 30 }, () => denials.denied(denial));
    expect(written).toEqual([...Array<boolean>(20).fill(true), ...Array<boolean>(10).fill(false)]);
    expect(denials.denied(denial, true)).toBe(true);
    expect(lines).toHaveLength(21);
  });

  test("cuts what a client or a plugin made long", () => {
    const { denials, lines } = start();
    denials.denied({ ...denial, channel: "c".repeat(9000), reason: "r".repeat(9000) });
    expect(JSON.stringify(lines).length).toBeLessThan(1500);
  });

  test("writes what was held back when it closes, then nothing, and leaves no timer", async () => {
    const { denials, lines, clock } = start();
    for (let i = 0; i < 25; i++) denials.denied(denial);
    denials.close();
    await settled();
    expect(lines).toHaveLength(21);
    expect(lines[20]!.fields).toMatchObject({ count: 5 });
    denials.denied(denial);
    expect([lines.length, clock.pending]).toEqual([21, 0]);
  });
});
