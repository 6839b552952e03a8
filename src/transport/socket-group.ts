/** Sockets that get the same frames: sent natively, one write a socket and turn. */
import { costOf, type FanOutGroup } from "../channel/fan-out.ts";
import type { Message } from "../channel/message.ts";
import type { PageCache } from "./page-cache.ts";
import type { Listener, Socket, TransportOptions } from "./transport.ts";

/**
 * Bytes of one batch that are compressed, for all sockets together: each has it compressed by itself, at 10 to
 * 30 ms a MiB, and everybody else waits for that. What is more is sent as it is.
 */
const MAX_DEFLATED_BYTES = 16 * 1024 ** 2;

/** A socket that can be told to go, such as when the server stops. */
export interface OpenSocket {
  end(code: number, reason: string): void;
}

/** What all sockets of a transport share. */
export interface SocketContext {
  readonly options: TransportOptions;
  readonly sockets: Set<OpenSocket>;
  /** Bytes of frames that went to groups with sockets for many channels. */
  readonly sentToMany: { bytes: number };
  /** History as frames. */
  readonly pages: PageCache<readonly (string | Uint8Array)[]>;
}

/** A member of a group. */
export interface GroupSocket {
  readonly socket: Socket;
  /** The socket may be in groups of other channels too, which fill the same buffer. */
  readonly hasMany: boolean;
  /**
   * The socket's unsent bytes are over the limit, before this batch was sent to it. The member MUST leave
   * the group, whether it lags or ends.
   */
  tooSlow(batch: readonly Message[]): void;
}

export class SocketGroup implements FanOutGroup {
  readonly #listener: Listener;
  readonly #name: string;
  readonly #encode: (message: Message) => string | Uint8Array;
  readonly #context: SocketContext;
  readonly #sentToMany: { bytes: number };
  /** Unsent bytes of a socket that is too slow. */
  readonly #limit: number;
  /** Bytes after which the members are looked at again. */
  readonly #interval: number;
  /** Sockets for this channel alone, and bytes sent to them since they were last looked at. */
  readonly #single = new Set<GroupSocket>();
  #sent = 0;
  /** Sockets for many channels, and where `sentToMany` stood when they were last looked at. */
  readonly #many = new Set<GroupSocket>();
  #lookedAt = 0;

  /** @param name The channel's and the framing's: one for all groups of the listener. */
  constructor(
    listener: Listener,
    name: string,
    encode: (message: Message) => string | Uint8Array,
    context: SocketContext,
  ) {
    const { options, sentToMany } = context;
    this.#listener = listener;
    this.#context = context;
    this.#name = name;
    this.#encode = encode;
    this.#sentToMany = sentToMany;
    // What is sent until the next look fits into the quarter that is left.
    this.#limit = options.bufferBytes * 0.75;
    this.#interval = options.bufferBytes * 0.25;
  }

  get size(): number {
    return this.#single.size + this.#many.size;
  }

  add(member: GroupSocket): void {
    member.socket.subscribe(this.#name);
    if (!member.hasMany) return void this.#single.add(member);
    this.#many.add(member);
    // Its other groups may have sent it much: it is looked at with the next batch.
    this.#lookedAt = -Infinity;
  }

  delete(member: GroupSocket): void {
    const { socket } = member;
    if (!this.#single.delete(member) && !this.#many.delete(member)) return;
    if (socket.readyState === 1) socket.unsubscribe(this.#name);
  }

  deliver(batch: readonly Message[]): void {
    // Looking at a socket costs a call, so it is done once for every quarter of a buffer; this batch is a part
    // of it, for it may be as large.
    const due = batch.reduce((sum, message) => sum + costOf(message), 0);
    if (this.#sent + due > this.#interval) {
      this.#sent = 0;
      this.#endSlow(this.#single, batch);
    }
    const toMany = this.#sentToMany;
    if (this.#many.size > 0 && toMany.bytes + due - this.#lookedAt > this.#interval) {
      this.#lookedAt = toMany.bytes;
      this.#endSlow(this.#many, batch);
    }
    let bytes = 0;
    let toDeflate = MAX_DEFLATED_BYTES / this.size;
    for (const message of batch) {
      const frame = this.#encode(message);
      const frameBytes = Buffer.byteLength(frame);
      const isDeflated = frameBytes <= toDeflate && isWorthDeflating(this.#context, frame);
      if (isDeflated) toDeflate -= frameBytes;
      bytes += frameBytes;
      this.#listener.publish(this.#name, frame, isDeflated);
    }
    this.#sent += bytes;
    if (this.#many.size > 0) toMany.bytes += bytes;
  }

  #endSlow(members: Iterable<GroupSocket>, batch: readonly Message[]): void {
    for (const member of members) {
      if (member.socket.getBufferedAmount() > this.#limit) member.tooSlow(batch);
    }
  }
}

/** Whether a client that can take it so gets this frame compressed. Bytes mostly are already. */
export function isWorthDeflating({ options }: SocketContext, frame: string | Uint8Array): boolean {
  return typeof frame === "string" && frame.length >= (options.codings?.minFrameBytes ?? Infinity);
}

/** Key of a channel's group with this framing; one listener takes all WebSockets. */
export function groupKey(framing: "raw" | "v1"): string {
  return `websocket/${framing}`;
}
