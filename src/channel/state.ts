/** The state of a channel, where it keeps one: the newest message of each key, until a null deletes it. */
import { StateFullError } from "./errors.ts";
import type { Retention } from "./log.ts";
import type { SealedDraft } from "./message.ts";

/** What of a draft, or of a message, says what it does to the state. */
export type Change = Pick<SealedDraft, "key" | "format" | "text" | "size">;

/** Whether it takes its key out of the state: JSON null under a key. It is committed as any other. */
export function isDeletion(change: Omit<Change, "size">): boolean {
  // As it was published: there may be white space around it.
  return change.key !== undefined && change.format === "json" && change.text!.trim() === "null";
}

/** How large a state is. */
export interface StateSize {
  readonly keys: number;
  /** Bytes of the messages' data. */
  readonly bytes: number;
}

/** What a batch of drafts changes of a state. */
export interface StateChange {
  readonly size: StateSize;
  /** The newest draft of each key, as an index of the batch. */
  readonly newest: ReadonlyMap<string, number>;
  /** Index of the newest draft that leaves nothing in it, and replaces nothing (see `StatePage.unkept`); -1 is none. */
  readonly unkept: number;
}

/**
 * Works out what drafts make of a state, all together: who replaces and deletes as much as is added is not
 * refused, nor is who makes a state smaller that is too large.
 *
 * @param sizeOf Bytes of the message that is kept under a key; null where there is none.
 * @throws {StateFullError} When it would be too large, and larger than before.
 */
export function changeState(
  channel: string,
  drafts: readonly Change[],
  before: StateSize,
  sizeOf: (key: string) => number | null,
  { maxKeys = Infinity, maxBytes = Infinity }: Pick<Retention, "maxKeys" | "maxBytes">,
): StateChange {
  const newest = new Map<string, number>();
  let unkept = -1;
  for (const [index, { key }] of drafts.entries()) {
    if (key === undefined) unkept = index;
    else newest.set(key, index);
  }
  let { keys, bytes } = before;
  for (const [key, index] of newest) {
    const old = sizeOf(key);
    const draft = drafts[index]!;
    const isDeleted = isDeletion(draft);
    if (isDeleted) unkept = Math.max(unkept, index);
    keys += (isDeleted ? 0 : 1) - (old === null ? 0 : 1);
    bytes += (isDeleted ? 0 : draft.size) - (old ?? 0);
  }
  if (keys > maxKeys && keys > before.keys) {
    throw new StateFullError(channel, before, { keys: maxKeys });
  }
  if (bytes > maxBytes && bytes > before.bytes) {
    throw new StateFullError(channel, before, { bytes: maxBytes });
  }
  return { size: { keys, bytes }, newest, unkept };
}
