/** The message, and the draft that it is before it is committed. */
import { formatPosition } from "./position.ts";
import { InvalidDraftError } from "./errors.ts";
import type { Trail } from "./trail.ts";

/** How `data` was meant: a JSON value, plain text, or bytes. */
export type Format = "json" | "text" | "bytes";

/** A message before it is committed: no id, no time. */
export interface Draft {
  /**
   * A JSON value, a string, or bytes (an `ArrayBuffer` or a view of one). JSON is as `JSON.stringify`
   * writes it: a NaN within an array or object becomes null; one that is all of `data` is refused.
   */
  data: unknown;
  /** A type name, at most 256 characters, with no control character; not starting with `tidewire:`. */
  event?: string | undefined;
  /**
   * What the message is about. A channel that keeps a state (`latest_by_key`) has the newest of each key in it;
   * null as data takes a key out.
   */
  key?: string | undefined;
  /** Tells a JSON string (`"json"`) from plain text (the default for a string). Of no other use. */
  format?: Format | undefined;
}

/** A draft that passed every check, with its data in the form it is sent in. */
export interface SealedDraft {
  readonly format: Format;
  /** JSON text, plain text, or null for bytes. */
  readonly text: string | null;
  /** The bytes, or null for JSON and text. */
  readonly bytes: Uint8Array | null;
  readonly event: string | undefined;
  readonly key: string | undefined;
  /** Bytes of the data in UTF-8, counted against `limits.message`. */
  readonly size: number;
  /** The channels that it has passed; none when it came from no other channel. */
  readonly trail?: Trail;
}

/** A committed message. Immutable: every subscriber, on every transport, shares the one object. */
export class Message {
  readonly channel: string;
  /** Of its log. */
  readonly epoch: string;
  readonly offset: number;
  /** Milliseconds since the epoch (1970), at commit. */
  readonly time: number;
  readonly event: string | undefined;
  readonly key: string | undefined;
  readonly format: Format;
  readonly size: number;
  readonly #text: string | null;
  #bytes: Uint8Array | null;
  #value: unknown;
  #parsed = false;
  #id: string | null = null;
  readonly #trail: Trail | null;

  constructor(channel: string, epoch: string, offset: number, time: number, draft: SealedDraft) {
    this.channel = channel;
    this.epoch = epoch;
    this.offset = offset;
    this.time = time;
    this.event = draft.event;
    this.key = draft.key;
    this.format = draft.format;
    this.size = draft.size;
    this.#text = draft.text;
    this.#bytes = draft.bytes;
    this.#trail = draft.trail ?? null;
  }

