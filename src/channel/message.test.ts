import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { InvalidDraftError } from "./errors.ts";
import { MAX_NAME, Message, sealDraft, type Draft } from "./message.ts";

const commit = (draft: Draft, raw?: string) =>
  new Message("prices", "mfz3k9", 42, 1000, sealDraft(draft, 1024, raw));

function refusal(draft: unknown, maxBytes = 1024): InvalidDraftError {
  try {
    sealDraft(draft as Draft, maxBytes);
  } catch (error) {
    if (error instanceof InvalidDraftError) return error;
    throw error;
  }
  throw new Error("the draft was taken");
}

describe("sealDraft() data", () => {
  test("keeps a JSON value through its text", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const message = commit({ data: value, format: "json" });
        expect(message.format).toBe("json");
        expect(message.text).toBe(JSON.stringify(value));
        expect(message.json).toBe(message.text);
        expect(message.data).toEqual(JSON.parse(JSON.stringify(value)));
        expect(Buffer.from(message.bytes).toString()).toBe(message.text);
      }),
    );
  });

  test("keeps JSON text as the publisher wrote it", () => {
    const raw = `{ "n": 12345678901234567890,\n "f": 1.10, "__proto__": {"a": 1}, "e": "\\u00e9" }`;
    const message = commit({ data: JSON.parse(raw) }, raw);
    expect(message.text).toBe(raw);
    expect(message.json).toBe(raw);
    expect(Object.keys(message.data as object)).toEqual(["n", "f", "__proto__", "e"]);
    expect(message.size).toBe(Buffer.byteLength(raw));
  });

  test("keeps a __proto__ key that was parsed", () => {
    const data = JSON.parse(`{"__proto__":{"admin":true}}`);
    const message = commit({ data });
    expect(message.text).toBe(`{"__proto__":{"admin":true}}`);
    expect((message.data as { admin?: unknown }).admin).toBeUndefined();
  });

  test("takes a string as text, unless it is said to be JSON", () => {
    const text = commit({ data: `"é"` });
    expect(text).toMatchObject({
      format: "text",
      text: `"é"`,
      json: `"\\"é\\""`,
      data: `"é"`,
      size: 4,
    });
    const json = commit({ data: "é", format: "json" });
    expect(json).toMatchObject({ format: "json", text: `"é"`, json: `"é"`, data: "é", size: 4 });
  });

  test("takes a changed value whatever the format was before", () => {
    expect(commit({ data: 5, format: "text" })).toMatchObject({ format: "json", text: "5" });
    expect(commit({ data: "5", format: "bytes" })).toMatchObject({ format: "text", text: "5" });
    expect(commit({ data: new Uint8Array([5]), format: "json" }).format).toBe("bytes");
  });

  test("takes empty text, empty bytes and null", () => {
    expect(commit({ data: "" })).toMatchObject({ format: "text", text: "", json: `""`, size: 0 });
    expect(commit({ data: new Uint8Array() })).toMatchObject({
      format: "bytes",
      text: "",
      size: 0,
    });
    expect(commit({ data: null })).toMatchObject({ format: "json", text: "null", data: null });
  });

  const five = Uint8Array.from([9, 1, 2, 255, 9]);
  test.each([
    ["a Uint8Array", five.subarray(1, 4)],
    ["a Buffer of the shared pool", Buffer.from([1, 2, 255])],
    ["an ArrayBuffer", five.slice(1, 4).buffer],
    ["a SharedArrayBuffer", Object.assign(new SharedArrayBuffer(3))],
    ["a DataView", new DataView(five.buffer, 1, 3)],
    ["an Int8Array", new Int8Array(five.buffer, 1, 3)],
  ])("takes %s as bytes, of its own part of the buffer", (_, data) => {
    if (data instanceof SharedArrayBuffer) new Uint8Array(data).set([1, 2, 255]);
    const message = commit({ data });
    expect(message).toMatchObject({ format: "bytes", size: 3, text: "AQL/", json: `"AQL/"` });
    expect(message.bytes).toEqual(Uint8Array.from([1, 2, 255]));
    expect(message.data).toEqual(Uint8Array.from([1, 2, 255]));
  });

  test("copies bytes: a buffer that is used again does not change history", () => {
    for (const wrap of [(b: Uint8Array) => b, (b: Uint8Array) => b.buffer, Buffer.from]) {
      const buffer = Uint8Array.from([1, 2, 3]);
      const data = wrap(buffer) as Uint8Array;
      const message = commit({ data });
      buffer.fill(0);
      if (data instanceof Uint8Array) data.fill(0);
      expect(message.bytes).toEqual(Uint8Array.from([1, 2, 3]));
    }
  });

  test("replaces a lone surrogate in text, so that every transport sends the same", () => {
    const message = commit({ data: "a\ud800b", event: "e\udc00", key: "k\ud83d" });
    expect(message).toMatchObject({ text: "a\ufffdb", event: "e\ufffd", key: "k\ufffd", size: 5 });
    expect(Buffer.from(message.bytes).toString()).toBe(message.text);
    expect(commit({ data: "😀" }).text).toBe("😀");
  });

  test("keeps a lone surrogate in JSON, which can escape it", () => {
    const message = commit({ data: { a: "\ud800" } });
    expect(message.text).toBe(`{"a":"\\ud800"}`);
    expect(message.data).toEqual({ a: "\ud800" });
  });

  const circle: unknown[] = [];
  circle.push(circle);
  let deep: unknown = 1;
  for (let i = 0; i < 1_000_000; i++) deep = [deep];
  test.each([
    ["nothing", {}, "data is undefined; it must be JSON, text or bytes"],
    ["a function", { data: () => 1 }, "data is a function; it must be JSON, text or bytes"],
    ["a symbol", { data: Symbol("s") }, "data is a symbol; it must be JSON, text or bytes"],
    ["NaN", { data: NaN }, "data is NaN, which JSON can't hold"],
    ["Infinity", { data: -Infinity }, "data is -Infinity, which JSON can't hold"],
    ["a BigInt", { data: { n: 1n } }, "data is not JSON: "],
    ["a circle", { data: circle }, "data is not JSON: "],
    ["what is nested too deep", { data: deep }, "data is not JSON: "],
    [
      "what throws no error",
      {
        data: {
          toJSON: () => {
            throw "odd";
          },
        },
      },
      "data is not JSON: odd",
    ],
  ])("refuses %s", (_, draft, message) => {
    const error = refusal(draft);
    expect(error.message).toStartWith(message);
    expect(error).toMatchObject({
      code: "invalid-message",
      field: "data",
      name: "InvalidDraftError",
    });
  });

  test("writes a nested NaN as null, as JSON does", () => {
    expect(commit({ data: [NaN, 1] }).text).toBe("[null,1]");
  });

  test.each([
    [null, "null"],
    [undefined, "undefined"],
    ["text", "a string"],
    [5, "a number"],
  ])("refuses a draft that is %p", (draft, kind) => {
    const error = refusal(draft);
    expect(error.message).toBe(`a draft is an object with "data", not ${kind}`);
    expect(error.field).toBe("draft");
  });
});

