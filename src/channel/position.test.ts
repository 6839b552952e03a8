import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  createEpoch,
  formatPosition,
  formatStatePlace,
  joinPositions,
  parsePosition,
  parseResume,
  parseStatePlace,
} from "./position.ts";

describe("parsePosition()", () => {
  test("reads back what formatPosition() wrote", () => {
    const epoch = fc.stringMatching(/^[0-9a-z]{1,32}$/);
    fc.assert(
      fc.property(epoch, fc.nat(Number.MAX_SAFE_INTEGER % 1e15), (epoch, offset) => {
        expect(parsePosition(formatPosition(epoch, offset))).toEqual({ epoch, offset });
      }),
    );
  });

  test.each([
    "",
    "mfz3k9",
    "mfz3k9-",
    "-42",
    "mfz3k9--1",
    "mfz3k9-01",
    "mfz3k9-1.5",
    "mfz3k9-1e3",
    "mfz3k9-42\n",
    " mfz3k9-42",
    "MFZ3K9-42",
    "mfz3k9-٤٢",
    "mfz3k9-9999999999999999",
    `${"a".repeat(33)}-1`,
  ])("gives null for %j", (text) => {
    expect(parsePosition(text)).toBeNull();
  });

  test("takes nothing that would be written otherwise", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0123z-") }), (text) => {
        const position = parsePosition(text);
        if (position) expect(formatPosition(position.epoch, position.offset)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("createEpoch()", () => {
  test("names no two lives alike, in one millisecond or with a clock set back", () => {
    const start = Date.now();
    const clock = [start, start, start, start - 60_000, 0, start + 5, start + 1];
    const epochs = Array.from({ length: 5000 }, (_, i) => createEpoch(clock[i % clock.length]));
    expect(new Set(epochs).size).toBe(epochs.length);
  });

  test("gives what a position can carry", () => {
    const epoch = createEpoch();
    expect(parsePosition(`${epoch}-0`)).toEqual({ epoch, offset: 0 });
  });

  test("differs by chance between two processes that start in the same millisecond", () => {
    const prefixes = new Set<string>();
    const chances = new Set<string>();
    for (let i = 0; i < 200; i++) {
      const epoch = createEpoch();
      prefixes.add(epoch.slice(0, -2));
      chances.add(epoch.slice(-2));
    }
    expect(prefixes.size).toBe(200);
    expect(chances.size).toBeGreaterThan(100);
  });
});

test("joinPositions() writes what formatPosition() writes of each", () => {
  const first = fc.oneof(fc.nat(250), fc.integer({ min: 1, max: 1e14 }));
  fc.assert(
    fc.property(first, fc.integer({ min: -1, max: 350 }), (first, more) => {
      const each = Array.from({ length: more + 1 }, (_, n) => formatPosition("abc", first + n));
      expect(joinPositions("abc", first, first + more, '","')).toBe(each.join('","'));
    }),
  );
});

describe("parseStatePlace()", () => {
  test("reads back what formatStatePlace() wrote", () => {
    const epoch = fc.stringMatching(/^[0-9a-z]{1,32}$/);
    fc.assert(
      fc.property(epoch, fc.nat(), fc.nat(), (epoch, offset, left) => {
        const place = { position: { epoch, offset }, through: offset + left };
        expect(parseStatePlace(formatStatePlace(place))).toEqual(place);
        expect(parseResume(formatStatePlace(place))).toEqual({ from: "state", place });
        expect(parsePosition(formatStatePlace(place))).toBeNull();
      }),
    );
  });

  test.each(["", "a-1", "a-1~", "~1", "a~1", "a-2~1", "a-1~01", "a-1~2~3", "a-1~2\n", "a-1~-2"])(
    "gives null for %j",
    (text) => expect(parseStatePlace(text)).toBeNull(),
  );
});
