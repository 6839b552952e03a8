/** Sockets that get the same frames: sent natively, one write a socket and turn. */
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { Message } from "../channel/message.ts";
import type { Listener, Socket } from "./transport.ts";

/** A socket that can be told to go, such as when the server stops. */
export interface OpenSocket {
  end(code: number, reason: string): void;
}

/** A member of a group. */
export interface GroupSocket {
  readonly socket: Socket;
  /** The socket's unsent bytes are over the limit. */
  tooSlow(): void;
}

export class SocketGroup implements FanOutGroup {
  readonly #members = new Set<GroupSocket>();
  readonly #listener: Listener;
  readonly #topic: string;
  readonly #encode: (message: Message) => string | Uint8Array;
  readonly #limit: number;
  /** Bytes sent to each member since the members were last looked at. */
  #sent = 0;

  constructor(
    listener: Listener,
    topic: string,
    encode: (message: Message) => string | Uint8Array,
    bufferBytes: number,
  ) {
    this.#listener = listener;
    this.#topic = topic;
    this.#encode = encode;
    // Three quarters: what is sent until the next look stays within the limit, beyond which the
    // listener cuts the socket off without a close code.
    this.#limit = bufferBytes * 0.75;
  }

  get size(): number {
    return this.#members.size;
  }

  add(member: GroupSocket): void {
    this.#members.add(member);
    member.socket.subscribe(this.#topic);
  }

  delete(member: GroupSocket): void {
    if (!this.#members.delete(member)) return;
    if (member.socket.readyState === 1) member.socket.unsubscribe(this.#topic);
  }

  deliver(batch: readonly Message[]): void {
    // Looking at a socket costs a call, so it is done once for every quarter of a buffer.
    if (this.#sent >= this.#limit / 3) this.#closeSlow();
    for (const message of batch) {
      const frame = this.#encode(message);
      this.#sent += frame.length;
      this.#listener.publish(this.#topic, frame);
    }
  }

  #closeSlow(): void {
    this.#sent = 0;
    for (const member of this.#members) {
      if (member.socket.getBufferedAmount() > this.#limit) member.tooSlow();
    }
  }
}

/** The group of one channel, framing and listener. */
export function groupKey(framing: "raw" | "v1"): string {
  return `websocket/${framing}`;
}
