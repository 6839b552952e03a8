import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  Directory,
  formatName,
  MAX_PARAM,
  parsePath,
  parsePattern,
  PatternError,
} from "./directory.ts";

function directory(...texts: string[]): Directory<string> {
  const all = new Directory<string>();
  for (const text of texts) {
    expect(all.add(text.startsWith("/") ? parsePath(text) : parsePattern(text), text)).toBeNull();
  }
  return all;
}

function refusal(parse: () => unknown): PatternError {
  try {
    parse();
  } catch (error) {
    if (error instanceof PatternError) return error;
    throw error;
  }
  throw new Error("the pattern was taken");
}

describe("parsePattern()", () => {
  test("splits a pattern into literals and parameters", () => {
    expect(parsePattern("a/{room}/b/{_user2}")).toEqual({
      text: "a/{room}/b/{_user2}",
      segments: [{ literal: "a" }, { param: "room" }, { literal: "b" }, { param: "_user2" }],
      params: ["room", "_user2"],
    });
  });

  test.each([
    "prices",
    "a.b",
    "...",
    "é",
    "日本",
    "a:b@c!$&'()*+,;=~-_",
    "constructor",
    "__proto__",
  ])("takes the literal %s", (text) => {
    expect(parsePattern(text).segments).toEqual([{ literal: text }]);
  });

  test.each([
    ["", 0, 0, "a channel name is empty"],
    ["a//b", 2, 1, "a segment between slashes is empty"],
    ["/a", 0, 1, "a segment between slashes is empty"],
    ["a/", 2, 1, "a segment between slashes is empty"],
    ["a/../b", 2, 2, `a segment can't be "..": URLs resolve it away`],
    ["./b", 0, 1, `a segment can't be ".": URLs resolve it away`],
    ["{a}/x/{a}", 6, 3, `parameter "a" stands twice`],
    ["chat/x{room}", 5, 7, "a parameter is a whole segment"],
    ["{}", 0, 2, "a parameter is a whole segment"],
    ["{1a}", 0, 4, "a parameter is a whole segment"],
    ["{a-b}", 0, 5, "a parameter is a whole segment"],
    ["a/{b", 2, 2, "a parameter is a whole segment"],
    ["a b", 0, 3, "a segment has a space"],
    ["x/a%20b", 2, 5, "a segment has a space"],
    ["a?b", 0, 3, "a segment has a space"],
    ["a#b", 0, 3, "a segment has a space"],
    ["a\\b", 0, 3, "a segment has a space"],
    ["a\u0000", 0, 2, "a segment has a space"],
    ["a\u007f", 0, 2, "a segment has a space"],
  ])("refuses %j and says where", (text, index, length, message) => {
    const error = refusal(() => parsePattern(text));
    expect(error.message).toStartWith(message);
    expect(error).toMatchObject({ index, length, name: "PatternError" });
  });
});

describe("parsePath()", () => {
  test("takes the root and paths with parameters", () => {
    expect(parsePath("/")).toEqual({ text: "/", segments: [], params: [] });
    expect(parsePath("/rooms/{room}")).toMatchObject({ text: "/rooms/{room}", params: ["room"] });
  });

  test.each([
    ["events", 0, 6, `a path starts with "/"`],
    ["", 0, 0, `a path starts with "/"`],
    ["//", 1, 1, "a segment between slashes is empty"],
    ["/a/", 3, 1, "a segment between slashes is empty"],
    ["/a/b?c", 3, 3, "a segment has a space"],
  ])("refuses %j and says where", (text, index, length, message) => {
    const error = refusal(() => parsePath(text));
    expect(error.message).toStartWith(message);
    expect(error).toMatchObject({ index, length });
  });
});

