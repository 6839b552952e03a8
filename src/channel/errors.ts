/** What can go wrong in a channel. Each has a stable `code` that the server maps to a status or a frame. */

export type ChannelErrorCode =
  | "invalid-message"
  | "too-large"
  | "schema"
  | "overloaded"
  | "closed"
  | "position-moved"
  | "state-full"
  | "storage";

export class ChannelError extends Error {
  readonly code: ChannelErrorCode;
  constructor(code: ChannelErrorCode, message: string) {
    super(message);
    this.name = "ChannelError";
    this.code = code;
  }
}

/** A draft that can't become a message; `field` is the part that is wrong. */
export class InvalidDraftError extends ChannelError {
  readonly field: "draft" | "data" | "event" | "key" | "size";
  constructor(field: InvalidDraftError["field"], message: string) {
    super(field === "size" ? "too-large" : "invalid-message", message);
    this.name = "InvalidDraftError";
    this.field = field;
  }
}

/** A function that makes drafts, such as a transform, gave what is none. */
export class ResultError extends TypeError {
  /** What it gave. */
  readonly problem: string;
  /** What would be right. */
  readonly help: string | null;
  constructor(problem: string, help: string | null = null) {
    super(help === null ? problem : `${problem}; ${help}`);
    this.name = "ResultError";
    this.problem = problem;
    this.help = help;
  }
}

/** Data that the channel's schema refuses; `errors` are one sentence each, with a JSON pointer. */
export class SchemaError extends ChannelError {
  readonly errors: readonly string[];
  constructor(channel: string, errors: readonly string[]) {
    super("schema", `data does not fit the schema of channel "${channel}": ${errors.join("; ")}`);
    this.name = "SchemaError";
    this.errors = errors;
  }
}

/** A publish that was to come right after a position, which is not the newest any more. */
export class PositionError extends ChannelError {
  readonly expected: string;
  /** The newest message's, at the moment of the commit. */
  readonly position: string;
  constructor(channel: string, expected: string, position: string) {
    super(
      "position-moved",
      `channel "${channel}" is at ${position}, not at ${expected}: nothing was published; read what came since, then publish with the new position`,
    );
    this.name = "PositionError";
    this.expected = expected;
    this.position = position;
  }
}

/** A publish that would make the state of a channel, the newest message of each key, too large. */
export class StateFullError extends ChannelError {
  /** What the state has now, not with what was refused. */
  readonly keys: number;
  readonly bytes: number;
  constructor(
    channel: string,
    now: { readonly keys: number; readonly bytes: number },
    over: { readonly keys: number } | { readonly bytes: number },
  ) {
    const [limit, key] =
      "keys" in over
        ? [`at most ${over.keys} keys`, "keys"]
        : [`at most ${over.bytes} bytes of the newest messages of its keys`, "bytes"];
    super(
      "state-full",
      `channel "${channel}" keeps ${limit}, and has ${now.keys} keys with ${now.bytes} bytes: nothing was published; delete keys by publishing null to them, or raise "${key}" of its history`,
    );
    this.name = "StateFullError";
    this.keys = now.keys;
    this.bytes = now.bytes;
  }
}

/** More drafts wait for the channel's transforms than it may queue. */
export function overloaded(channel: string, limit: number): ChannelError {
  return new ChannelError(
    "overloaded",
    `channel "${channel}" has too many messages waiting for its transforms (at most ${limit}); try again later`,
  );
}

/** More was committed than went out to the subscribers yet. */
export function backlogged(channel: string): ChannelError {
  return new ChannelError(
    "overloaded",
    `channel "${channel}" has more to send out than its subscribers are sent in a turn; try again later`,
  );
}

/** The channel was let go of, or the server stops. */
export function channelClosed(channel: string): ChannelError {
  return new ChannelError("closed", `channel "${channel}" is closed`);
}

/** The broker could not keep, or read, what it was asked for. Why is for the log: it tells of the inside. */
export function storageFailed(channel: string, action: "keep" | "read"): ChannelError {
  const what = action === "keep" ? "keep messages" : "read its history";
  return new ChannelError(
    "storage",
    `channel "${channel}" can't ${what} now: the server's storage failed, its log says why; try again later`,
  );
}
