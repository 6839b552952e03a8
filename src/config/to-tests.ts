/** Makes the tests of a file that passed all checks. */
import type { StaticDecode } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { ChannelTest, ExpectedMessage, PublishStep, Step } from "./tests.ts";
import { readExpected, type Expected } from "./expected.ts";
import { nodeAt, textAt, type ListNode, type Node } from "./node.ts";
import type { Problems, Span } from "./problems.ts";
import { readValue } from "./read-value.ts";
import { TestSpec } from "./spec-tests.ts";

type Decoded = StaticDecode<typeof TestSpec>;

/** @param list The list behind `tests:`, or null where there is none. */
export function toTests(list: Node | null, file: string, problems: Problems): ChannelTest[] {
  if (list?.kind !== "list") return [];
  return list.items.map((node) => toTest(node, file, problems));
}

function toTest(node: Node, file: string, problems: Problems): ChannelTest {
  const decoded: Decoded = Value.Decode(TestSpec, readValue(node, TestSpec));
  const { name, channel, sources, sinks } = decoded;
  const place = (span: Span) => problems.placeOf(span);
  const itemsOf = (key: string) => (nodeAt(node, key) as ListNode | null)?.items ?? [];
  const expectKey = node.kind === "map" ? node.entries.get("expect")!.key : node.span;
  return {
    name,
    file,
    place: place(nodeAt(node, "name")!.span),
    channel,
    nowMs: decoded.now ?? null,
    sources,
    sinks,
    feed: itemsOf("feed").map((step, i) => toStep(step, decoded.feed[i]!, problems)),
    expect: itemsOf("expect").map((item) => toMessage(item, channel, problems)),
    expectPlace: place(expectKey),
  };
}

function toStep(node: Node, decoded: Decoded["feed"][number], problems: Problems): Step {
  const place = problems.placeOf(node.span);
  if (decoded.wait !== undefined) return { kind: "wait", ms: decoded.wait, place };
  const { event, key, refused = null, encoding } = decoded;
  const isReceived = nodeAt(node, "receive") !== null;
  const value = readValue(nodeAt(node, isReceived ? "receive" : "data")!);
  const data = encoding === "base64" ? Uint8Array.fromBase64(value as string) : value;
  const step: PublishStep = { kind: "publish", data, event, key, refused };
  if (!isReceived) return { ...step, place };
  const answers = nodeAt(node, "answers") as ListNode | null;
  return {
    ...step,
    kind: "receive",
    place,
    from: decoded.from ?? { transport: "websocket", headers: {}, query: {}, address: "127.0.0.1" },
    answers: answers && {
      expected: answers.items.map((item) => readExpected(item, problems)),
      place: problems.placeOf(answers.span),
    },
  };
}

function toMessage(node: Node, channel: string, problems: Problems): ExpectedMessage {
  const expected = (key: string): Expected | null => {
    const value = nodeAt(node, key);
    return value && readExpected(value, problems);
  };
  const data = expected("data");
  const isBytes = nodeAt(node, "encoding") !== null;
  const bytes = (text: Expected): Expected =>
    text.kind === "value" ? { ...text, value: Uint8Array.fromBase64(text.value as string) } : text;
  return {
    place: problems.placeOf(node.span),
    channel: textAt(node, "channel")?.value ?? channel,
    data: data && isBytes ? bytes(data) : data,
    event: expected("event"),
    key: expected("key"),
  };
}
