/** The frames that a client sends in `tidewire.v1`, read and checked. */
import { LIVE, type Start } from "../channel/position.ts";
import { RequestError } from "./errors.ts";
import { parseAfter, parseLast } from "./start.ts";

/** Echoed in the answer, so that a client knows which request it is to. */
export type Ref = string | number | undefined;

export type ClientFrame =
  | { type: "subscribe"; channel: string; after: string | null; last: number | null; ref: Ref }
  | { type: "unsubscribe"; channel: string; ref: Ref }
  | {
      type: "publish";
      channel: string | null;
      data: unknown;
      event: unknown;
      key: unknown;
      idempotency: string | null;
      expect: string | null;
      ref: Ref;
    };

const MEMBERS: Record<ClientFrame["type"], readonly string[]> = {
  subscribe: ["type", "channel", "after", "last", "ref"],
  unsubscribe: ["type", "channel", "ref"],
  publish: ["type", "channel", "data", "event", "key", "idempotency", "expect", "ref"],
};

/** A frame that is not one of the protocol's; `ref` is the frame's, where it could be read. */
export class FrameError extends RequestError {
  readonly ref: Ref;
  constructor(detail: string, ref: Ref) {
    super(400, "bad-frame", detail);
    this.ref = ref;
  }
}

/**
 * Parses a frame.
 *
 * @throws {FrameError} When it is not JSON, not of a known type, or a member is missing, unknown or of a
 *   wrong type.
 */
export function parseFrame(frame: string | Uint8Array): ClientFrame {
  if (typeof frame !== "string") {
    throw new FrameError("a tidewire.v1 frame is text, not binary", undefined);
  }
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch (error) {
    throw new FrameError(
      `the frame is not JSON: ${(error as Error).message.slice(0, 200)}`,
      undefined,
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FrameError(
      `a frame is an object such as {"type":"subscribe","channel":"prices"}`,
      undefined,
    );
  }
  const members = value as Record<string, unknown>;
  const ref = readRef(members["ref"]);
  const { type } = members;
  if (type !== "subscribe" && type !== "unsubscribe" && type !== "publish") {
    throw new FrameError(
      `type is ${type === undefined ? "missing" : quote(type)}; it must be "subscribe", "unsubscribe" or "publish"`,
      ref,
    );
  }
  const unknown = unknownMember(members, MEMBERS[type]);
  if (unknown !== null) {
    const known = MEMBERS[type].map((name) => `"${name}"`).join(", ");
    throw new FrameError(
      `${quote(unknown)} is not a member of a ${type} frame; it has ${known}`,
      ref,
    );
  }
  const channel = readText(members, "channel", ref);
  if (type === "publish") {
    if (!("data" in members)) throw new FrameError(`a publish frame needs "data"`, ref);
    return {
      type,
      channel,
      data: members["data"],
      event: members["event"],
      key: members["key"],
      idempotency: readText(members, "idempotency", ref),
      expect: readText(members, "expect", ref),
      ref,
    };
  }
  if (channel === null) throw new FrameError(`a ${type} frame needs "channel"`, ref);
  if (type === "unsubscribe") return { type, channel, ref };
  const last = members["last"] ?? null;
  if (last !== null && !(Number.isSafeInteger(last) && (last as number) >= 0)) {
    throw new FrameError(`last is ${quote(last)}; it must be a whole number from 0`, ref);
  }
  return {
    type,
    channel,
    after: readText(members, "after", ref),
    last: last as number | null,
    ref,
  };
}

/**
 * Where a subscription is to start.
 *
 * @throws {RequestError} When its position is not one.
 */
export function startOf({ after, last }: ClientFrame & { type: "subscribe" }): Start {
  if (after !== null) return parseAfter(after, "after");
  return last === null ? LIVE : parseLast(String(last));
}

function unknownMember(members: object, known: readonly string[]): string | null {
  for (const name of Object.keys(members)) if (!known.includes(name)) return name;
  return null;
}

function readRef(ref: unknown): Ref {
  if (typeof ref === "string" || typeof ref === "number") return ref;
  if (ref === undefined || ref === null) return undefined;
  throw new FrameError("ref must be a string or a number", undefined);
}

function readText(members: Record<string, unknown>, name: string, ref: Ref): string | null {
  const value = members[name];
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return value;
  throw new FrameError(`${name} is ${quote(value)}; it must be a string`, ref);
}

/** What the client wrote, or its beginning: a frame may have megabytes. */
function quote(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}
