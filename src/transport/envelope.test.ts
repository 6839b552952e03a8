import { describe, expect, test } from "bun:test";
import { Message, sealDraft, type Draft } from "../channel/message.ts";
import { encodeEnvelope, encodeFrame, encodePage } from "./envelope.ts";

function message(draft: Draft, raw?: string, offset = 7): Message {
  return new Message('chat/"a"', "abc", offset, 1000, sealDraft(draft, 1 << 20, raw));
}

describe("encodeEnvelope()", () => {
  test("puts id, channel, event and time beside the data", () => {
    expect(encodeEnvelope(message({ data: "hi", event: 'ti"ck' }))).toBe(
      '{"id":"abc-7","channel":"chat/\\"a\\"","event":"ti\\"ck","time":1000,"data":"hi"}',
    );
  });

  test("leaves the event out where there is none, and tells the key where there is one", () => {
    expect(encodeEnvelope(message({ data: 1, key: 'a"b' }))).toBe(
      '{"id":"abc-7","channel":"chat/\\"a\\"","key":"a\\"b","time":1000,"data":1}',
    );
  });

  test("puts JSON in as it was published, digits and all", () => {
    const raw = '{ "n": 12345678901234567890, "e": 1.0e2 }';
    expect(
      encodeEnvelope(message({ data: JSON.parse(raw) as unknown, format: "json" }, raw)),
    ).toEndWith(`"data":${raw}}`);
  });

  test("tells a JSON string from text no more than JSON does", () => {
    expect(encodeEnvelope(message({ data: "x", format: "json" }))).toEndWith('"data":"x"}');
    expect(encodeEnvelope(message({ data: "x" }))).toEndWith('"data":"x"}');
  });

  test("writes bytes as base64 and says so", () => {
    expect(encodeEnvelope(message({ data: new Uint8Array([0, 255]) }))).toEndWith(
      '"data":"AP8=","encoding":"base64"}',
    );
  });

  test("is JSON whatever the text holds", () => {
    for (const data of ['"', "\\", "\u2028", "\0", "\n", "</script>", "😀", "\ud800"]) {
      const parsed = JSON.parse(encodeEnvelope(message({ data }))) as { data: string };
      expect(parsed.data).toBe(data.toWellFormed());
    }
  });
});

test("encodeFrame() is the envelope with its type", () => {
  expect(encodeFrame(message({ data: 1 }))).toBe(
    '{"type":"message","id":"abc-7","channel":"chat/\\"a\\"","time":1000,"data":1}',
  );
});

test("encodePage() lists envelopes, where to go on, and whether some are lost", () => {
  const page = encodePage(
    [message({ data: 1 }), message({ data: 2 }, undefined, 8)],
    "abc-8",
    true,
  );
  expect(JSON.parse(page)).toEqual({
    messages: [
      { id: "abc-7", channel: 'chat/"a"', time: 1000, data: 1 },
      { id: "abc-8", channel: 'chat/"a"', time: 1000, data: 2 },
    ],
    next: "abc-8",
    gap: true,
  });
  expect(encodePage([], "abc-0", false)).toBe('{"messages":[],"next":"abc-0","gap":false}');
});
