/** One channel on a `tidewire.v1` socket. */
import { CatchUp, pageOf, type Receiver } from "../channel/catch-up.ts";
import type { Gap } from "../channel/cursor.ts";
import type { Message } from "../channel/message.ts";
import { formatPosition, type Start } from "../channel/position.ts";
import { encodeFrame } from "./envelope.ts";
import type { FrameSocket } from "./frame-socket.ts";
import type { Ref } from "./frame.ts";
import { groupKey, SocketGroup, type GroupSocket } from "./socket-group.ts";
import type { Access, Socket } from "./transport.ts";

export class FrameSubscription implements Receiver, GroupSocket {
  readonly access: Access;
  readonly #owner: FrameSocket;
  readonly #ref: Ref;
  /** The client showed a position: whether it was recovered is worth telling. */
  readonly #resumes: boolean;
  #catchUp: CatchUp | null;
  #group: SocketGroup | null = null;
  #isTold = false;
  #isGone = false;

  constructor(owner: FrameSocket, access: Access, start: Start, ref: Ref) {
    this.access = access;
    this.#owner = owner;
    this.#ref = ref;
    this.#resumes = start.from === "after";
    this.#catchUp = new CatchUp(
      access.channel,
      this,
      start,
      pageOf(owner.context.options.bufferBytes),
    );
  }

  get hasMany(): boolean {
    return this.#owner.hasMany;
  }

  get socket(): Socket {
    return this.#owner.socket;
  }

  run(): void {
    const { subscriber, channel } = this.access;
    subscriber.connect(this.#owner.ways(channel.name));
    this.#catchUp?.run();
  }

  drained(): void {
    this.#catchUp?.drained();
  }

  gap(gap: Gap): void {
    this.#tell(gap.id, false);
    this.#owner.write({ type: "gap", channel: this.access.channel.name, ...gap });
  }

  /** The other half of the buffer is for what is published when it has just caught up. */
  get hasRoom(): boolean {
    return this.socket.getBufferedAmount() * 2 < this.#owner.context.options.bufferBytes;
  }

  replay(batch: readonly Message[]): number {
    this.#tell(formatPosition(this.access.channel.log.epoch, batch[0]!.offset - 1), this.#resumes);
    let taken = 0;
    do this.socket.send(encodeFrame(batch[taken++]!), false);
    while (taken < batch.length && this.hasRoom);
    return taken;
  }

  live(position: string): void {
    this.#catchUp = null;
    this.#tell(position, this.#resumes);
    // The socket was full, and ended with this.
    if (this.#isGone) return;
    const { listener, context } = this.#owner;
    const { channel } = this.access;
    this.#group = channel.fanOut.group(
      groupKey("v1"),
      () => new SocketGroup(listener, `v1/${channel.name}`, encodeFrame, context),
    );
    this.#group.add(this);
  }

  fail(): void {
    const { name } = this.access.channel;
    this.#owner.drop(name, "history", `the history of channel "${name}" can't be read now`);
  }

  tooSlow(): void {
    this.#owner.tooSlow();
  }

  leave(): void {
    this.#isGone = true;
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.#group?.delete(this);
    this.#group = null;
    this.access.subscriber.disconnect();
  }

  /** Says that the subscription stands, once, before anything is delivered. */
  #tell(id: string, recovered: boolean): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const { name } = this.access.channel;
    this.#owner.write({ type: "subscribed", channel: name, id, recovered, ref: this.#ref });
  }
}
