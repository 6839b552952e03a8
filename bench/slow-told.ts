/** What a client was told that stalled and read on: messages, gaps, and how its connection ended. */
import { readFrames } from "../test/transports/clients/tcp.ts";

export interface Told {
  readonly messages: number;
  readonly gaps: number;
  /** Messages that the gaps stand for. */
  readonly lost: number;
  /** The close code, `end of stream`, or null while it stands. */
  readonly end: string | null;
  /** A message that is neither there nor in a gap, or comes twice. */
  readonly isBroken: boolean;
}

/** An id, or the ends of a gap. */
type Event = string | { readonly after: string; readonly id: string };

const offsetOf = (id: string) => Number(id.split("-").at(-1));

function count(events: readonly Event[], end: string | null): Told {
  let at = 0;
  let [messages, gaps, lost, isBroken] = [0, 0, 0, false];
  for (const event of events) {
    if (typeof event === "string") {
      isBroken ||= at > 0 && offsetOf(event) !== at + 1;
      at = offsetOf(event);
      messages++;
    } else {
      const [after, id] = [offsetOf(event.after), offsetOf(event.id)];
      isBroken ||= (at > 0 && after !== at) || id <= after;
      at = id;
      gaps++;
      lost += id - after;
    }
  }
  return { messages, gaps, lost, end, isBroken };
}

/** Events of a stream of an HTTP/1.1 answer that is sent in chunks. */
export function toldBySse(bytes: Buffer): Told {
  const [body, isWhole] = dechunk(bytes.subarray(bytes.indexOf("\r\n\r\n") + 4));
  const pattern = /event: tidewire:gap\nid: .*\ndata: (.*)\n|id: (.*)\ndata: /g;
  const events = [...body.toString("latin1").matchAll(pattern)].map(([, gap, id]) =>
    gap ? (JSON.parse(gap) as Exclude<Event, string>) : id!,
  );
  return count(events, isWhole ? "end of stream" : null);
}

function dechunk(bytes: Buffer): [Buffer, boolean] {
  const chunks: Buffer[] = [];
  for (let at = 0; ;) {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0) return [Buffer.concat(chunks), false];
    const length = parseInt(bytes.toString("latin1", at, end), 16);
    if (length === 0) return [Buffer.concat(chunks), true];
    chunks.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}

/** Frames of `tidewire.v1`. */
export function toldByFrames(bytes: Buffer): Told {
  const events: Event[] = [];
  let end: string | null = null;
  for (const { opcode, payload } of readFrames(bytes.subarray(bytes.indexOf("\r\n\r\n") + 4))) {
    if (opcode === 8) end = String(payload.readUInt16BE(0));
    if (opcode !== 1) continue;
    const frame = JSON.parse(payload.toString()) as { type: string; id: string; after: string };
    if (frame.type === "message") events.push(frame.id);
    if (frame.type === "gap") events.push(frame);
  }
  return count(events, end);
}

/** Raw frames: data alone, so nothing but their number and the close code can be told. */
export function toldByRaw(bytes: Buffer): Told {
  const frames = readFrames(bytes.subarray(bytes.indexOf("\r\n\r\n") + 4));
  const close = frames.find(({ opcode }) => opcode === 8);
  const messages = frames.filter(({ opcode }) => opcode === 1 || opcode === 2).length;
  const end = close ? String(close.payload.readUInt16BE(0)) : null;
  return { messages, gaps: 0, lost: 0, end, isBroken: false };
}

const [DATA, PUSH_PROMISE] = [0, 5];

/** Promises, and the lines of the held stream (stream 1). The promises' own ids are in compressed headers. */
export function toldByPushes(bytes: Buffer): Told {
  let [pushes, lines] = [0, ""];
  for (let at = 0; at + 9 <= bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    const type = bytes[at + 3];
    if (type === PUSH_PROMISE) pushes++;
    if (type === DATA && bytes.readUInt32BE(at + 5) === 1) {
      lines += bytes.toString("utf8", at + 9, at + 9 + length);
    }
    at += 9 + length;
  }
  const gaps: Exclude<Event, string>[] = [];
  let [end, first]: [string | null, number | null] = [null, null];
  for (const line of lines.split("\n").slice(0, -1)) {
    const said = JSON.parse(line) as { type: string; id: string; after: string; code: number };
    if (said.type === "gap") gaps.push(said);
    if (said.type === "subscribed") first ??= offsetOf(said.id);
    if (said.type === "closing") end = String(said.code);
  }
  const lost = gaps.reduce((sum, { after, id }) => sum + offsetOf(id) - offsetOf(after), 0);
  return { messages: pushes, gaps: gaps.length, lost, end, isBroken: false };
}

/** One answer to a poll. */
export function toldByPoll(bytes: Buffer): Told {
  const body = bytes.toString("utf8", bytes.indexOf("\r\n\r\n") + 4);
  const page = JSON.parse(body) as { messages: { id: string }[]; next: string };
  return count(
    page.messages.map(({ id }) => id),
    null,
  );
}
