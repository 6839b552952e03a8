/** Writes the messages of one commit of one log, many with a statement. */
import type { Database, Statement } from "bun:sqlite";
import type { Format, Message } from "../channel/message.ts";

/** How `messages.format` is written: by its place here. */
export const FORMATS: readonly Format[] = ["json", "text", "bytes"];

type Bound = string | number | null | Uint8Array;
type Run = Statement<unknown, Bound[]>;

/** Messages that one statement takes, the most first. A call costs about as much as ten messages in it. */
const COUNTS = [128, 16, 1] as const;

export class SqliteInsert {
  /** For messages of one format that have no event and no key, as most have: those are not bound each time. */
  readonly #plain: readonly Run[];
  readonly #named: readonly Run[];

  constructor(database: Database) {
    this.#plain = COUNTS.map((count) => database.query(sql(count, false)));
    this.#named = COUNTS.map((count) => database.query(sql(count, true)));
  }

  /**
   * Inserts within a transaction.
   *
   * @param messages One after the other in their log, with one time, such as those of a commit.
   * @param first Index of the first that is inserted.
   * @param before Bytes of all messages of the channel before that one.
   */
  run(channel: number, messages: readonly Message[], first: number, before: number): void {
    let bytes = before;
    for (let next = first; next < messages.length;) {
      const plain = plainRun(messages, next);
      const hasNames = plain < COUNTS[1];
      const left = hasNames ? messages.length - next : plain;
      const kind = COUNTS.findIndex((count) => count <= left);
      const count = COUNTS[kind]!;
      const { offset, time, format } = messages[next]!;
      const values: Bound[] = [channel, offset, time, bytes];
      if (!hasNames) values.push(FORMATS.indexOf(format));
      for (const end = next + count; next < end; next++) {
        const message = messages[next]!;
        bytes += message.size;
        if (hasNames) {
          values.push(message.event ?? null, message.key ?? null, FORMATS.indexOf(message.format));
        }
        values.push(bytes, message.format === "bytes" ? message.bytes : message.text);
      }
      (hasNames ? this.#named : this.#plain)[kind]!.run(...values);
    }
  }
}

/** How many messages from `first` on, of as many as one statement takes, are alike and have no names. */
function plainRun(messages: readonly Message[], first: number): number {
  const { format } = messages[first]!;
  const end = Math.min(messages.length, first + COUNTS[0]);
  let next = first;
  for (; next < end; next++) {
    const message = messages[next]!;
    if (message.event !== undefined || message.key !== undefined || message.format !== format)
      break;
  }
  return next - first;
}

/** What is the same for all, or follows from the one before, is bound once. */
function sql(count: number, hasNames: boolean): string {
  // ?1 channel, ?2 the first's offset, ?3 time, ?4 bytes before the first; where they are alike ?5 their format.
  let bound = hasNames ? 4 : 5;
  let before = 4;
  const rows = Array.from({ length: count }, (_, row) => {
    const names = hasNames ? `?${++bound}, ?${++bound}, ?${++bound}` : "NULL, NULL, ?5";
    const after = ++bound;
    const text = `(?1, ?2 + ${row}, ?3, ${names}, ?${after} - ?${before}, ?${before}, ?${++bound})`;
    before = after;
    return text;
  });
  return `INSERT INTO messages VALUES ${rows.join()}`;
}
