/** `POST /publish` of the control listener: one message or many, to one channel or several. */
import { Type, type Static } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { Log } from "../log.ts";
import { RequestError } from "../transport/errors.ts";
import type { Channels } from "./channels.ts";
import { readBody } from "./body.ts";
import type { LiveChannel } from "./live-channel.ts";
import { toRequestError, unknownChannel } from "./problem.ts";
import { readTarget } from "./target.ts";
import { decode, mediaType, readJson, readLines, readPublish } from "./publish-request.ts";

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
  },
  { additionalProperties: false },
);

/** What one message to one channel came to; `id` is null when a transform dropped it. */
export interface PublishResult {
  readonly channel: string;
  readonly id?: string | null;
  readonly error?: { readonly type: string; readonly detail: string };
}

interface Target {
  readonly channel: string;
  readonly draft: IncomingDraft;
  /** Other channels are given the same data. */
  readonly isShared: boolean;
}

/** Messages of one request at most: what it names, times the channels that it names them for. */
const MAX_MESSAGES = 10_000;

/**
 * Publishes what a request holds: a JSON entry, an array or NDJSON of entries, or, with `?channel=`, the
 * body itself as text or bytes.
 *
 * An unreadable request or an unknown channel refuses all of it; a message that its channel refuses is
 * told of in its place, and the others are published.
 *
 * @throws {RequestError} When the request as a whole is refused.
 */
export async function controlPublish(
  request: Request,
  channels: Channels,
  messageBytes: number,
  log: Log,
): Promise<Response> {
  const targets = await readTargets(request, messageBytes);
  const opened = targets.map(({ channel }) => {
    const match = channels.matchName(channel);
    if (match) return match;
    throw unknownChannel(channel);
  });
  const failures: RequestError[] = [];
  const results: PublishResult[] = await Promise.all(
    targets.map(async (target, index) => {
      const { channel } = target;
      try {
        const live = await channels.open(opened[index]!);
        const messages = await live.publish([ownDraft(target, live)]);
        return { channel: live.name, id: messages[messages.length - 1]?.id ?? null };
      } catch (error) {
        const told = toRequestError(error, log);
        failures.push(told);
        return {
          channel,
          error: { type: `urn:tidewire:problem:${told.code}`, detail: told.message },
        };
      }
    }),
  );
  if (failures.length === results.length) throw failures[0]!;
  return Response.json({ results }, { status: failures.length > 0 ? 207 : 201 });
}

async function readTargets(request: Request, messageBytes: number): Promise<Target[]> {
  const { query } = readTarget(request);
  const direct = query.getAll("channel");
  if (direct.length > 0) {
    const { drafts } = await readPublish(request, query, messageBytes);
    checkCount(direct.length * drafts.length);
    return drafts.flatMap((draft) => address(direct, draft));
  }
  const text = decode(await readBody(request, messageBytes * 16));
  const isLines = mediaType(request) === "application/x-ndjson";
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

/** A transform may change data in place: a channel with transforms gets a copy, when its turn comes. */
function ownDraft({ draft, isShared }: Target, { plugins }: LiveChannel): IncomingDraft {
  if (!isShared || plugins.transforms.length === 0) return draft;
  return { ...draft, data: orTooDeep(() => structuredClone(draft.data)) };
}

/** @throws {RequestError} 400 when the data can't be copied for it is nested too deeply. */
function orTooDeep<T>(copy: () => T): T {
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
  const { event, key, encoding } = entry;
  if (encoding === "base64" && !isBase64(entry.data)) {
    throw wrong(`"data" is not base64, as "encoding" says`);
  }
  const data = encoding === "base64" ? Uint8Array.fromBase64(entry.data as string) : entry.data;
  const names = entry.channels ?? [entry.channel!];
  // Written once: many channels then keep one text, not one each.
  const isWritten = names.length > 1 && typeof entry.data === "object";
  const raw = isWritten ? orTooDeep(() => JSON.stringify(data)) : undefined;
  return address(names, { data, event, key, raw });
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
