import { describe, expect, test } from "bun:test";
import { Ledger } from "./ledger.ts";
import { Trail } from "./trail.ts";

function ledger(): Ledger {
  return new Ledger({ name: "a", history: 10 });
}

describe("Ledger", () => {
  test("agree() finds an offset that is one message to some and another to others", () => {
    const book = ledger();
    expect(book.acknowledge("e-1", "p", book.next("p"))).toBeNull();
    expect(book.agree("e-1", { p: "p", n: 1, t: 0 })).toBeNull();
    expect(book.agree("e-1", { p: "q", n: 1, t: 0 })).toMatchObject({ kind: "disorder" });
  });

  test("agree() finds a log that began anew", () => {
    const book = ledger();
    book.agree("e-1", { p: "p", n: 1, t: 0 });
    expect(book.agree("f-1", { p: "p", n: 2, t: 0 })).toMatchObject({ kind: "gap" });
  });

  test("acknowledge() finds an answer that is missing", () => {
    const book = ledger();
    expect(book.acknowledge("e-2", "p", 2)).toMatchObject({ kind: "other" });
  });

  test("mayBeGone() and isGone() differ by what is under way", () => {
    const book = ledger();
    book.agree("e-30", { p: "p", n: 1, t: 0 });
    expect([book.mayBeGone(20), book.mayBeGone(21)]).toEqual([true, false]);
    expect([book.isGone(19), book.isGone(20)]).toEqual([true, false]);
    book.next("q");
    expect(book.mayBeGone(21)).toBeTrue();
    expect(book.isGone(20)).toBeFalse();
  });

  test("lacks() finds a subscriber that gets nothing any more", () => {
    const book = ledger();
    const trail = new Trail();
    trail.stands(book.sent);
    book.next("p");
    book.acknowledge("e-1", "p", 1);
    trail.message("e-1", { p: "p", n: 1, t: 0 });
    book.mark(1000, 30_000);
    expect(book.lacks(trail, 21_000, 20_000)).toBeNull();
    book.next("p");
    book.acknowledge("e-2", "p", 2);
    book.mark(2000, 30_000);
    expect(book.lacks(trail, 21_000, 20_000)).toBeNull();
    expect(book.lacks(trail, 22_000, 20_000)).toBe("offset 1 of 2");
  });
});
