import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FrameError, parseFrame } from "./frame.ts";

const parse = (frame: unknown) => parseFrame(JSON.stringify(frame));

function refusal(frame: string | Uint8Array): FrameError {
  try {
    parseFrame(frame);
  } catch (error) {
    if (error instanceof FrameError) return error;
    throw error;
  }
  throw new Error(`${String(frame)} was taken`);
}

describe("parseFrame()", () => {
  test("reads each type with its members, null where they are missing", () => {
    expect(parse({ type: "subscribe", channel: "a" })).toEqual({
      type: "subscribe",
      channel: "a",
      after: null,
      last: null,
      ref: undefined,
    });
    expect(parse({ type: "subscribe", channel: "a", after: "x-1", last: 5, ref: "r" })).toEqual({
      type: "subscribe",
      channel: "a",
      after: "x-1",
      last: 5,
      ref: "r",
    });
    expect(parse({ type: "unsubscribe", channel: "a", ref: 0 })).toEqual({
      type: "unsubscribe",
      channel: "a",
      ref: 0,
    });
    expect(parse({ type: "publish", data: null, event: "e", key: "k", ref: null })).toEqual({
      type: "publish",
      channel: null,
      data: null,
      event: "e",
      key: "k",
      idempotency: null,
      expect: null,
      ref: undefined,
    });
    const terms = { idempotency: "once", expect: "x-1" };
    expect(parse({ type: "publish", data: 1, ...terms })).toMatchObject(terms);
  });

  test("names the ref in the refusal, where it could be read", () => {
    expect(refusal('{"type":"subscribe","ref":7}').ref).toBe(7);
    expect(refusal('{"type":"x","ref":"r"}').ref).toBe("r");
    expect(refusal("{").ref).toBeUndefined();
    expect(refusal('{"type":"subscribe","channel":"a","ref":[]}').ref).toBeUndefined();
  });

  test("refuses a last that is no count", () => {
    for (const last of [-1, 1.5, "5", true, 2 ** 53]) {
      const text = JSON.stringify({ type: "subscribe", channel: "a", last });
      expect(refusal(text).message).toStartWith(`last is ${JSON.stringify(last)}; it must be`);
    }
  });

  test("refuses members that are not its own, inherited names too", () => {
    for (const name of ["constructor", "__proto__", "toString", "data"]) {
      const text = `{"type":"unsubscribe","channel":"a",${JSON.stringify(name)}:1}`;
      expect(refusal(text).message).toStartWith(`"${name}" is not a member of a unsubscribe frame`);
    }
    for (const type of ["constructor", "__proto__", "toString"]) {
      expect(refusal(JSON.stringify({ type })).message).toStartWith(`type is "${type}"`);
    }
  });

  test("quotes no more than the beginning of what it refuses", () => {
    const long = "x".repeat(1 << 20);
    for (const text of [
      long,
      JSON.stringify({ type: long }),
      JSON.stringify({ type: "publish", [long]: 1 }),
      JSON.stringify({ type: "subscribe", channel: [long] }),
      JSON.stringify({ type: "subscribe", channel: "a", last: long }),
    ]) {
      expect(refusal(text).message.length).toBeLessThan(300);
    }
  });

  test("gives a frame or a FrameError for any text", () => {
    const names = ["type", "channel", "data", "after", "last", "ref", "event", "x"];
    const value = fc.oneof(
      fc.constantFrom("subscribe", "publish", "unsubscribe"),
      fc.constant(null),
      fc.jsonValue(),
    );
    const frame = fc.array(fc.tuple(fc.constantFrom(...names), value)).map(Object.fromEntries);
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      frame.map((members) => JSON.stringify(members)),
    );
    fc.assert(
      fc.property(text, (given) => {
        try {
          expect(["subscribe", "unsubscribe", "publish"]).toContain(parseFrame(given).type);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
