/** Drafts on their way through an isolated transform and back, as text wherever that loses nothing. */
import type { Draft } from "../../channel/message.ts";
import { TransformFailure, type BatchResult } from "../../channel/pipeline.ts";
import type { Trail } from "../../channel/trail.ts";
import { toDraft } from "../draft.ts";
import { anyText, isPlain, plainText } from "./plain.ts";
import { fromWireError, type WireError, type Where } from "./wire-error.ts";

/** `event`, `key` and `format`; null stands for undefined. */
type Names = readonly [event: unknown, key: unknown, format: unknown];

/**
 * One draft that a transform gave: the very draft that came (0), the data that came under other names, or
 * another draft. What came is told apart, so that its publisher's JSON text can be kept.
 */
type WireDraft =
  0 | { readonly names: Names; readonly isOwn: boolean } | readonly [data: unknown, ...Names];

/** What became of one draft; null: it was dropped. */
export type WireResult =
  WireDraft | { readonly many: readonly WireDraft[] } | { readonly error: WireError } | null;

/** A draft as a worker got it, with what shows whether its data was changed in place. */
export interface Given {
  readonly draft: Draft;
  /** A copy of the fields; the data is the same. */
  readonly before: Draft;
  /** JSON text of the data; undefined where there is none. */
  readonly text: string | undefined;
}

/**
 * Writes a batch as lines: the number of the call and its trail, then a line for each draft.
 *
 * @returns null when a draft has data that JSON would change.
 */
export function encodeDrafts(
  id: number,
  trail: Trail | null,
  drafts: readonly Draft[],
  texts: readonly (string | undefined)[],
): string | null {
  let lines = JSON.stringify([id, trail]);
  for (let i = 0; i < drafts.length; i++) {
    const { data, event, key, format } = drafts[i]!;
    // A line end in JSON text stands between its parts alone, where a space means the same.
    const text = texts[i]?.replaceAll("\n", " ") ?? plainText(data);
    if (text === null) return null;
    if (event === undefined && key === undefined && format === undefined) {
      lines += `\n[${text}]`;
    } else {
      const names = anyText([event, key, format]);
      if (names === undefined) return null;
      lines += `\n[${text},${names}]`;
    }
  }
  return lines;
}

/** Reads a batch; its drafts are parsed when `read` is called, which throws where a worker's stack is too small. */
export function decodeDrafts(lines: string): {
  id: number;
  trail: Trail | null;
  read: () => Given[];
} {
  const [head, ...rest] = lines.split("\n") as [string, ...string[]];
  const [id, trail] = JSON.parse(head) as [number, Trail | null];
  const read = () =>
    rest.map((line): Given => {
      const [data, names = NO_NAMES] = JSON.parse(line) as [unknown, Names?];
      const draft = named(data, names);
      return { draft, before: { ...draft }, text: line };
    });
  return { id, trail, read };
}

const NO_NAMES: Names = [null, null, null];

/** What a worker was given as a structured clone. */
export function givenOf(draft: Draft): Given {
  const { data } = draft;
  const isBytes = ArrayBuffer.isView(data) || data instanceof ArrayBuffer;
  return { draft, before: { ...draft }, text: isBytes ? undefined : anyText([data]) };
}

/** Tells what a transform gave by what it was given. */
export function toWireResult(
  result: Draft | readonly Draft[] | null,
  given: Given,
): Exclude<WireResult, { error: WireError }> {
  if (result === null) return null;
  if (!Array.isArray(result)) return toWireDraft(result as Draft, given);
  return { many: (result as readonly Draft[]).map((draft) => toWireDraft(draft, given)) };
}

function toWireDraft(draft: Draft, given: Given): WireDraft {
  const { data, event, key, format } = toDraft(draft)!;
  const { before } = given;
  const isOwn = draft === given.draft;
  const isSameData = Object.is(data, before.data) && (isOwn || typeof data === "object");
  if (!isSameData || !isUntouched(given)) return [data, event, key, format];
  const isSame = event === before.event && key === before.key && format === before.format;
  return isOwn && isSame ? 0 : { names: [event, key, format], isOwn };
}

/** Whether the data is as it came: it may have been changed in place. */
function isUntouched({ before: { data }, text }: Given): boolean {
  if (typeof data !== "object" || data === null) return true;
  const now = text === undefined ? undefined : anyText(data);
  if (now === undefined) return false;
  if (text!.startsWith(now, 1) && /^[,\]]/.test(text![now.length + 1]!)) return true;
  // Written otherwise by its publisher: with spaces, or numbers of more digits.
  return now === JSON.stringify((JSON.parse(text!) as unknown[])[0]);
}

/**
 * Writes results as JSON text.
 *
 * @returns null when one has data that JSON would change.
 */
export function encodeResults(id: number, results: readonly WireResult[]): string | null {
  const isAllPlain = results.every((result) => {
    if (result === null || result === 0 || "error" in result) return true;
    return "many" in result ? result.many.every(isPlainDraft) : isPlainDraft(result);
  });
  return isAllPlain ? JSON.stringify([id, results]) : null;
}

function isPlainDraft(draft: WireDraft): boolean {
  if (draft === 0) return true;
  if ("names" in draft) return draft.names.every(isName);
  const [data, ...names] = draft as readonly [unknown, ...Names];
  return names.every(isName) && isPlain(data);
}

/** Anything else the server is to refuse as what it is. */
function isName(name: unknown): boolean {
  return name === undefined || name === null || typeof name === "string";
}

export function decodeResults(text: string): { id: number; results: readonly WireResult[] } {
  const [id, results] = JSON.parse(text) as [number, WireResult[]];
  return { id, results };
}

/** Makes what the pipeline takes of what a worker answered. */
export function fromWireResult(result: WireResult, draft: Draft, where: Where): BatchResult {
  if (result === null) return null;
  if (result === 0 || Array.isArray(result) || "names" in result) {
    return fromWireDraft(result as WireDraft, draft);
  }
  if ("error" in result) return new TransformFailure(fromWireError(result.error, where));
  return (result as { many: readonly WireDraft[] }).many.map((each) => fromWireDraft(each, draft));
}

function fromWireDraft(wire: WireDraft, draft: Draft): Draft {
  if (wire === 0) return draft;
  if ("names" in wire) {
    const changed = named(draft.data, wire.names);
    // The text of a number or string is known by the very draft that it stands in.
    return wire.isOwn ? Object.assign(draft, changed) : changed;
  }
  const [data, ...names] = wire as readonly [unknown, ...Names];
  return named(data, names);
}

function named(data: unknown, [event, key, format]: Names): Draft {
  return {
    data,
    event: (event ?? undefined) as string | undefined,
    key: (key ?? undefined) as string | undefined,
    format: (format ?? undefined) as Draft["format"],
  };
}
