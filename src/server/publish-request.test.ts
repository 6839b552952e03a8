import { describe, expect, test } from "bun:test";
import { readLines } from "./publish-request.ts";

describe("readLines()", () => {
  test("gives the lines of a text that is cut into pieces as they are, and counts them all", () => {
    // Longer than a piece, as long as one, blank, with a CR, with letters of two and three bytes.
    const lengths = [0, 1, 4093, 4094, 4095, 5000, 9000, 100, 4096, 3];
    const lines = lengths.map((length, n) => JSON.stringify({ n, text: "é€".repeat(length) }));
    const text = lines.map((line, n) => line + ["\n", "\r\n", "\n\n \n"][n % 3]).join("");
    expect(readLines(text).map(({ raw }) => raw!)).toEqual(lines);
    expect(readLines(text.trimEnd()).map(({ raw }) => raw!)).toEqual(lines);
    const many = "1\n".repeat(5000);
    expect(readLines(many)).toHaveLength(5000);
    expect(() => readLines(`${many}oops\n`)).toThrow("line 5001 is not JSON");
  });

  test("keeps a line without the body that it came in, which would stay in memory with it", () => {
    const bodyBytes = 4 * 1024 ** 2;
    const read = (n: number) => {
      const body = new TextEncoder().encode(`${" ".repeat(bodyBytes)}\n"line ${n}"\n`);
      return readLines(new TextDecoder().decode(body));
    };
    const usedBytes = () => {
      Bun.gc(true);
      return process.memoryUsage.rss();
    };
    read(0);
    const before = usedBytes();
    const kept = Array.from({ length: 40 }, (_, n) => read(n)[0]!.raw);
    expect(usedBytes() - before).toBeLessThan(20 * bodyBytes);
    expect(kept[39]).toBe('"line 39"');
  });
});
