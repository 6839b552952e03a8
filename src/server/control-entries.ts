/** What a request to the control listener's `POST /publish` names: messages, and channels for each. */
import { Type, type Static } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { IncomingDraft } from "../channel/pipeline.ts";
import { RequestError } from "../transport/errors.ts";
import { readBody } from "./body.ts";
import { checkPosition, readExpectPosition } from "./expect-position.ts";
import { fingerprintOf } from "./idempotency-key.ts";
import {
  decode,
  mediaType,
  readJson,
  readLines,
  readPublish,
  type BodyLimits,
} from "./publish-request.ts";
import { readTarget } from "./target.ts";

const Name = Type.String({ minLength: 1, maxLength: 2048 });

/** One entry of a publish. */
const Entry = Type.Object(
  {
    channel: Type.Optional(Name),
    channels: Type.Optional(Type.Array(Name, { minItems: 1, maxItems: 1000 })),
    data: Type.Unknown(),
    encoding: Type.Optional(Type.Literal("base64")),
    event: Type.Optional(Type.String()),
    key: Type.Optional(Type.String()),
    expect: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);

/** One message for one channel. */
export interface Target {
  readonly channel: string;
  readonly draft: IncomingDraft;
  /** Position that has to be the channel's newest. */
  readonly expect?: string | undefined;
  /** Other channels are given the same data. */
  readonly isShared: boolean;
}

/** Messages of one request at most: what it names, times the channels that it names them for. */
const MAX_MESSAGES = 10_000;

/** What a request names, and what tells it from another. */
export interface Targets {
  readonly targets: readonly Target[];
  readonly fingerprint: () => string;
}

/**
 * Reads an entry, an array or NDJSON of entries, or, with `?channel=`, the data itself.
 *
 * @throws {RequestError} When the request can't be read, or names too many messages.
 */
export async function readTargets(request: Request, limits: BodyLimits): Promise<Targets> {
  const expect = readExpectPosition(request.headers);
  const { targets, fingerprint } = await readAll(request, limits);
  if (expect === null) return { targets, fingerprint };
  const [only] = targets;
  if (targets.length === 1) return { targets: [{ ...only!, expect }], fingerprint };
  throw new RequestError(
    400,
    "bad-publish",
    `Expect-Position is for one message to one channel; give entries their own: {"channel":"prices","data":1,"expect":"mfz3k9-42"}`,
  );
}

async function readAll(request: Request, limits: BodyLimits): Promise<Targets> {
  const { query } = readTarget(request);
  const direct = query.getAll("channel");
  if (direct.length > 0) {
    const { drafts, fingerprint } = await readPublish(request, query, limits);
    checkCount(direct.length * drafts.length);
    return {
      targets: drafts.flatMap((draft) => address(direct, draft)),
      fingerprint: () => fingerprintOf(fingerprint(), {}, direct.join("\n")),
    };
  }
  const body = await readBody(request, limits.message * 16, limits.body);
  const isLines = mediaType(request) === "application/x-ndjson";
  const targets = readEntries(decode(body), isLines);
  return { targets, fingerprint: () => fingerprintOf(isLines ? "lines" : "json", {}, body) };
}

function readEntries(text: string, isLines: boolean): Target[] {
  const entries = isLines ? readLines(text).map(({ data }) => data) : readWhole(text);
  if (entries.length === 0) {
    throw new RequestError(400, "empty-body", "the body has no entry");
  }
  const targets: Target[] = [];
  for (const [index, entry] of entries.entries()) {
    targets.push(...readEntry(entry, entries.length > 1 ? index : null));
    checkCount(targets.length);
  }
  return targets;
}

function checkCount(messages: number): void {
  if (messages <= MAX_MESSAGES) return;
  throw new RequestError(413, "too-large", `a publish has at most ${MAX_MESSAGES} messages`);
}

function address(channels: readonly string[], draft: IncomingDraft): Target[] {
  const isShared = channels.length > 1;
  return channels.map((channel) => ({ channel, draft, isShared }));
}

/** @throws {RequestError} 400 when the data can't be copied for it is nested too deeply. */
export function orTooDeep<T>(copy: () => T): T {
  try {
    return copy();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RequestError(400, "bad-publish", "the data is nested too deeply to be copied");
  }
}

function readWhole(text: string): unknown[] {
  const { data } = readJson(text, "the body");
  return Array.isArray(data) ? data : [data];
}

function readEntry(value: unknown, index: number | null): Target[] {
  const where = index === null ? "the body" : `entry ${index}`;
  const wrong = (detail: string) => new RequestError(400, "bad-publish", `${where}: ${detail}`);
  if (!Value.Check(Entry, value)) {
    const first = Value.Errors(Entry, value).First();
    throw wrong(
      `${first?.path || "it"} ${first?.message.toLowerCase()}; it is an object such as {"channel":"prices","data":{"price":1}}`,
    );
  }
  const entry: Static<typeof Entry> = value;
  if (!("data" in entry)) throw wrong(`"data" is missing`);
  if ((entry.channel === undefined) === (entry.channels === undefined)) {
    throw wrong(`it needs either "channel" or "channels"`);
  }
  const { event, key, encoding, expect } = entry;
  if (expect !== undefined) {
    if (entry.channel === undefined) throw wrong(`"expect" is for one "channel"`);
    checkPosition(expect, `${where}: "expect"`);
  }
  if (encoding === "base64" && !isBase64(entry.data)) {
    throw wrong(`"data" is not base64, as "encoding" says`);
  }
  const data = encoding === "base64" ? Uint8Array.fromBase64(entry.data as string) : entry.data;
  const names = entry.channels ?? [entry.channel!];
  // Written once: many channels then keep one text, not one each.
  const isWritten = names.length > 1 && typeof entry.data === "object";
  const raw = isWritten ? orTooDeep(() => JSON.stringify(data)) : undefined;
  return address(names, { data, event, key, raw }).map((target) => ({ ...target, expect }));
}

function isBase64(data: unknown): boolean {
  if (typeof data !== "string") return false;
  try {
    Uint8Array.fromBase64(data);
    return true;
  } catch {
    return false;
  }
}
