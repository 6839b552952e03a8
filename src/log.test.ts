import { describe, expect, test } from "bun:test";
import { createLog, type LogLevel, type LogOptions } from "./log.ts";

const NOW = new Date("2026-01-02T03:04:05.678Z");

function open(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = createLog({ level: "debug", format: "json", now: () => NOW, write, ...options });
  return { log, lines };
}

describe("createLog()", () => {
  test("writes one line of JSON a call, time, level and message first", () => {
    const { log, lines } = open();
    log.info("channel opened", { channel: "prices", count: 2 });
    expect(lines).toEqual([
      `{"time":"2026-01-02T03:04:05.678Z","level":"info","message":"channel opened","channel":"prices","count":2}\n`,
    ]);
  });

  test("writes one readable line a call for a terminal, quoting what has spaces", () => {
    const { log, lines } = open({ format: "text" });
    log.warn("slow", {
      channel: "chat/lobby",
      reason: "buffer is full",
      bytes: 3,
      none: undefined,
    });
    expect(lines).toEqual([
      `03:04:05.678 WARN  slow channel=chat/lobby reason="buffer is full" bytes=3\n`,
    ]);
  });

  test("leaves out what is below its level", () => {
    const levels: LogLevel[] = ["debug", "info", "warn", "error"];
    for (const [index, level] of levels.entries()) {
      const { log, lines } = open({ level });
      for (const each of levels) log[each](each);
      expect(lines.map((line) => JSON.parse(line).level)).toEqual(levels.slice(index));
    }
  });

  test("with() adds fields to every line and leaves the log it came from as it was", () => {
    const { log, lines } = open();
    const plugin = log.with({ plugin: "clock" }).with({ hook: "source" });
    plugin.info("a", { hook: "sink" });
    log.info("b");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ message: "a", plugin: "clock", hook: "sink" }),
      { time: NOW.toISOString(), level: "info", message: "b" },
    ]);
  });

  test("keeps a field from passing for the line's own time, level or message", () => {
    const { log, lines } = open();
    log.info("real", { level: "gold", message: "fake", time: 1 });
    expect(JSON.parse(lines[0]!)).toEqual({
      time: NOW.toISOString(),
      level: "info",
      message: "real",
      time_: 1,
      level_: "gold",
      message_: "fake",
    });
  });

  test("writes an error with its stack and its cause", () => {
    const { log, lines } = open();
    log.error("failed", { error: new TypeError("no", { cause: new Error("disk full") }) });
    expect(JSON.parse(lines[0]!).error).toEqual({
      name: "TypeError",
      message: "no",
      stack: expect.stringContaining("log.test.ts"),
      cause: expect.objectContaining({ message: "disk full" }),
    });
  });

  test("writes an error's stack below a readable line", () => {
    const { log, lines } = open({ format: "text" });
    log.error("failed", { error: new TypeError("no") });
    expect(lines[0]).toMatch(/^03:04:05\.678 ERROR failed\n  TypeError: no\n.*log\.test\.ts/s);
  });

  test.each(["json", "text"] as const)("survives fields that %s can't hold", (format) => {
    const { log, lines } = open({ format });
    const circle: Record<string, unknown> = { big: 12345678901234567890n };
    circle.self = circle;
    log.info("a", { circle });
    log.info("b", {
      trap: {
        toJSON: () => {
          throw new Error("trap");
        },
      },
    });
    expect(lines[0]).toContain(`{"big":"12345678901234567890","self":"[seen above]"}`);
    expect(lines[1]).toContain("b");
    expect(lines[1]).toContain("Error: trap");
  });

  test.each(["json", "text"] as const)(
    "keeps a client's control characters out of %s",
    (format) => {
      const { log, lines } = open({ format });
      log.info("got \n\u001b[2J\u0085", { event: "a\nb\u001b[2J" });
      expect(lines[0]!.slice(0, -1)).not.toMatch(/[\u0000-\u001f]/);
      expect(lines[0]).toContain("\\u001b[2J");
    },
  );
});

test("what a client wrote passes for no line of the log and steers no terminal", () => {
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "text", write: (line) => void lines.push(line) });
  const forged = "x\n12:00:00.000 INFO  forged\u001b[2J\u009b31m\u202e";
  log.error(forged, { reason: forged, error: new Error(forged) });
  const [text] = lines as [string];
  expect(text.split("\n").filter((line) => /^\d/.test(line))).toHaveLength(1);
  expect(text).not.toMatch(/[\u001b\u009b\u202e]/);
  expect(text).toContain("\n  12:00:00.000 INFO  forged\\u001b[2J");
});
