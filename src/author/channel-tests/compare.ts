/** Compares what subscribers saw with what a test expects them to see. */
import type { ChannelTest, ExpectedMessage } from "../../config/tests.ts";
import type { Expected } from "../../config/expected.ts";
import { count } from "../../diagnostic/diagnostic.ts";
import { allOf, diff, type DiffLine } from "./diff.ts";
import type { Failure } from "./failure.ts";
import { matches, writeExpected, writeValue } from "./match.ts";

/** A message as subscribers of its channel see it. */
export interface Seen {
  readonly channel: string;
  readonly data: unknown;
  readonly event: string | undefined;
  readonly key: string | undefined;
}

/** Comparing each with each is given up for more than these. */
const MAX_PAIRS = 1_000_000;
/** Lines that are shown of messages that are too many. */
const MAX_SHOWN = 5;

/** @param seen In the order of their commits, of all channels that the test expects something in. */
export function compareMessages(test: ChannelTest, seen: readonly Seen[]): readonly Failure[] {
  const wanted = test.expect;
  const failures: Failure[] = [];
  let [i, j] = [0, 0];
  for (const [nextI, nextJ] of [...anchors(wanted, seen), [wanted.length, seen.length] as const]) {
    // Between two that are right: those that stand in each other's place, and what is left of either.
    while (i < nextI && j < nextJ) failures.push(different(test, i++, seen[j++]!));
    for (; i < nextI; i++) failures.push(absent(test, i));
    if (j < nextJ) failures.push(unexpected(test, seen.slice(j, nextJ)));
    [i, j] = [nextI + 1, nextJ + 1];
  }
  return failures;
}

/** Pairs of indexes of what is right: the longest common subsequence. */
function anchors(
  wanted: readonly ExpectedMessage[],
  seen: readonly Seen[],
): readonly (readonly [number, number])[] {
  const isRight = (i: number, j: number) => isSeen(wanted[i]!, seen[j]!);
  if (wanted.length * seen.length > MAX_PAIRS) {
    const length = Math.min(wanted.length, seen.length);
    return Array.from({ length }, (_, i) => [i, i] as const).filter(([i]) => isRight(i, i));
  }
  const lengths = Array.from({ length: wanted.length + 1 }, () => new Uint32Array(seen.length + 1));
  for (let i = wanted.length - 1; i >= 0; i--) {
    for (let j = seen.length - 1; j >= 0; j--) {
      lengths[i]![j] = isRight(i, j)
        ? lengths[i + 1]![j + 1]! + 1
        : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
    }
  }
  const pairs: (readonly [number, number])[] = [];
  for (let i = 0, j = 0; i < wanted.length && j < seen.length;) {
    if (isRight(i, j)) pairs.push([i++, j++]);
    else if (lengths[i + 1]![j]! >= lengths[i]![j + 1]!) i++;
    else j++;
  }
  return pairs;
}

function isSeen(wanted: ExpectedMessage, seen: Seen): boolean {
  return (
    wanted.channel === seen.channel &&
    (wanted.data === null || matches(wanted.data, seen.data)) &&
    (wanted.event === null ? seen.event === undefined : matches(wanted.event, seen.event)) &&
    (wanted.key === null || matches(wanted.key, seen.key))
  );
}

function different(test: ChannelTest, index: number, seen: Seen): Failure {
  const wanted = test.expect[index]!;
  const message = `message ${index + 1} is another`;
  return { place: wanted.place, message, diff: diffMessage(test, wanted, seen) };
}

function absent(test: ChannelTest, index: number): Failure {
  const wanted = test.expect[index]!;
  const lines = writeExpected(whole(test, wanted, null));
  return {
    place: wanted.place,
    message: `message ${index + 1} did not come`,
    diff: allOf("-", lines),
  };
}

function unexpected(test: ChannelTest, seen: readonly Seen[]): Failure {
  const shown = seen.slice(0, MAX_SHOWN);
  const lines = shown.flatMap((one) => allOf("+", writeValue(parts(test, one, null))));
  if (seen.length > shown.length) {
    lines.push({ sign: "+", text: `… and ${seen.length - shown.length} more` });
  }
  const message = `${count(seen.length, "message")} came that ${seen.length === 1 ? "is" : "are"} not expected`;
  return { place: test.expectPlace, message, diff: lines };
}

function diffMessage(test: ChannelTest, wanted: ExpectedMessage, seen: Seen): readonly DiffLine[] {
  return diff(whole(test, wanted, seen), parts(test, seen, wanted));
}

/** The data alone, where nothing else is to be told of a message. */
function isBare(test: ChannelTest, wanted: ExpectedMessage | null, seen: Seen | null): boolean {
  const hasNames = wanted?.event || wanted?.key || seen?.event !== undefined;
  const isElsewhere = [wanted, seen].some((one) => one && one.channel !== test.channel);
  return !hasNames && !isElsewhere;
}

/** An expected message as one value. */
function whole(test: ChannelTest, wanted: ExpectedMessage, seen: Seen | null): Expected {
  const { data, event, key } = wanted;
  if (isBare(test, wanted, seen)) return data ?? { kind: "any" };
  const entries = new Map<string, Expected>();
  const isElsewhere = wanted.channel !== test.channel || (seen && seen.channel !== test.channel);
  if (isElsewhere) entries.set("channel", { kind: "value", value: wanted.channel });
  if (event) entries.set("event", event);
  if (key) entries.set("key", key);
  if (data) entries.set("data", data);
  return { kind: "map", entries };
}

/** A message that came as one value, with what is of interest where `wanted` was expected. */
function parts(test: ChannelTest, seen: Seen, wanted: ExpectedMessage | null): unknown {
  const { channel, event, key, data } = seen;
  if (isBare(test, wanted, seen)) return data;
  const isElsewhere = channel !== test.channel || (wanted && wanted.channel !== test.channel);
  return {
    ...(isElsewhere && { channel }),
    ...(event !== undefined && { event }),
    ...(wanted?.key && key !== undefined && { key }),
    ...((!wanted || wanted.data) && { data }),
  };
}
