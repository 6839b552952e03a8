import { describe, expect, test } from "bun:test";
import { RequestError } from "./errors.ts";
import { parseAfter, parseLast, parseStart } from "./start.ts";

const after = (epoch: string, offset: number) =>
  ({ from: "after", position: { epoch, offset } }) as const;

const within = (epoch: string, offset: number, through: number) =>
  ({ from: "state", place: { position: { epoch, offset }, through } }) as const;

describe("parseAfter()", () => {
  test("takes a position, a place within a snapshot, earliest or state", () => {
    expect(parseAfter("mfz3k9-42", "after")).toEqual(after("mfz3k9", 42));
    expect(parseAfter("a-0", "after")).toEqual(after("a", 0));
    expect(parseAfter("earliest", "after")).toEqual({ from: "earliest" });
    expect(parseAfter("state", "after")).toEqual({ from: "state", place: null });
    expect(parseAfter("mfz3k9-42~107", "after")).toEqual(within("mfz3k9", 42, 107));
  });

  test("refuses anything else with the name that it has in the request", () => {
    for (const text of [
      "",
      "latest",
      "a-",
      "-1",
      "a-01",
      "a--1",
      "A-1",
      "a-1 ",
      "a-1\n",
      "a-1.5",
      "a-1~",
      "a-2~1",
      "a-1~02",
      "~1",
      `a-${"1".repeat(16)}`,
    ]) {
      expect(() => parseAfter(text, "Last-Event-ID")).toThrow(
        new RequestError(
          400,
          "bad-position",
          `Last-Event-ID is ${JSON.stringify(text)}; it must be the id of a message, such as "mfz3k9-42"`,
        ),
      );
    }
  });
});

describe("parseLast()", () => {
  test("takes a count; none is live", () => {
    expect(parseLast("10")).toEqual({ from: "last", count: 10 });
    expect(parseLast("0")).toEqual({ from: "live" });
    expect(parseLast("007")).toEqual({ from: "last", count: 7 });
  });

  test("refuses what is no whole number", () => {
    for (const text of ["", "-1", "1.5", "1e3", "0x1", "ten", " 1", "1".repeat(10)]) {
      expect(() => parseLast(text)).toThrow(RequestError);
    }
  });
});

describe("parseStart()", () => {
  const start = (headers: Record<string, string>, query = "", takesTag = false) =>
    parseStart(new Request("http://a/", { headers }), new URLSearchParams(query), takesTag);

  test("is live where nothing is said", () => {
    expect(start({})).toEqual({ from: "live" });
  });

  test("takes Last-Event-ID, then a position in the URL, then If-None-Match where that counts, then last", () => {
    const all = { "last-event-id": "a-1", "if-none-match": '"a-2"' };
    const query = "after=a-3&last=4";
    expect(start(all, query, true)).toEqual(after("a", 1));
    // Two tabs that follow Link share one cache: the tag of one must not move the other on.
    expect(start({ "if-none-match": '"a-2"' }, query, true)).toEqual(after("a", 3));
    expect(start({ "if-none-match": '"a-2"' }, "after=earliest&last=4", true)).toEqual(
      after("a", 2),
    );
    expect(start({ "if-none-match": '"a-2~5"' }, "", true)).toEqual(within("a", 2, 5));
    expect(start({ "if-none-match": '"a-2"' }, query, false)).toEqual(after("a", 3));
    expect(start({}, "last=4")).toEqual({ from: "last", count: 4 });
  });

  test("takes after=state before a tag, which is of another page, and after a Last-Event-ID", () => {
    const state = { from: "state", place: null } as const;
    expect(start({ "if-none-match": '"a-2"' }, "after=state", true)).toEqual(state);
    expect(start({ "last-event-id": "a-2" }, "after=state", false)).toEqual(after("a", 2));
  });

  test("reads an empty after as none: a client starts with an empty position", () => {
    expect(start({}, "after=&last=4", true)).toEqual({ from: "last", count: 4 });
  });

  test("reads an empty Last-Event-ID as none: a browser that has seen no id sends it", () => {
    expect(start({ "last-event-id": "" }, "after=a-3")).toEqual(after("a", 3));
  });

  test("reads a weak tag, and the first of a list, as the position", () => {
    expect(start({ "if-none-match": 'W/"a-2"' }, "", true)).toEqual(after("a", 2));
    expect(start({ "if-none-match": '"a-2", "a-1"' }, "", true)).toEqual(after("a", 2));
  });

  test("reads * as no position, and a foreign tag as one that is lost", () => {
    expect(start({ "if-none-match": "*" }, "after=a-3", true)).toEqual(after("a", 3));
    for (const tag of ['"other"', "unquoted", '""']) {
      expect(start({ "if-none-match": tag }, "", true)).toEqual(after("unknown", 0));
    }
  });
});
