/**
 * The text of a cursor: where a client is in each channel of a stream that carries many. Opaque to clients.
 *
 * `v1.` and, in base64url, how many channels there are, and for each: four bytes that stand for its name, then its place. So a
 * cursor stays small whatever the channels are called: about 10 bytes a channel where they came to life
 * together, 20 at most with positions that Tidewire made. Where some are within a snapshot of their state, the
 * count is so much larger that it says so, and after all of them comes how many those are, and for each its
 * index, and how far the snapshot goes beyond its place. Names are not in it, for the request has them: a
 * channel that the request adds is not in the cursor, and one that it leaves out is not looked for.
 */
import type { Place } from "../channel/lane.ts";
import {
  formatStatePlace,
  parsePosition,
  parseStatePlace,
  type Position,
} from "../channel/position.ts";
import { RequestError } from "./errors.ts";

const PREFIX = "v1.";
/** How a place is written, in the two low bits of its first number. */
const SILENT = 1;
const OTHER_EPOCH = 2;
/** Added to the number of channels where some are within a snapshot: far more than a stream carries. */
const HAS_STATE = 2 ** 20;
/** Whether this is an epoch as Tidewire makes them, which a number can stand for. */
const NUMERIC = /^[1-9a-z][0-9a-z]{0,9}$/;

/** One channel of a cursor. */
export interface CursorEntry {
  readonly name: string;
  readonly place: Place;
}

/**
 * Writes a cursor.
 *
 * @param entries Each channel once; in the same order each time, so that the same places are the same text.
 */
export function formatCursor(entries: readonly CursorEntry[]): string {
  const bytes: number[] = [];
  const inState = indexesInState(entries);
  writeNumber(bytes, entries.length + (inState.length > 0 ? HAS_STATE : 0));
  let epoch = 0;
  for (const entry of entries) epoch = writeEntry(bytes, entry, epoch);
  writeStates(bytes, entries, inState);
  return PREFIX + Buffer.from(bytes).toString("base64url");
}

/**
 * Writes the cursors of a batch of one channel, while the others stand still: their part is written once.
 *
 * @returns What gives the cursor after the message at this position.
 */
export function cursorsOf(
  entries: readonly CursorEntry[],
  name: string,
): (position: Position) => string {
  // The epochs are written one by the difference to the other, so all but the offset is the same.
  const index = entries.findIndex((entry) => entry.name === name);
  const before: number[] = [];
  const inState = indexesInState(entries).filter((other) => other !== index);
  writeNumber(before, entries.length + (inState.length > 0 ? HAS_STATE : 0));
  let last = 0;
  for (const entry of entries.slice(0, index)) last = writeEntry(before, entry, last);
  const head = Buffer.from(before);
  let tail: Buffer | null = null;
  let tailEpoch = "";
  return (position) => {
    const own: number[] = [];
    let next = writeEntry(own, { name, place: { position, isSilent: false } }, last);
    if (tail === null || tailEpoch !== position.epoch) {
      const after: number[] = [];
      for (const entry of entries.slice(index + 1)) next = writeEntry(after, entry, next);
      writeStates(after, entries, inState);
      tail = Buffer.from(after);
      tailEpoch = position.epoch;
    }
    return PREFIX + Buffer.concat([head, Buffer.from(own), tail]).toString("base64url");
  };
}

/** Where a client is, by channel. */
export class CursorText {
  readonly #places: ReadonlyMap<number, readonly Place[]>;

  /**
   * Reads what `formatCursor` wrote.
   *
   * @returns Null when the text is no cursor at all: it may be a position.
   * @throws {RequestError} 400 when it is a cursor that was cut off or changed.
   */
  static parse(text: string, where: string): CursorText | null {
    if (!text.startsWith("v")) return null;
    if (!/^v\d+\./.test(text)) return null;
    const places = text.startsWith(PREFIX) ? readEntries(text.slice(PREFIX.length)) : null;
    if (places) return new CursorText(places);
    throw new RequestError(
      400,
      "bad-position",
      `${where} is ${JSON.stringify(text.slice(0, 80))}, which is no cursor of this server; it must be the id of an event, or "next" of a page, as it came`,
    );
  }

  private constructor(places: ReadonlyMap<number, readonly Place[]>) {
    this.#places = places;
  }

  /**
   * The place in one channel, or null when the cursor says nothing of it.
   *
   * @param epoch Of the channel's log: where two names have the same four bytes, it tells which is meant.
   */
  find(name: string, epoch: string): Place | null {
    const places = this.#places.get(hashOf(name));
    if (!places) return null;
    return places.find(({ position }) => position.epoch === epoch) ?? places[0]!;
  }
}