describe("Directory.find()", () => {
  test("finds a static name and a pattern with its parameters", () => {
    const all = directory("prices", "chat/{room}", "{a}/x/{b}");
    expect(all.find("prices")).toEqual({ value: "prices", params: {} });
    expect(all.find("chat/lobby")).toEqual({ value: "chat/{room}", params: { room: "lobby" } });
    expect(all.find("chat/x/9")).toEqual({ value: "{a}/x/{b}", params: { a: "chat", b: "9" } });
    for (const path of ["price", "prices/", "chat", "chat/a/b", "", "/", "/prices"]) {
      expect(all.find(path)).toBeNull();
    }
  });

  test("lets a literal win over a parameter, from left to right", () => {
    const all = directory("{a}/{b}", "chat/{b}", "{a}/x", "chat/lobby");
    expect(all.find("chat/lobby")!.value).toBe("chat/lobby");
    expect(all.find("chat/x")!.value).toBe("chat/{b}");
    expect(all.find("talk/x")!.value).toBe("{a}/x");
    expect(all.find("talk/y")!.value).toBe("{a}/{b}");
  });

  test("goes back to a parameter when a literal leads nowhere", () => {
    const all = directory("a/b/c", "a/{x}/d", "{x}/b/{y}/e");
    expect(all.find("a/b/d")).toEqual({ value: "a/{x}/d", params: { x: "b" } });
    expect(all.find("a/b/c/e")).toEqual({ value: "{x}/b/{y}/e", params: { x: "a", y: "c" } });
    expect(all.find("a/b/e")).toBeNull();
  });

  test("decodes each segment once", () => {
    const all = directory("chat/{room}", "a/{x}/{y}");
    const room = (path: string) => all.find(path)?.params.room;
    expect(room("chat/%41")).toBe("A");
    expect(room("%63hat/A")).toBe("A");
    expect(room("chat/caf%C3%A9")).toBe("café");
    expect(room("chat/café")).toBe("café");
    expect(room("chat/a%2Fb")).toBe("a/b");
    expect(room("chat%2Fa")).toBeUndefined();
    expect(room("chat/%2541")).toBe("%41");
    expect(room("chat/a+b")).toBe("a+b");
    expect(room("chat/%00")).toBe("\u0000");
    expect(all.find("a/b%2Fc/d")!.params).toEqual({ x: "b/c", y: "d" });
  });

  test.each([
    "chat/%",
    "chat/%4",
    "chat/%zz",
    "chat/%ff",
    "chat/%C3",
    "chat/%ED%A0%80",
    "chat/%C0%AF",
  ])("throws a URIError for %s", (path) => {
    expect(() => directory("chat/{room}").find(path)).toThrow(URIError);
  });

  test.each(["chat/", "chat/.", "chat/..", "chat/%2E", "chat/%2e%2E", "chat/.%2e"])(
    "takes no parameter from %s",
    (path) => {
      expect(directory("chat/{room}").find(path)).toBeNull();
    },
  );

  test("takes parameters of up to MAX_PARAM characters, decoded", () => {
    const all = directory("chat/{room}");
    expect(all.find(`chat/${"%C3%A9".repeat(MAX_PARAM)}`)!.params.room).toHaveLength(MAX_PARAM);
    expect(all.find(`chat/${"a".repeat(MAX_PARAM + 1)}`)).toBeNull();
  });

  test("keeps two spellings in Unicode apart", () => {
    const all = directory("caf\u00e9", "cafe\u0301");
    expect(all.find("caf%C3%A9")!.value).toBe("caf\u00e9");
    expect(all.find("cafe%CC%81")!.value).toBe("cafe\u0301");
  });

  test.each(["constructor", "__proto__", "toString", "hasOwnProperty"])(
    "knows %s neither as a segment nor as a parameter of its own",
    (word) => {
      expect(directory("a").find(word)).toBeNull();
      expect(directory("a").find(`a/${word}`)).toBeNull();
      const found = directory(`x/{${word}}`, word).find(`x/${word}`)!;
      expect(Object.entries(found.params)).toEqual([[word, word]]);
      expect(Object.getPrototypeOf(found.params)).toBe(Object.prototype);
      expect(Object.getOwnPropertyNames(directory("a").find("a")!.params)).toEqual([]);
    },
  );

  test("serves the root path", () => {
    const all = directory("/", "/events");
    expect(all.find("")!.value).toBe("/");
    expect(all.find("events")!.value).toBe("/events");
  });

  test("is not slowed down by many wrong turns or segments", () => {
    const all = new Directory<number>();
    for (let bits = 0; bits < 1024; bits++) {
      const segments = Array.from({ length: 10 }, (_, i) => ((bits >> i) & 1 ? "a" : `{p${i}}`));
      all.add(parsePattern([...segments, "end"].join("/")), bits);
    }
    const started = performance.now();
    expect(all.find("a/".repeat(10) + "nowhere")).toBeNull();
    expect(all.find("a/".repeat(100_000))).toBeNull();
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe("Directory.add()", () => {
  test("gives the pattern that already matches the same paths", () => {
    const all = directory("a/{x}/b");
    expect(all.add(parsePattern("a/{y}/b"), "again")?.text).toBe("a/{x}/b");
    expect(all.add(parsePattern("a/{y}/{z}"), "other")).toBeNull();
    expect(all.add(parsePattern("a"), "prefix")).toBeNull();
    expect(all.find("a/1/b")!.value).toBe("a/{x}/b");
  });
});

describe("formatName()", () => {
  test("encodes what would change the name's meaning and nothing else", () => {
    const pattern = parsePattern("chat/{room}");
    expect(formatName(pattern, { room: "a/b %?#\\\u0000\u007f" })).toBe(
      "chat/a%2Fb%20%25%3F%23%5C%00%7F",
    );
    expect(formatName(pattern, { room: "café 日本😀" })).toBe("chat/café%20日本😀");
  });

  const unit = fc.oneof(
    fc.constantFrom(..."/%.?#\\ {}+&=a\u0000\n\u007f"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
  );
  const param = fc
    .oneof(fc.string({ unit }), fc.constantFrom("__proto__", "constructor", "%2F", "..%2f", "%zz"))
    .filter((text) => !["", ".", ".."].includes(text) && text.length <= MAX_PARAM);

  test("is read back by find() for any parameters", () => {
    const pattern = parsePattern("a/{__proto__}/{constructor}");
    const all = directory("a/{__proto__}/{constructor}", "a/{x}/b/{y}");
    fc.assert(
      fc.property(param, param, (first, second) => {
        const params = Object.fromEntries([
          ["__proto__", first],
          ["constructor", second],
        ]);
        const found = all.find(formatName(pattern, params));
        expect(Object.entries(found!.params)).toEqual(Object.entries(params));
      }),
      { numRuns: 1000 },
    );
  });

  test("survives the URL parser and a further encoding of what is not ASCII", () => {
    const pattern = parsePattern("chat/{room}");
    const all = directory("chat/{room}");
    fc.assert(
      fc.property(param, (room) => {
        const url = new URL(`http://localhost/${formatName(pattern, { room })}`);
        expect(all.find(url.pathname.slice(1))!.params.room).toBe(room);
      }),
      { numRuns: 1000 },
    );
  });
});
