import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseCookies } from "./cookies.ts";

const read = (header: string | null) => [...parseCookies(header)];

describe("parseCookies()", () => {
  test("gives nothing for no header, and for an empty one", () => {
    expect(read(null)).toEqual([]);
    expect(read("")).toEqual([]);
  });

  test.each([
    ["a=1; b=2", { a: "1", b: "2" }],
    ["a=1;b=2 ;  c=3", { a: "1", b: "2", c: "3" }],
    ["token=abc==; x=", { token: "abc==", x: "" }],
    ['name="Zo%C3%AB"; q="', { name: "Zoë", q: '"' }],
    ["json={%22a%22:1}", { json: '{"a":1}' }],
    ["a=1, b=2", { a: "1, b=2" }],
  ])("reads %p", (header, cookies) => {
    expect(Object.fromEntries(read(header))).toEqual(cookies as never);
  });

  test("leaves out what is no pair, no name or badly encoded, and keeps the rest", () => {
    const header = "flag; =1; a b=2; bad=%zz; cut=%e2%82; ok=1; näme=3; ;;";
    expect(read(header)).toEqual([["ok", "1"]]);
  });

  test("takes the first of two with one name, also where its second is badly encoded", () => {
    expect(read("a=first; a=second; a=%zz")).toEqual([["a", "first"]]);
  });

  test("strips spaces and tabs, and nothing else that JavaScript takes for white space", () => {
    const odd = "\u00a0\ufeff\u2000\v";
    expect(read(`${odd}session=forged; \t session\t = own \t`)).toEqual([["session", "own"]]);
    // In UTF-8 the letter is the bytes c3 a0, which a header has one by one.
    expect(read("name=\u00c3\u00a0")).toEqual([["name", "\u00c3\u00a0"]]);
  });

  test("takes names of Object's own for what they are", () => {
    const cookies = parseCookies("__proto__=1; constructor=2");
    expect(cookies.get("__proto__")).toBe("1");
    expect(cookies.get("constructor")).toBe("2");
    expect(cookies.get("toString")).toBeUndefined();
  });

  test("never throws, and gives back what was percent-encoded", () => {
    fc.assert(fc.property(fc.string(), (header) => void parseCookies(header)));
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (value) => {
        const encoded = encodeURIComponent(value.toWellFormed());
        expect(parseCookies(`a=${encoded}`).get("a")).toBe(value.toWellFormed());
      }),
    );
  });
});