describe("sealDraft() size", () => {
  test.each([
    ["text of 2-byte characters", { data: "é".repeat(5) }, 10],
    ["text of surrogate pairs", { data: "😀".repeat(3) }, 12],
    ["JSON with its quotes", { data: "é", format: "json" as const }, 4],
    ["bytes, not their base64", { data: new Uint8Array(10) }, 10],
  ])("counts UTF-8 bytes of %s", (_, draft, size) => {
    expect(sealDraft(draft, size).size).toBe(size);
    const error = refusal(draft, size - 1);
    expect(error.message).toBe(`data has ${size} bytes; at most ${size - 1} are allowed`);
    expect(error).toMatchObject({ code: "too-large", field: "size" });
  });

  test("counts raw JSON as it is kept, spaces included", () => {
    expect(() => sealDraft({ data: [] }, 2, "[ ]")).toThrow("data has 3 bytes");
  });
});

describe("sealDraft() event and key", () => {
  test("keeps them as they are", () => {
    expect(commit({ data: 1, event: "price é 😀", key: "ACME" })).toMatchObject({
      event: "price é 😀",
      key: "ACME",
    });
  });

  test("takes an empty one, null and a missing one for none", () => {
    for (const none of ["", null, undefined]) {
      const draft = { data: 1, event: none, key: none } as Draft;
      expect(commit(draft)).toMatchObject({ event: undefined, key: undefined });
    }
  });

  test.each(["event", "key"] as const)(
    "refuses control characters in %s, and says where",
    (field) => {
      const codes = [...Array.from({ length: 32 }, (_, i) => i), 0x7f, 0x80, 0x85, 0x9f];
      for (const code of codes) {
        const error = refusal({ data: 1, [field]: `a😀${String.fromCharCode(code)}` });
        const hex = code.toString(16).toUpperCase().padStart(4, "0");
        expect(error.message).toBe(`${field} has the control character U+${hex} at index 3`);
        expect(error).toMatchObject({ code: "invalid-message", field });
      }
    },
  );

  test.each(["event", "key"] as const)("refuses %s over MAX_NAME characters", (field) => {
    expect(commit({ data: 1, [field]: "é".repeat(MAX_NAME) })[field]).toHaveLength(MAX_NAME);
    expect(refusal({ data: 1, [field]: "é".repeat(MAX_NAME + 1) }).message).toBe(
      `${field} has 257 characters; at most 256 are allowed`,
    );
  });

  test("refuses what is no string", () => {
    expect(refusal({ data: 1, event: 5 }).message).toBe("event is a number; it must be a string");
    expect(refusal({ data: 1, key: {} }).message).toBe("key is an object; it must be a string");
    expect(refusal({ data: 1, key: [] }).message).toBe("key is an array; it must be a string");
  });

  test("refuses events that start with tidewire:", () => {
    expect(refusal({ data: 1, event: "tidewire:gap" }).message).toBe(
      `event "tidewire:gap" starts with "tidewire:", which is reserved`,
    );
    expect(commit({ data: 1, event: "tidewire" }).event).toBe("tidewire");
    expect(commit({ data: 1, key: "tidewire:gap" }).key).toBe("tidewire:gap");
  });
});

describe("Message", () => {
  test("carries its position, channel and time", () => {
    const message = commit({ data: 1 });
    expect(message).toMatchObject({ id: "mfz3k9-42", channel: "prices", offset: 42, time: 1000 });
  });

  test("gives one value and one array of bytes however often it is asked", () => {
    const message = commit({ data: { a: 1 } });
    expect(message.data).toBe(message.data);
    expect(message.bytes).toBe(message.bytes);
  });
});
