import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, mkdir, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { Draft } from "tidewire";
import tail from "./tail.ts";
import { complaint, start, until, type Running } from "./testing.ts";

let directory: string;
let path: string;
const running: Running[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidewire-tail-"));
  path = join(directory, "app.log");
});

afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
  await rm(directory, { recursive: true });
});

/** Follows the file; looks often, so that no test depends on what the system tells. */
async function follow(options: Record<string, unknown> = {}): Promise<Running> {
  const one = await start(tail, { path: "app.log", poll: "20ms", ...options }, { directory });
  running.push(one);
  one.run();
  return one;
}

const linesOf = (one: Running) => one.yielded.map((draft) => draft.data);

async function untilLines(one: Running, count: number): Promise<unknown[]> {
  await until(() => one.yielded.length >= count);
  return linesOf(one);
}

/** Waits until the file was looked for in vain: one that comes then is read from its start, not its end. */
const untilMissed = (one: Running) =>
  until(() => one.logs.some((line) => line.message.startsWith("the file is not there yet")));

/** Waits until the file is open: a line that is written then is published. */
const untilOpen = (one: Running) =>
  until(() => one.logs.some((line) => line.message === "reads the file"));

describe("tail", () => {
  test("reads from the start when told so, each line as text", async () => {
    await writeFile(path, "one\ntwo\n\nfour\n");
    const one = await follow({ from: "start", event: "line", key: "app" });
    expect(await untilLines(one, 4)).toEqual(["one", "two", "", "four"]);
    expect(one.yielded[0]).toEqual({ data: "one", format: "text", event: "line", key: "app" });
  });

  test("reads from the end by default, a last line without its end as a whole", async () => {
    await writeFile(path, "old\nhal");
    const one = await follow();
    await untilOpen(one);
    await appendFile(path, "f\nnew\n");
    expect(await untilLines(one, 2)).toEqual(["half", "new"]);
  });

  test("sees what is appended by the system's word, long before it would look", async () => {
    await writeFile(path, "");
    const one = await follow({ poll: "1h" });
    await untilOpen(one);
    await appendFile(path, "new\n");
    expect(await untilLines(one, 1)).toEqual(["new"]);
  });

  test("waits for a file that is not there, and reads it from its start", async () => {
    const one = await follow();
    await untilMissed(one);
    await writeFile(path, "first\n");
    expect(await untilLines(one, 1)).toEqual(["first"]);
    expect(one.logs).toMatchObject([
      { level: "info", message: "the file is not there yet; waiting" },
      { level: "info", message: "reads the file" },
    ]);
  });

  test("waits for a folder that is not there", async () => {
    const one = await follow({ path: "sub/app.log" });
    await untilMissed(one);
    await mkdir(join(directory, "sub"));
    await writeFile(join(directory, "sub/app.log"), "first\n");
    expect(await untilLines(one, 1)).toEqual(["first"]);
  });

  test("follows through rename and create, with what is written late to the old file", async () => {
    await writeFile(path, "");
    const one = await follow({ from: "start" });
    await appendFile(path, "1\n");
    await untilLines(one, 1);
    await rename(path, `${path}.1`);
    await appendFile(`${path}.1`, "2\n");
    await writeFile(path, "");
    // As between logrotate's `create` and the signal to the writer: the new file is there, unused.
    await appendFile(`${path}.1`, "3\n");
    await untilLines(one, 3);
    await appendFile(`${path}.1`, "4\n");
    await untilLines(one, 4);
    await appendFile(`${path}.1`, "5, no end");
    await appendFile(path, "6\n");
    expect(await untilLines(one, 6)).toEqual(["1", "2", "3", "4", "5, no end", "6"]);
  });

  test("follows through copytruncate", async () => {
    await writeFile(path, "1\n2\n3\n");
    const one = await follow({ from: "start" });
    await untilLines(one, 3);
    await truncate(path, 0);
    await appendFile(path, "4\n");
    expect(await untilLines(one, 4)).toEqual(["1", "2", "3", "4"]);
  });

  test("sees that the file was written anew even when it has grown past the old place", async () => {
    await writeFile(path, "1\n2\n");
    const one = await follow({ from: "start" });
    await untilLines(one, 2);
    await writeFile(path, "a line that is longer than all before\nanother\n");
    expect(await untilLines(one, 4)).toEqual([
      "1",
      "2",
      "a line that is longer than all before",
      "another",
    ]);
  });

  test("sees that it was written anew between two of its reads", async () => {
    await writeFile(path, "1\n2\n");
    const one = await start(tail, { path: "app.log", from: "start", poll: "20ms" }, { directory });
    running.push(one);
    const lines = (one.hooks.source!() as AsyncIterable<Draft>)[Symbol.asyncIterator]();
    const next = async () => ((await lines.next()).value as Draft).data;
    expect(await next()).toBe("1");
    // It reads on only when it is asked: whether there is more after the second line.
    await writeFile(path, "a line that is longer than all before\nanother\n");
    expect([await next(), await next(), await next()]).toEqual([
      "2",
      "a line that is longer than all before",
      "another",
    ]);
    await lines.return!();
  });

  test("follows through removal and a new file", async () => {
    await writeFile(path, "1\n");
    const one = await follow({ from: "start" });
    await untilLines(one, 1);
    await rm(path);
    await writeFile(path, "2\n");
    expect(await untilLines(one, 2)).toEqual(["1", "2"]);
  });

  test("loses and repeats nothing over many rotations under writes", async () => {
    await writeFile(path, "");
    const one = await follow({ from: "start" });
    let line = 0;
    for (let rotation = 0; rotation < 20; rotation++) {
      for (let i = 0; i < 50; i++) await appendFile(path, `${line++}\n`);
      // One rotation after the other: two between two looks are one too many for any follower.
      await until(() => one.yielded.length >= line);
      await rename(path, `${path}.1`);
      await appendFile(`${path}.1`, `${line++}\n`);
    }
    await appendFile(path, `${line++}\n`);
    expect(await untilLines(one, line)).toEqual(Array.from({ length: line }, (_, i) => String(i)));
  });

  test("holds a line back until its end is there", async () => {
    await writeFile(path, "whole\npart");
    const one = await follow({ from: "start" });
    await untilLines(one, 1);
    await appendFile(path, "ial\nlast");
    expect(await untilLines(one, 2)).toEqual(["whole", "partial"]);
  });

  test("joins characters and CR LF that are torn between two writes", async () => {
    const bytes = Buffer.from("grüße 🌊\r\nzwei\r\na\rb\n");
    await writeFile(path, "");
    const one = await follow({ from: "start", poll: "10ms" });
    for (const byte of bytes) {
      await appendFile(path, Buffer.from([byte]));
      await Bun.sleep(1);
    }
    expect(await untilLines(one, 3)).toEqual(["grüße 🌊", "zwei", "a\rb"]);
  });

  test("gives any text back line by line, whatever the limits of a read", async () => {
    const line = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 20 }),
      fc.integer({ min: 65_000, max: 66_000 }).map((length) => "é".repeat(length / 2)),
    );
    const lines = fc.array(
      line.map((text) => text.replace(/[\r\n\ufeff]/g, " ")),
      {
        minLength: 1,
        maxLength: 8,
      },
    );
    await fc.assert(
      fc.asyncProperty(lines, fc.constantFrom("\n", "\r\n"), async (texts, end) => {
        await writeFile(path, texts.map((text) => text + end).join(""));
        const one = await follow({ from: "start", max_line: 100_000 });
        expect(await untilLines(one, texts.length)).toEqual(
          texts.map((text) => text.toWellFormed()),
        );
        await one.stop();
        running.pop();
        await rm(path);
      }),
      { numRuns: 25 },
    );
  });

  test("cuts a line that is too long, within no character, and logs that once", async () => {
    const one = await follow({ max_line: 8 });
    await untilMissed(one);
    await writeFile(
      path,
      `12345678\n12345678\r\n123456789\n1234567é\n${"x".repeat(300_000)}\nok\n`,
    );
    expect(await untilLines(one, 6)).toEqual([
      "12345678",
      "12345678",
      "12345678",
      "1234567",
      "xxxxxxxx",
      "ok",
    ]);
    expect(one.logs.filter((line) => line.level === "warn")).toHaveLength(1);
  });

  test("keeps no more of an endless line than max_line", async () => {
    await writeFile(path, "");
    const one = await follow({ from: "start" });
    const block = "x".repeat(1024 * 1024);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 64; i++) await appendFile(path, block);
    await appendFile(path, "\nnext\n");
    const [cut, next] = await untilLines(one, 2);
    expect((cut as string).length).toBe(64 * 1024);
    expect(next).toBe("next");
    expect(process.memoryUsage().rss - before).toBeLessThan(48 * 1024 * 1024);
  });

  test("reads JSON lines, and gives what is not JSON as text with one warning", async () => {
    await writeFile(path, '{"a":1}\n"text"\nnot json\nneither\n5\n');
    const one = await follow({ from: "start", json: true });
    expect(await untilLines(one, 5)).toEqual([{ a: 1 }, "text", "not json", "neither", 5]);
    expect(one.yielded.map((draft) => draft.format)).toEqual([
      "json",
      "json",
      "text",
      "text",
      "json",
    ]);
    expect(one.logs.filter((line) => line.level === "warn")).toHaveLength(1);
  });

  test("reads Latin-1, and shows bytes that are not UTF-8 as U+FFFD", async () => {
    await writeFile(path, Buffer.from([0x67, 0xfc, 0x0a]));
    const utf8 = await follow({ from: "start" });
    const latin1 = await follow({ from: "start", encoding: "latin1" });
    expect(await untilLines(utf8, 1)).toEqual(["g\ufffd"]);
    expect(await untilLines(latin1, 1)).toEqual(["gü"]);
  });

  test("tells of a path that is no file once, and reads it when it is one", async () => {
    await mkdir(path);
    const one = await follow();
    await until(() => one.logs.length > 0);
    await rm(path, { recursive: true });
    await writeFile(path, "1\n");
    await untilLines(one, 1);
    expect(one.logs.filter((line) => line.level === "warn")).toHaveLength(1);
    expect(String(one.logs[0]!.fields.error)).toContain("not a regular file");
  });

  test("ends at the abort without waiting for its next look", async () => {
    await writeFile(path, "");
    const one = await follow({ poll: "1h" });
    await untilOpen(one);
    // Within the limit of the test: its next look is an hour away.
    await one.stop();
  });

  test.each([
    [{ path: "" }, "/path"],
    [{ path: "x", poll: "1ms" }, 'poll is "1ms"; it must be at least 10ms'],
    [{ path: "x", encoding: "ebcdic" }, "/encoding"],
  ])("refuses %j", async (options, message) => {
    expect(start(tail, options)).rejects.toThrow(message);
  });

  test.each([
    [{ path: "x", poll: "0s" }, "poll", "it must be at least 10ms"],
    [{ path: "logs/" }, "path", "a folder; name a file"],
    [{ path: "a\0b" }, "path", "NUL"],
  ])("check() refuses %j without a start, at the option", (options, option, message) => {
    expect(complaint(tail, options)).toEqual({ option, message: expect.stringContaining(message) });
  });

  test("check() has nothing against options that setup takes", () => {
    expect(complaint(tail, { path: "logs/app.log", poll: "10ms" })).toBeNull();
  });
});
