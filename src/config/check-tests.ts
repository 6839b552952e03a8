/** Checks what the shape of `tests:` can't say: channels, steps that are of one kind, matchers. */
import { quoteText } from "../diagnostic/visible-text.ts";
import type { ChannelNames } from "./channel-names.ts";
import { showValue } from "./describe.ts";
import { readExpected } from "./expected.ts";
import { asText, nodeAt, textAt, type MapNode, type Node } from "./node.ts";
import type { Problems, Span } from "./problems.ts";

/** What a step does; each goes with these other keys. */
const STEPS: Readonly<Record<string, readonly string[]>> = {
  data: ["encoding", "event", "key", "refused"],
  receive: ["encoding", "event", "key", "refused", "from", "answers"],
  wait: [],
};

/** @param tests The list, as far as it is one: its shape is checked elsewhere. */
export function checkTests(tests: Node | null, channels: ChannelNames, problems: Problems): void {
  const names = new Map<string, Span>();
  for (const test of maps(tests)) {
    const name = textAt(test, "name");
    const before = name && names.get(name.value);
    if (before) {
      const help = `the other one is on line ${problems.lineOf(before.start)}`;
      problems.report("duplicate-test", name.span, `two tests are named ${showValue(name)}`, help);
    } else if (name) names.set(name.value, name.span);
    checkChannel(nodeAt(test, "channel"), channels, problems);
    for (const step of maps(nodeAt(test, "feed"))) checkStep(step, problems);
    for (const message of maps(nodeAt(test, "expect"))) checkMessage(message, channels, problems);
  }
}

function maps(list: Node | null): readonly MapNode[] {
  return list?.kind === "list" ? list.items.filter((item) => item.kind === "map") : [];
}

function checkChannel(node: Node | null, channels: ChannelNames, problems: Problems): void {
  const name = asText(node);
  if (!name || name.value === "" || channels.has(name.value)) return;
  const message = `there is no channel ${showValue(name)}`;
  problems.report("unknown-channel", name.span, message, channels.help(name.value));
}

function checkStep(step: MapNode, problems: Problems): void {
  const kinds = Object.keys(STEPS).filter((kind) => step.entries.has(kind));
  const [kind, other] = kinds;
  if (kind === undefined) {
    // With a key that there is not, that is what is wrong.
    if ([...step.entries.keys()].some((key) => !isKnown(key))) return;
    const help = `"data" publishes, "receive" is sent by a client, "wait" lets time pass`;
    problems.report("bad-step", step.span, "a step has none of data, receive and wait", help);
    return;
  }
  if (other !== undefined) {
    const message = `a step has either ${kind} or ${other}, not both`;
    problems.report("bad-step", step.entries.get(other)!.key, message, "make it two steps");
    return;
  }
  for (const [key, entry] of step.entries) {
    if (key === kind || STEPS[kind]!.includes(key) || !isKnown(key)) continue;
    const owners = Object.keys(STEPS).filter((one) => STEPS[one]!.includes(key));
    const message = `${quoteText(key)} goes with ${owners.join(" or ")}, not with ${kind}`;
    problems.report("bad-step", entry.key, message);
  }
  checkEncoding(step, nodeAt(step, kind), problems);
  const answers = nodeAt(step, "answers");
  if (answers?.kind === "list") for (const answer of answers.items) readExpected(answer, problems);
}

function isKnown(key: string): boolean {
  return key in STEPS || Object.values(STEPS).some((keys) => keys.includes(key));
}

function checkMessage(message: MapNode, channels: ChannelNames, problems: Problems): void {
  checkChannel(nodeAt(message, "channel"), channels, problems);
  if (!["data", "event", "key"].some((key) => message.entries.has(key))) {
    const isMistyped = [...message.entries.keys()].some((key) => !/^(channel|encoding)$/.test(key));
    const help = `it has "data", "event" or "key"; "data: { $any: true }" is any message`;
    if (!isMistyped)
      problems.report("bad-expectation", message.span, "nothing is expected of this message", help);
  }
  checkEncoding(message, nodeAt(message, "data"), problems);
  for (const key of ["data", "event", "key"]) {
    const node = nodeAt(message, key);
    if (!node) continue;
    const { kind } = readExpected(node, problems);
    const isName =
      kind !== "map" && kind !== "list" && kind !== "partial" && (kind !== "value" || asText(node));
    if (key === "data" || isName || node.kind === "broken") continue;
    problems.report("wrong-type", node.span, `expected text or a matcher, got ${showValue(node)}`);
  }
}

function checkEncoding(entry: MapNode, data: Node | null, problems: Problems): void {
  const encoding = textAt(entry, "encoding");
  if (encoding?.value !== "base64" || data?.kind === "broken") return;
  const text = asText(data);
  if (text && isBase64(text.value)) return;
  const message = "the data is no base64, as its encoding says";
  problems.report("bad-encoding", (data ?? encoding).span, message);
}

function isBase64(text: string): boolean {
  try {
    Uint8Array.fromBase64(text);
    return true;
  } catch {
    return false;
  }
}
