/**
 * One event stream of many channels. Data is an envelope, which says the channel; an event's name is as it
 * was published; its id is a cursor of all the channels, as they are after this event.
 */
import { Cursor, type Gap } from "../channel/cursor.ts";
import { startAt, type Lane } from "../channel/lane.ts";
import { SseOutput } from "./sse-output.ts";
import { ManyCatchUp, type ManyReceiver } from "../channel/many-catch-up.ts";
import type { Message } from "../channel/message.ts";
import { Crowds, type Crowd } from "./crowd.ts";
import type { StreamCoding } from "./coding/coding.ts";
import { CursorText, formatCursor } from "./cursor-text.ts";
import type { SseForm } from "./sse-form.ts";
import { encodeFields, encodeId, encodeUnnumbered, GAP, GONE } from "./event-stream.ts";
import { chunksOf, pageOf, type Chunk } from "./merged-events.ts";
import { Part } from "./sse-part.ts";
import type { Access, MergedExchange } from "./transport.ts";

/** A stream that the transport holds, whatever it carries. */
export interface HeldStream {
  /** Writes a heartbeat, where nothing else waits: a client that catches up slowly is alive. */
  beat(): void;
  write(text: string): void;
  /** Ends the stream after what already waits. */
  end(): void;
}

/** What all streams share. */
export interface SseManyShared {
  readonly form: SseForm;
  readonly streams: Set<HeldStream>;
  readonly crowds: SseCrowds;
  readonly bufferBytes: number;
}

/** Streams of one coding that are level with the same channels. */
export class SseCrowds extends Crowds<SseManyStream> {
  /** @param bufferBytes Of one connection: ids are long, so a batch may be more than a client is to hold. */
  constructor(bufferBytes: number, coding: StreamCoding) {
    super(`sse-many/${coding.name}`, (members, batch, cursorAfter) => {
      for (const chunk of chunksOf(batch, cursorAfter, bufferBytes / 4, coding)) {
        for (const member of members) member.give(chunk);
      }
    });
  }
}