  /** The message's position, written as clients see it. */
  get id(): string {
    // When it is asked for: of what is published in batches, most is not while it is kept in memory.
    return (this.#id ??= formatPosition(this.epoch, this.offset));
  }

  /**
   * The channels that it has passed, where a plugin published it from another channel and it was
   * committed by this process. No client sees it, and no broker keeps it.
   */
  get trail(): Trail | null {
    return this.#trail;
  }

  /** The data as a value: parsed JSON, a string, or a `Uint8Array`. */
  get data(): unknown {
    if (this.format === "bytes") return this.#bytes;
    if (this.format === "text") return this.#text;
    if (!this.#parsed) {
      this.#value = JSON.parse(this.#text!);
      this.#parsed = true;
    }
    return this.#value;
  }

  /** The data as text on the wire: JSON text as it was published, the text itself, or bytes as base64. */
  get text(): string {
    return this.#text ?? Buffer.from(this.#bytes!).toString("base64");
  }

  /** The data as bytes on the wire: UTF-8 of `text`, or the bytes themselves. */
  get bytes(): Uint8Array {
    return (this.#bytes ??= new TextEncoder().encode(this.#text!));
  }

  /** The data as a JSON value's text; bytes are a base64 string. */
  get json(): string {
    return this.format === "json" ? this.#text! : JSON.stringify(this.text);
  }
}

const CONTROL = /\p{Cc}/u;
/** The longest `event` and `key`, in characters (UTF-16 code units). */
export const MAX_NAME = 256;

/**
 * Checks a draft and puts its data in the form that is stored and sent.
 *
 * @param raw JSON text that `data` was parsed from, when nothing has changed it since: it is kept as
 *   the publisher wrote it, so that no number loses digits.
 * @throws {InvalidDraftError} When the data is not JSON, text or bytes, when it is over `maxBytes`, or
 *   when `event` or `key` is not a usable name.
 */
export function sealDraft(draft: Draft, maxBytes: number, raw?: string): SealedDraft {
  if (draft === null || typeof draft !== "object") {
    throw new InvalidDraftError("draft", `a draft is an object with "data", not ${kindOf(draft)}`);
  }
  const event = checkName("event", draft.event);
  if (event?.startsWith("tidewire:")) {
    throw new InvalidDraftError(
      "event",
      `event "${event}" starts with "tidewire:", which is reserved`,
    );
  }
  const key = checkName("key", draft.key);
  const { data } = draft;
  const view = viewBytes(data);
  if (view) {
    const size = view.byteLength;
    checkSize(size, maxBytes);
    // Copied: a publisher that uses its buffer again must not change history.
    return { format: "bytes", text: null, bytes: view.slice(), event, key, size };
  }
  const isText = typeof data === "string" && draft.format !== "json";
  // A lone surrogate has no UTF-8: replaced here, or it would differ from transport to transport.
  const text = (isText ? data : (raw ?? toJson(data))).toWellFormed();
  const size = Buffer.byteLength(text);
  checkSize(size, maxBytes);
  return { format: isText ? "text" : "json", text, bytes: null, event, key, size };
}

function viewBytes(data: unknown): Uint8Array | null {
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  const isBuffer = data instanceof ArrayBuffer || data instanceof SharedArrayBuffer;
  return isBuffer ? new Uint8Array(data) : null;
}

function checkEmpty(data: unknown): void {
  const problem =
    data instanceof Promise
      ? "a promise; await it first"
      : data instanceof Map
        ? "a Map, which JSON can't hold; give Object.fromEntries(it), or an array"
        : data instanceof Set
          ? "a Set, which JSON can't hold; give an array"
          : null;
  if (problem !== null) throw new InvalidDraftError("data", `data is ${problem}`);
}

function toJson(data: unknown): string {
  if (typeof data === "number" && !Number.isFinite(data)) {
    throw new InvalidDraftError("data", `data is ${data}, which JSON can't hold`);
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (error) {
    throw new InvalidDraftError("data", `data is not JSON: ${messageOf(error)}`);
  }
  if (text === undefined) {
    throw new InvalidDraftError("data", `data is ${kindOf(data)}; it must be JSON, text or bytes`);
  }
  // What is forgotten to await, and collections, are nothing in JSON: a loss that nobody would see.
  if (text === "{}") checkEmpty(data);
  return text;
}

function checkSize(size: number, maxBytes: number): void {
  if (size > maxBytes) {
    throw new InvalidDraftError("size", `data has ${size} bytes; at most ${maxBytes} are allowed`);
  }
}

function checkName(field: "event" | "key", value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string") {
    throw new InvalidDraftError(field, `${field} is ${kindOf(value)}; it must be a string`);
  }
  if (value.length > MAX_NAME) {
    throw new InvalidDraftError(
      field,
      `${field} has ${value.length} characters; at most ${MAX_NAME} are allowed`,
    );
  }
  const bad = CONTROL.exec(value);
  if (bad) {
    const code = bad[0].charCodeAt(0).toString(16).padStart(4, "0");
    throw new InvalidDraftError(
      field,
      `${field} has the control character U+${code.toUpperCase()} at index ${bad.index}`,
    );
  }
  return value.toWellFormed();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "undefined";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
