/** Sockets that get the same frames: sent natively, one write a socket and turn. */
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { Message } from "../channel/message.ts";
import type { Listener, Socket, TransportOptions } from "./transport.ts";

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
}

/** A member of a group. */
export interface GroupSocket {
  readonly socket: Socket;
  /** The socket may be in groups of other channels too, which fill the same buffer. */
  readonly hasMany: boolean;
  /** The socket's unsent bytes are over the limit. */
  tooSlow(): void;
}

export class SocketGroup implements FanOutGroup {
  readonly #listener: Listener;
  readonly #name: string;
  readonly #encode: (message: Message) => string | Uint8Array;
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
    { options, sentToMany }: SocketContext,
  ) {
    this.#listener = listener;
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
    // Looking at a socket costs a call, so it is done once for every quarter of a buffer.
    if (this.#sent >= this.#interval) {
      this.#sent = 0;
      this.#closeSlow(this.#single);
    }
    const toMany = this.#sentToMany;
    if (this.#many.size > 0 && toMany.bytes - this.#lookedAt >= this.#interval) {
      this.#lookedAt = toMany.bytes;
      this.#closeSlow(this.#many);
    }
    let bytes = 0;
    for (const message of batch) {
      const frame = this.#encode(message);
      bytes += Buffer.byteLength(frame);
      this.#listener.publish(this.#name, frame);
    }
    this.#sent += bytes;
    if (this.#many.size > 0) toMany.bytes += bytes;
  }

  #closeSlow(members: Iterable<GroupSocket>): void {
    for (const member of members) {
      if (member.socket.getBufferedAmount() > this.#limit) member.tooSlow();
    }
  }
}

/** Key of a channel's group with this framing; one listener takes all WebSockets. */
export function groupKey(framing: "raw" | "v1"): string {
  return `websocket/${framing}`;
}
