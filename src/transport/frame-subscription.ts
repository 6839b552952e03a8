/** One channel on a `tidewire.v1` socket. */
import { CatchUp, pageOf, type Receiver } from "../channel/catch-up.ts";
import type { Gap } from "../channel/cursor.ts";
import type { SlowPolicy } from "../channel/lag.ts";
import type { Message } from "../channel/message.ts";
import { formatPosition, type Start } from "../channel/position.ts";
import { encodeFrame } from "./envelope.ts";
import type { FrameSocket } from "./frame-socket.ts";
import type { Ref } from "./frame.ts";
import { hasRoomForHistory, sendFrames } from "./send-frames.ts";
import { groupKey, SocketGroup, type GroupSocket } from "./socket-group.ts";
import type { Access, Socket } from "./transport.ts";

export class FrameSubscription implements Receiver, GroupSocket {
  readonly access: Access;
  readonly #owner: FrameSocket;
  readonly #ref: Ref;
  /** The client showed a position: whether it was recovered is worth telling. */
  readonly #resumes: boolean;
  readonly #slow: SlowPolicy;
  #catchUp: CatchUp | null;
  #group: SocketGroup | null = null;
  /** It is told where the state is complete, unless there is a gap before. */
  #awaitsState: boolean;
  #isTold = false;
  #isGone = false;

  constructor(owner: FrameSocket, access: Access, start: Start, ref: Ref) {
    this.access = access;
    this.#owner = owner;
    this.#ref = ref;
    this.#resumes = start.from === "after" || (start.from === "state" && start.place !== null);
    this.#awaitsState = start.from === "state";
    this.#slow = access.channel.slow;
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

  /** It is not live: it catches up, or lags. */
  get isBehind(): boolean {
    return this.#catchUp !== null;
  }

  drained(): void {
    this.#catchUp?.drained();
  }

  gap(gap: Gap): void {
    this.#tell(gap.id, false);
    // What is lost may be of the state.
    this.#awaitsState = false;
    this.#owner.write({ type: "gap", channel: this.access.channel.name, ...gap });
  }

  get hasRoom(): boolean {
    return hasRoomForHistory(this.socket, this.#owner.context);
  }

  replay(batch: readonly Message[]): number {
    this.#tell(formatPosition(this.access.channel.log.epoch, batch[0]!.offset - 1), this.#resumes);
    const frames = this.#owner.context.pages.get(this.access.channel, "v1", batch, encodeFrames);
    return sendFrames(this.socket, frames, this.#owner.context);
  }

  live(position: string): void {
    this.#catchUp = null;
    this.#tell(position, this.#resumes);
    if (this.#awaitsState) this.#tellState(position);
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

  /** Each subscription of a socket lags by itself; one that may not lag ends the socket with all of them. */
  tooSlow(batch: readonly Message[]): void {
    if (this.#slow === "disconnect") return this.#owner.tooSlow();
    const { channel } = this.access;
    this.#group?.delete(this);
    this.#group = null;
    const lag = channel.laggards.begin(channel, this.#slow, batch, this.#owner);
    this.#catchUp = new CatchUp(
      channel,
      this,
      lag,
      pageOf(this.#owner.context.options.bufferBytes),
    );
    this.#catchUp.run();
  }

  /** The channel is gone: tells what the client never got of it. */
  giveUp(): void {
    const rest = this.#catchUp?.giveUp() ?? null;
    this.#catchUp = null;
    if (rest !== null) this.gap(rest);
  }

  leave(): void {
    this.#isGone = true;
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.#group?.delete(this);
    this.#group = null;
    this.access.subscriber.disconnect();
  }

  /** The last message of the state may be far behind: where to come back to is told with it. */
  #tellState(id: string): void {
    this.#awaitsState = false;
    this.#owner.write({ type: "state", channel: this.access.channel.name, id });
  }

  /** Says that the subscription stands, once, before anything is delivered. */
  #tell(id: string, recovered: boolean): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const { name } = this.access.channel;
    this.#owner.write({ type: "subscribed", channel: name, id, recovered, ref: this.#ref });
  }
}

function encodeFrames(batch: readonly Message[]): readonly string[] {
  return batch.map(encodeFrame);
}
