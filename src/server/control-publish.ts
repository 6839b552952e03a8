/** `POST /publish` of the control listener: one message or many, to one channel or several. */
import { Type, type Static } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { IncomingDraft } from "../channel/pipeline.ts";
import type { Log } from "../log.ts";
import { RequestError } from "../transport/errors.ts";
import type { Channels } from "./channels.ts";
import { readBody } from "./body.ts";
import { toRequestError } from "./problem.ts";
import { readJson, readPublish } from "./publish-request.ts";

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
}

/** Entries of one request at most. */
const MAX_ENTRIES = 10_000;

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
    throw new RequestError(
      404,
      "unknown-channel",
      `there is no channel ${JSON.stringify(channel)}`,
    );
  });
  const failures: RequestError[] = [];
  const results: PublishResult[] = await Promise.all(
    targets.map(async ({ channel, draft }, index) => {
      try {
        const live = await channels.open(opened[index]!);
        const messages = await live.channel.publish([draft]);
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
  const query = new URL(request.url).searchParams;
  const direct = query.getAll("channel");
  if (direct.length > 0) {
    const { drafts } = await readPublish(request, query, messageBytes);
    return direct.flatMap((channel) => drafts.map((draft) => ({ channel, draft })));
  }
  const text = new TextDecoder().decode(await readBody(request, messageBytes * 16));
  const type = (request.headers.get("content-type") ?? "").split(";")[0]!.trim();
  const entries = type === "application/x-ndjson" ? readLines(text) : readWhole(text);
  if (entries.length > MAX_ENTRIES) {
    throw new RequestError(413, "too-large", `a publish has at most ${MAX_ENTRIES} entries`);
  }
  return entries.flatMap((entry, index) => readEntry(entry, entries.length > 1 ? index : null));
}

function readWhole(text: string): unknown[] {
  const { data } = readJson(text, "the body");
  return Array.isArray(data) ? data : [data];
}

function readLines(text: string): unknown[] {
  return text
    .split("\n")
    .flatMap((line, index) => (line.trim() ? [readJson(line, `line ${index + 1}`).data] : []));
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
  // Each channel has its own copy: a transform of one may change it in place.
  return (entry.channels ?? [entry.channel!]).map((channel, copy) => ({
    channel,
    draft: { data: copy === 0 ? data : structuredClone(data), event, key },
  }));
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
