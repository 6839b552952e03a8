import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Place } from "../channel/lane.ts";
import { createEpoch } from "../channel/position.ts";
import { cursorsOf, CursorText, formatCursor, type CursorEntry } from "./cursor-text.ts";
import { RequestError } from "./errors.ts";

const plain: fc.Arbitrary<Place> = fc.record({
  position: fc.record({
    epoch: fc.oneof(
      fc.constant(null).map(() => createEpoch()),
      fc.stringMatching(/^[0-9a-z]{1,32}$/),
      fc.constantFrom("0", "00", "zzzzzzzzzz", "1", "10000000000"),
    ),
    offset: fc.oneof(fc.nat(300), fc.constantFrom(999_999_999_999_999, 2 ** 31, 2 ** 32)),
  }),
  isSilent: fc.boolean(),
});

const place: fc.Arbitrary<Place> = fc
  .tuple(plain, fc.option(fc.oneof(fc.nat(300), fc.constant(2 ** 40)), { freq: 3 }))
  .map(([{ position, isSilent }, left]) => {
    if (left === null || position.offset > 1e14) return { position, isSilent };
    return { position, isSilent: false, through: position.offset + left };
  });

const entries = fc.uniqueArray(
  fc.record({ name: fc.string({ minLength: 1, maxLength: 40 }), place }),
  { selector: ({ name }) => name, maxLength: 30 },
);

const read = (text: string) => CursorText.parse(text, "after")!;

describe("formatCursor() and CursorText", () => {
  test("give back every place, whatever the epochs and offsets", () => {
    fc.assert(
      fc.property(entries, (all) => {
        const text = formatCursor(all);
        expect(text).toMatch(/^v1\.[\w-]*$/);
        const cursor = read(text);
        for (const { name, place } of all) {
          expect(cursor.find(name, place.position.epoch)).toEqual(place);
          expect(cursor.find(`${name}?`, place.position.epoch)).toBeNull();
        }
      }),
    );
  });

  test("leave a cursor without a place within a snapshot as it always was", () => {
    const entry = (name: string, offset: number, isSilent: boolean): CursorEntry => ({
      name,
      place: { position: { epoch: "mfz3k9", offset }, isSilent },
    });
    const text = formatCursor([entry("a", 42, false), entry("b", 7, true)]);
    expect(text).toBe("v1.Aob35DeoAZKPnI4K6dcfXh0A");
    expect(read(text).find("b", "mfz3k9")).toEqual(entry("b", 7, true).place);
  });

  test("write the cursors of a batch as they would each by itself", () => {
    fc.assert(
      fc.property(entries, fc.nat(), (all, which) => {
        fc.pre(all.length > 0);
        const { name, place } = all[which % all.length]!;
        const { epoch } = place.position;
        const cursorAfter = cursorsOf(all, name);
        for (const offset of [1, 127, 128, 31, 32, 999_999_999_999_999]) {
          const moved = all.map((entry): CursorEntry =>
            entry.name === name
              ? { name, place: { position: { epoch, offset }, isSilent: false } }
              : entry,
          );
          expect(cursorAfter({ epoch, offset })).toBe(formatCursor(moved));
        }
      }),
    );
  });

  test("take about ten bytes a channel, whatever it is called", () => {
    const all = Array.from({ length: 100 }, (_, i): CursorEntry => {
      const position = { epoch: createEpoch(), offset: 100 + i * 37 };
      return { name: `room/${"long ".repeat(40)}${i}`, place: { position, isSilent: false } };
    });
    expect(formatCursor(all).length).toBeLessThan(1500);
    expect(formatCursor(all.slice(0, 2)).length).toBeLessThan(50);
  });
});

describe("CursorText.parse()", () => {
  test("leaves to others what is no cursor", () => {
    for (const text of ["", "mfz3k9-42", "earliest", "v1-3", "version"]) {
      expect(CursorText.parse(text, "after")).toBeNull();
    }
  });

  test("reads or refuses any text, and never one that was cut off", () => {
    const check = (text: string) => {
      try {
        return CursorText.parse(text, "after");
      } catch (error) {
        expect(error).toBeInstanceOf(RequestError);
        expect((error as RequestError).status).toBe(400);
        return null;
      }
    };
    fc.assert(fc.property(fc.string(), (rest) => void check(`v1.${rest}`)));
    fc.assert(fc.property(fc.base64String(), (rest) => void check(`v1.${rest}`)));
    fc.assert(
      fc.property(entries, fc.nat(), (all, cut) => {
        fc.pre(all.length > 0);
        const text = formatCursor(all);
        expect(check(text.slice(0, 3 + (cut % (text.length - 3))))).toBeNull();
      }),
    );
  });

  test("refuses a cursor of a version that it does not know", () => {
    expect(() => CursorText.parse("v2.AAAA", "after")).toThrow(
      'after is "v2.AAAA", which is no cursor of this server; it must be the id of an event, or "next" of a page, as it came',
    );
  });
});