/** @returns The epoch as a number, which the next entry is written by the difference to. */
function writeEntry(bytes: number[], { name, place }: CursorEntry, last: number): number {
  const hash = hashOf(name);
  bytes.push(hash >>> 24, (hash >>> 16) & 255, (hash >>> 8) & 255, hash & 255);
  const { epoch, offset } = place.position;
  const flags = place.isSilent ? SILENT : 0;
  if (NUMERIC.test(epoch)) {
    const number = parseInt(epoch, 36);
    writeNumber(bytes, offset * 4 + flags);
    const difference = number - last;
    writeNumber(bytes, difference < 0 ? -difference * 2 - 1 : difference * 2);
    return number;
  }
  writeNumber(bytes, offset * 4 + flags + OTHER_EPOCH);
  // Letters and digits alone: a byte each.
  bytes.push(epoch.length);
  for (let i = 0; i < epoch.length; i++) bytes.push(epoch.charCodeAt(i));
  return last;
}

/** Those whose place is within a snapshot. */
function indexesInState(entries: readonly CursorEntry[]): number[] {
  const indexes: number[] = [];
  for (let i = 0; i < entries.length; i++) {
    if (entries[i]!.place.through !== undefined) indexes.push(i);
  }
  return indexes;
}

function writeStates(
  bytes: number[],
  entries: readonly CursorEntry[],
  inState: readonly number[],
): void {
  if (inState.length === 0) return;
  writeNumber(bytes, inState.length);
  for (const index of inState) {
    const { position, through } = entries[index]!.place;
    writeNumber(bytes, index);
    writeNumber(bytes, through! - position.offset);
  }
}

function readEntries(text: string): Map<number, Place[]> | null {
  if (!/^[\w-]*$/.test(text)) return null;
  const reader = new Reader(Buffer.from(text, "base64url"));
  const entries: { readonly hash: number; place: Place }[] = [];
  const written = reader.number() ?? -1;
  const count = written >= HAS_STATE ? written - HAS_STATE : written;
  let last = 0;
  for (let i = 0; i !== count; i++) {
    const hash = reader.hash();
    const first = reader.number();
    if (hash === null || first === null) return null;
    const flags = first % 4;
    let epoch: string | null;
    if (flags & OTHER_EPOCH) epoch = reader.text();
    else {
      const zigzag = reader.number();
      if (zigzag === null) return null;
      last += zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2;
      epoch = last.toString(36);
    }
    // What comes from a client is checked as any other.
    const position = epoch === null ? null : parsePosition(`${epoch}-${Math.floor(first / 4)}`);
    if (position === null) return null;
    entries.push({ hash, place: { position, isSilent: (flags & SILENT) !== 0 } });
  }
  const inState = written >= HAS_STATE ? reader.number() : 0;
  for (let i = 0; i !== inState; i++) {
    const entry = entries[reader.number() ?? -1];
    const left = reader.number();
    if (!entry || left === null) return null;
    const { position } = entry.place;
    // Checked as any other, too.
    const text = formatStatePlace({ position, through: position.offset + left });
    const place = parseStatePlace(text);
    if (place === null) return null;
    entry.place = { ...place, isSilent: false };
  }
  if (!reader.isAtEnd) return null;
  const places = new Map<number, Place[]>();
  for (const { hash, place } of entries) {
    const same = places.get(hash);
    if (same) same.push(place);
    else places.set(hash, [place]);
  }
  return places;
}

/** Numbers of seven bits a byte, the low ones first, up to 2^53. */
function writeNumber(bytes: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
}

class Reader {
  #at = 0;
  readonly #bytes: Buffer;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  hash(): number | null {
    if (this.#at + 4 > this.#bytes.length) return null;
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }

  number(): number | null {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) return null;
      value += (byte & 127) * scale;
      if (byte < 128) return value <= Number.MAX_SAFE_INTEGER ? value : null;
    }
    return null;
  }

  /** Text with its length before it. */
  text(): string | null {
    const length = this.#bytes[this.#at++];
    if (length === undefined || this.#at + length > this.#bytes.length) return null;
    this.#at += length;
    return this.#bytes.toString("utf8", this.#at - length, this.#at);
  }
}

/** Names that were asked for of late: a hash takes longer than finding it. */
const hashes = new Map<string, number>();
const MAX_HASHES = 10_000;

function hashOf(name: string): number {
  let hash = hashes.get(name);
  if (hash !== undefined) return hash;
  // Such as CRC-32 would collide on purpose too easily, and Bun.hash may change with Bun: cursors outlive both.
  hash = new Bun.CryptoHasher("sha1").update(name).digest().readUInt32BE(0);
  if (hashes.size >= MAX_HASHES) hashes.clear();
  hashes.set(name, hash);
  return hash;
}
