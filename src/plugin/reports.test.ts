import { expect, test } from "bun:test";
import { createLog } from "../log.ts";
import { PluginError } from "./errors.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { Reports } from "./reports.ts";

function create() {
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  const reports = new Reports({
    plugin: "round",
    channel: "prices",
    log,
    clock,
  });
  return { reports, lines, clock };
}

test("Reports logs the first error at once and those of each ten seconds after it as one line", async () => {
  const { reports, lines, clock } = create();
  for (let i = 1; i <= 1000; i++) reports.failed("transform", new Error(`no ${i}`), 1);
  expect(lines.map(({ message }) => message)).toEqual(["plugin failed in transform"]);
  await clock.pass(9_999);
  expect(lines).toHaveLength(1);
  await clock.pass(1);
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({
    message: "plugin failed in transform 999 more times",
    fields: { hook: "transform", count: 999, error: { cause: { message: "no 1000" } } },
  });
  reports.failed("transform", new Error("again"), 1);
  await clock.pass(10_000);
  expect(lines[2]).toMatchObject({ message: "plugin failed in transform 1 more times" });
  // Ten seconds without any: the next is a first one again, and no timer is left behind.
  await clock.pass(10_000);
  expect(clock.pending).toBe(0);
  reports.failed("transform", new Error("later"), 1);
  expect(lines[3]).toMatchObject({ message: "plugin failed in transform" });
  expect(reports.stats()).toEqual({
    plugin: "round",
    hooks: { transform: { errors: 1002, dropped: 1002 } },
  });
});

test("Reports holds back each hook on its own", () => {
  const { reports, lines } = create();
  for (const hook of ["transform", "sink", "transform", "sink"] as const) {
    reports.failed(hook, "bad", 1);
  }
  expect(lines.map(({ fields }) => fields["hook"])).toEqual(["transform", "sink"]);
});

test("Reports logs what it held back when it closes", async () => {
  const { reports, lines, clock } = create();
  for (let i = 0; i < 3; i++) reports.failed("left", new Error("bad"), 0);
  reports.close();
  await settled();
  expect(lines.map(({ message }) => message)).toEqual([
    "plugin failed in left",
    "plugin failed in left 2 more times",
  ]);
  expect(clock.pending).toBe(0);
});

test("an error carries plugin, hook, channel, cause and the author's stack into the log", () => {
  const written: string[] = [];
  const log = createLog({ level: "info", format: "text", write: (line) => written.push(line) });
  const reports = new Reports({
    plugin: "round",
    channel: "prices",
    log: log.with({ plugin: "round", channel: "prices" }),
    clock: new FakeClock(),
  });
  function authorsFunction(): never {
    throw new RangeError("7 is too much");
  }
  try {
    authorsFunction();
  } catch (error) {
    const wrapped = reports.error("transform", error);
    expect(wrapped).toBeInstanceOf(PluginError);
    expect(wrapped).toMatchObject({
      plugin: "round",
      hook: "transform",
      channel: "prices",
      cause: error,
      code: "failed",
    });
    reports.failed("transform", wrapped, 1);
  }
  expect(written).toHaveLength(1);
  expect(written[0]).toContain("plugin=round");
  expect(written[0]).toContain("hook=transform");
  expect(written[0]).toContain(
    `PluginError: plugin "round", transform, channel "prices": 7 is too much`,
  );
  expect(written[0]).toContain("authorsFunction");
});

test.each([["a text"], [undefined], [null], [Object.create(null)], [{ toString: 1 }]])(
  "an error is made of anything that is thrown: %#",
  (thrown) => {
    const { reports } = create();
    expect(reports.error("sink", thrown).message).toStartWith(
      `plugin "round", sink, channel "prices": `,
    );
  },
);
