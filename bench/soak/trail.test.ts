import { describe, expect, test } from "bun:test";
import { Trail } from "./trail.ts";

const data = (n: number, life?: string) => ({ p: "a", n, t: 0, ...(life && { life }) });

/** What a trail says of messages `e-<offset>` whose number is their offset. */
function after(...offsets: number[]) {
  const trail = new Trail();
  return offsets.map((offset) => trail.message(`e-${offset}`, data(offset))?.kind ?? null);
}

describe("Trail.message()", () => {
  test("finds nothing wrong with messages that follow one another", () => {
    expect(after(7, 8, 9)).toEqual([null, null, null]);
  });

  test("finds a loss, and goes on after it", () => {
    expect(after(7, 9, 10)).toEqual([null, "loss", null]);
  });

  test("finds a duplicate", () => {
    expect(after(7, 8, 7, 8, 9)).toEqual([null, null, "duplicate", "duplicate", null]);
  });

  test("finds disorder: what was jumped over comes late, or what lies before the start", () => {
    expect(after(7, 9, 8)).toEqual([null, "loss", "disorder"]);
    expect(after(7, 6)).toEqual([null, "disorder"]);
  });

  test("finds a change of epoch that no gap told of", () => {
    const trail = new Trail();
    trail.message("e-1", data(1));
    expect(trail.message("f-2", data(2))).toMatchObject({ kind: "gap" });
  });

  test("finds loss and repeat by the publishers' numbers where there are no ids", () => {
    const trail = new Trail();
    const say = (n: number) => trail.message(null, data(n))?.kind ?? null;
    expect([say(4), say(5), say(7), say(7)]).toEqual([null, null, "loss", "duplicate"]);
  });

  test("finds a position whose content is another message's", () => {
    const trail = new Trail();
    trail.message("e-1", data(1));
    expect(trail.message("e-2", data(1))).toMatchObject({ kind: "duplicate" });
  });

  test("finds that the first message after the subscription stood did not come", () => {
    const trail = new Trail();
    trail.stands(new Map([["a", 4]]));
    expect(trail.message(null, data(6))).toMatchObject({ kind: "loss" });
  });

  test("takes a source that begins again, from its first message", () => {
    const trail = new Trail();
    trail.message("e-1", data(8, "x"));
    expect(trail.message("e-2", data(1, "y"))).toBeNull();
    expect(trail.message("e-3", data(2, "z"))).toMatchObject({ kind: "loss" });
  });

  test("counts on from a position where what follows has no ids", () => {
    const trail = new Trail();
    trail.message("e-4", data(4));
    trail.message(null, data(5));
    expect(trail.position).toBe("e-5");
  });
});

describe("Trail.gap()", () => {
  test("what follows an announced gap is no loss", () => {
    const trail = new Trail();
    trail.message("e-4", data(4));
    expect(trail.gap("e-4", "e-9")).toBeNull();
    expect(trail.message("e-10", data(10))).toBeNull();
  });

  test("finds a gap that begins where the subscriber was not", () => {
    const trail = new Trail();
    trail.message("e-4", data(4));
    expect(trail.gap("e-3", "e-9")).toMatchObject({ kind: "gap" });
  });

  test("finds messages that are lost after the gap that was told of", () => {
    const trail = new Trail();
    trail.message("e-4", data(4));
    trail.gap("e-4", "e-9");
    expect(trail.message("e-12", data(12))).toMatchObject({ kind: "loss" });
  });
});

test("Trail.at() finds that a subscriber was put somewhere else without a gap", () => {
  const trail = new Trail();
  expect(trail.at("e-4")).toBeNull();
  expect(trail.at("e-4")).toBeNull();
  expect(trail.at("e-6")).toMatchObject({ kind: "gap" });
});

test("Trail.lacks() tells who did not get what was acknowledged", () => {
  const trail = new Trail();
  trail.stands(new Map([["a", 4]]));
  expect(trail.lacks(0, new Map([["a", 4]]))).toBeNull();
  expect(trail.lacks(0, new Map([["a", 5]]))).toBe("a:4 of 5");
  trail.message("e-9", data(5));
  expect(trail.lacks(9, new Map([["a", 5]]))).toBeNull();
  expect(trail.lacks(10, new Map([["a", 5]]))).toBe("offset 9 of 10");
});
