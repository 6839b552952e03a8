import { describe, expect, test } from "bun:test";
import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { Message, sealDraft, type Draft } from "../channel/message.ts";
import {
  encodeEvent,
  encodeGap,
  encodeId,
  encodeRetry,
  encodeUnnumbered,
  HEARTBEAT,
} from "./event-stream.ts";

function message(draft: Draft): Message {
  return new Message("prices", "abc", 7, 1000, sealDraft(draft, 1 << 20));
}

describe("encodeEvent()", () => {
  test("writes id, event and data, and a blank line", () => {
    expect(encodeEvent(message({ data: { n: 1 }, event: "tick" }))).toBe(
      'id: abc-7\nevent: tick\ndata: {"n":1}\n\n',
    );
  });

  test("leaves the event out where there is none", () => {
    expect(encodeEvent(message({ data: "hi" }))).toBe("id: abc-7\ndata: hi\n\n");
  });

  test("splits data at every kind of line end", () => {
    expect(encodeEvent(message({ data: "a\nb\r\nc\rd\n" }))).toBe(
      "id: abc-7\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n",
    );
  });

  test("writes empty data as one field, so that the event is dispatched", () => {
    expect(encodeEvent(message({ data: "" }))).toBe("id: abc-7\ndata: \n\n");
  });

  test("writes bytes as base64", () => {
    expect(encodeEvent(message({ data: new Uint8Array([0, 255]) }))).toContain("data: AP8=\n");
  });

  test("is read back as it was by a parser of the standard, whatever the data", () => {
    const line = fc.constantFrom(
      "\n",
      "\r",
      "\r\n",
      ":",
      " ",
      "data: x",
      "id: 7",
      "\u2028",
      "\0",
      "😀",
    );
    const data = fc.array(fc.oneof(line, fc.string({ unit: "grapheme" })), { maxLength: 12 });
    fc.assert(
      fc.property(
        data,
        fc.option(fc.string({ maxLength: 20 }), { nil: undefined }),
        (parts, name) => {
          const text = parts.join("");
          const event = name && !/\p{Cc}/u.test(name) ? name : undefined;
          const seen: unknown[] = [];
          createParser({ onEvent: (parsed) => seen.push(parsed) }).feed(
            encodeEvent(message({ data: text, event })),
          );
          expect(seen).toEqual([
            { id: "abc-7", event: event?.replace(/^ /, " "), data: text.replace(/\r\n|\r/g, "\n") },
          ]);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("encodeUnnumbered()", () => {
  test("has no id, so the client's place stays", () => {
    expect(encodeUnnumbered("a\nb", "hi")).toBe("event: hi\ndata: a\ndata: b\n\n");
    expect(encodeUnnumbered("x")).toBe("data: x\n\n");
  });
});

test("encodeGap() has the id where delivery goes on", () => {
  expect(encodeGap({ after: "abc-1", id: "abc-5" })).toBe(
    'event: tidewire:gap\nid: abc-5\ndata: {"after":"abc-1","id":"abc-5"}\n\n',
  );
});

test("encodeId(), encodeRetry() and HEARTBEAT dispatch no event", () => {
  const seen: unknown[] = [];
  const retries: number[] = [];
  const parser = createParser({
    onEvent: (event) => seen.push(event),
    onRetry: (ms) => retries.push(ms),
  });
  parser.feed(HEARTBEAT + encodeRetry(1999.6) + encodeId("abc-3"));
  expect([seen, retries]).toEqual([[], [2000]]);
});