export class SseManyStream
  extends SseOutput
  implements ManyReceiver, HeldStream, UnderlyingDefaultSource<Uint8Array>
{
  // Not the exchange: its request would be kept for as long as the stream.
  readonly #connection: MergedExchange["connection"];
  readonly #shared: SseManyShared;
  /** By the channel's name, sorted. */
  readonly #parts = new Map<string, Part>();
  #accesses: readonly Access[];
  readonly #startOf: MergedExchange["startOf"];
  #catchUp: ManyCatchUp | null = null;
  #crowd: Crowd<SseManyStream> | null = null;
  /** The id that the client has. */
  #lastId = "";
  /** All channels let it lag: it does not end where its connection is full. */
  readonly #mayLag: boolean;
  /** It lags: where there is room it goes on after `#lastId`, as a client would that comes back with it. */
  #isLagging = false;
  /** A batch is on its way, chunk by chunk: `#lanes` are where the client is after the last one of them. */
  #isWriting = false;
  /** Batches that came live meanwhile. */
  readonly #late: (readonly Message[])[] = [];
  /** It became level meanwhile. */
  #gathersLate = false;

  constructor({ accesses, startOf, connection }: MergedExchange, shared: SseManyShared) {
    super(shared.bufferBytes, shared.form);
    this.#accesses = accesses;
    this.#mayLag = mayLag(accesses);
    this.#startOf = startOf;
    this.#connection = connection;
    this.#shared = shared;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.controller = controller;
    this.#shared.streams.add(this);
    this.put(this.form.preamble);
    this.#connection.connect();
    for (const access of this.#accesses) {
      const part = new Part(this, access);
      this.#parts.set(access.channel.name, part);
      access.subscriber.connect(part);
      // A `joined` hook may have closed it.
      if (this.controller === null) return;
    }
    this.#accesses = [];
    this.#begin(this.#startOf);
  }

  /** The client took all that waited: there is room for more history. */
  drained(): void {
    if (!this.#isLagging) return this.#catchUp?.drained();
    this.#isLagging = false;
    this.#begin(this.#lastStarts);
  }

  gap(lane: Lane, gap: Gap): void {
    lane.gave(gap);
    const cursor = formatCursor(this.#lanes());
    const data = JSON.stringify({ channel: lane.name, ...gap });
    this.give({ bytes: this.form.coding.encode(encodeFields(cursor, GAP, data)), cursor });
  }

  /** Hands over what has an id. Where there is no room the stream ends, or lags if it has a place to go on from. */
  give({ bytes, cursor }: Chunk): void {
    if (this.offer(bytes)) this.#lastId = cursor;
    else if (!this.#mayLag || this.#lastId === "") this.end();
    else {
      // It hears nothing more: all that comes is in the logs, or told as lost.
      this.#isLagging = true;
      this.#part();
      for (const part of this.#parts.values()) part.lag();
    }
  }

  /** The other half of the buffer is for what is published when it has just caught up. */
  get hasRoom(): boolean {
    return !this.#isWriting && this.waiting * 2 < this.#shared.bufferBytes;
  }

  /** Takes all: a page is a quarter of the buffer. */
  replay(batch: readonly Message[]): void {
    this.#write(batch, ({ bytes, cursor }) => {
      this.put(bytes);
      this.#lastId = cursor;
    });
  }

  live(lane: Lane): void {
    this.#parts.get(lane.name)!.join();
  }

  level(): void {
    this.#catchUp = null;
    this.#gather();
  }

  fail(): void {
    this.end();
  }

  /** Delivers what came live to this stream alone: others of its channels are behind. */
  take(batch: readonly Message[]): void {
    // Should a channel be flushed within the writing of a batch, that one is written to its end first: the
    // ids of this one say that the client has all of it.
    if (this.#isWriting) this.#late.push(batch);
    else this.#write(batch, (chunk) => this.give(chunk));
  }

  /** One channel is no more: an event says so, and the stream goes on with the others. */
  drop(part: Part, reason: string): void {
    const { channel, subscriber } = part.access;
    if (this.#parts.get(channel.name) !== part) return;
    const rest = this.#restOf(part);
    this.#parts.delete(channel.name);
    part.leave();
    if (part.lane) this.#catchUp?.drop(part.lane);
    subscriber.disconnect();
    // Neither has an id: the cursor is that of the channels that are left.
    const gap = { channel: channel.name, ...rest };
    const told = rest === null ? "" : encodeUnnumbered(JSON.stringify(gap), GAP);
    const gone = JSON.stringify({ channel: channel.name, reason });
    this.write(told + encodeUnnumbered(gone, GONE));
    if (this.controller === null || part.lane === null) return;
    // It may have been the one that was behind.
    if (this.#catchUp) this.#catchUp.drained();
    else this.#gather();
  }

  /** What the client never gets of a channel that is gone; null where it lacks nothing. */
  #restOf({ lane }: Part): Gap | null {
    if (lane === null) return null;
    const { name, channel } = lane;
    // Where it lags, its lanes are where it would be if all had been written.
    if (this.#isLagging) return new Cursor(channel, this.#lastStarts(name, channel)).rest();
    return lane.isLive ? null : new Cursor(channel, startAt(lane.place, channel)).rest();
  }

  /** Where a client would go on that comes back with the last id it was given. */
  get #lastStarts(): MergedExchange["startOf"] {
    const cursor = CursorText.parse(this.#lastId, "the last id")!;
    return (name, channel) => startAt(cursor.find(name, channel.log.epoch)!, channel);
  }

  #begin(startOf: MergedExchange["startOf"]): void {
    for (const part of this.#parts.values()) part.begin(startOf);
    const lanes = this.#lanes();
    const page = pageOf(this.#shared.bufferBytes, lanes.length);
    this.#catchUp = new ManyCatchUp(lanes, this, page);
    this.#catchUp.run();
  }

  /** Leaves the live stream, whether it was level or not. */
  #part(): void {
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.#crowd?.leave(this);
    this.#crowd = null;
    for (const part of this.#parts.values()) part.leave();
  }

  #lanes(): Lane[] {
    return [...this.#parts.values()].map(({ lane }) => lane!);
  }

  #write(batch: readonly Message[], give: (chunk: Chunk) => void): void {
    this.#isWriting = true;
    try {
      this.#writeChunks(batch, give);
      for (let late; (late = this.#late.shift());) {
        this.#writeChunks(late, (chunk) => this.give(chunk));
      }
    } finally {
      this.#isWriting = false;
    }
    // What could not go on within it.
    this.#catchUp?.drained();
    if (this.#gathersLate) this.#gather();
  }

  #writeChunks(batch: readonly Message[], give: (chunk: Chunk) => void): void {
    for (const chunk of this.#encode(batch)) {
      // A later one, which is smaller, may have room again.
      if (this.#isLagging) return;
      give(chunk);
    }
  }

  #encode(batch: readonly Message[]): Chunk[] {
    const lanes = this.#lanes();
    // The channel of some may have gone while they were on their way.
    const present = batch.filter(({ channel }) => this.#parts.has(channel));
    const cursorAfter = (message: Message) => {
      this.#parts.get(message.channel)!.lane!.gave(message);
      return formatCursor(lanes);
    };
    return chunksOf(present, cursorAfter, this.#shared.bufferBytes / 4, this.form.coding);
  }

  /** Level with all channels: shares what is encoded with the others that are. */
  #gather(): void {
    if (this.controller === null) return;
    if (this.#parts.size === 0) return this.end();
    // It may have begun to lag since this was put off.
    if (this.#isLagging || this.#catchUp) return;
    this.#gathersLate = this.#isWriting;
    if (this.#isWriting) return;
    const lanes = this.#lanes();
    const channels = lanes.map(({ channel }) => channel);
    // Until that batch is out, who changes places would get it twice or not at all.
    const delivering = channels.find(({ fanOut }) => fanOut.isDelivering);
    if (delivering) return delivering.fanOut.afterDelivery(() => this.#gather());
    // The channel that delivers may be the one that is gone.
    if (this.#crowd?.isDelivering) return this.#crowd.afterDelivery(() => this.#gather());
    this.#part();
    this.#crowd = this.#shared.crowds.join(this, channels);
    const { cursor } = this.#crowd;
    if (cursor === this.#lastId) return;
    this.#lastId = cursor;
    // A client that loses its connection before the first message comes back to this place.
    // A snapshot that a `joined` hook sent must not end it here, however much that was.
    this.put(this.form.coding.encode(encodeId(cursor)));
  }

  protected override leave(): void {
    this.#part();
    if (!this.#shared.streams.delete(this)) return;
    for (const part of this.#parts.values()) part.access.subscriber.disconnect();
    this.#connection.disconnect();
  }
}

/** Whether a stream of these channels stays where its connection is full. */
export function mayLag(accesses: readonly Access[]): boolean {
  return accesses.every(({ channel }) => channel.slow !== "disconnect");
}

/** Who starts live, and may not lag, has no history to be paced through: without `pull` a batch costs less. */
export class ResumingSseManyStream extends SseManyStream {
  pull(): void {
    this.drained();
  }
}
