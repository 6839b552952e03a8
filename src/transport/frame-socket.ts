/** A WebSocket that speaks `tidewire.v1`: JSON frames, for one channel or for many (DESIGN §5). */
import type { MaybePromise } from "../channel/log.ts";
import { accessOf } from "./access.ts";
import { Answers } from "./answers.ts";
import { isWorthDeflating, type OpenSocket, type SocketContext } from "./socket-group.ts";
import { ackOf, publishFrame, termsOf, type FrameAnswers } from "./frame-publish.ts";
import { FrameQueue, inTurn, type Taken } from "./frame-queue.ts";
import { FrameError, parseFrame, startOf, type ClientFrame, type Ref } from "./frame.ts";
import { FrameSubscription } from "./frame-subscription.ts";
import { hasRoomForHistory, isTooFull } from "./send-frames.ts";
import { CLOSE, RequestError } from "./errors.ts";
import type { Start } from "../channel/position.ts";
import { checkStart } from "./start.ts";
import {
  alreadySubscribed,
  notSubscribed,
  otherChannel,
  tooManySubscriptions,
} from "./subscription-errors.ts";
import { dataMembers } from "./text.ts";
import type {
  Access,
  Exchange,
  Listener,
  ManyExchange,
  Socket,
  SocketHandlers,
  Submitted,
  SubscriberWays,
} from "./transport.ts";

/** The subprotocol's name (RFC 6455 §1.9). */
export const PROTOCOL = "tidewire.v1";

/** A frame and the channel that it is for. */
interface Named {
  readonly name: string;
  readonly frame: ClientFrame;
}

export class FrameSocket implements SocketHandlers, OpenSocket, FrameAnswers {
  readonly context: SocketContext;
  readonly listener: Listener;
  readonly #channels: Pick<ManyExchange, "nameOf" | "open">;
  /** The channel whose URL this is, subscribed to from the start; null on a socket for many. */
  readonly #own: { readonly access: Access; readonly start: Start } | null;
  readonly #subscriptions = new Map<string, FrameSubscription>();
  #socket: Socket | null = null;
  #frames: FrameQueue<Named> | null = null;
  #answers: Answers | null = null;
  /** It ends when what it was sent is answered, and takes no more. */
  #isLeaving = false;

  private constructor(
    listener: Listener,
    own: { readonly access: Access; readonly start: Start } | null,
    channels: Pick<ManyExchange, "nameOf" | "open">,
    context: SocketContext,
  ) {
    this.listener = listener;
    this.#own = own;
    this.#channels = channels;
    this.context = context;
  }

  /** A socket on a channel's URL: subscribed to it from the request's start. */
  static forChannel(exchange: Exchange, context: SocketContext): FrameSocket {
    const access = accessOf(exchange);
    const { name } = access.channel;
    const { reopen } = exchange;
    const open: ManyExchange["open"] = (asked, action, ways) => {
      if (asked === name) return reopen(action, ways);
      throw otherChannel(name);
    };
    const own = { access, start: exchange.start };
    return new FrameSocket(exchange.listener, own, { nameOf: (asked) => asked, open }, context);
  }

  /** A socket at `/channels`. */
  static forMany({ listener, nameOf, open }: ManyExchange, context: SocketContext): FrameSocket {
    return new FrameSocket(listener, null, { nameOf, open }, context);
  }

  /** Whether it is for many channels. */
  get hasMany(): boolean {
    return this.#own === null;
  }

  /** Channels that it is subscribed to. */
  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  get socket(): Socket {
    return this.#socket!;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.context.sockets.add(this);
    if (this.#own) this.#subscribe(this.#own.access, this.#own.start, undefined);
  }

  message(socket: Socket, data: string | Uint8Array): void {
    if (this.#isLeaving) return;
    let ref: Ref;
    try {
      const frame = parseFrame(data);
      ref = frame.ref;
      const name = this.#nameOf(frame);
      this.#frames ??= new FrameQueue((named, before) => this.#take(named, before));
      // A hook that takes its time for one channel holds up no other.
      const isAlone = frame.type !== "publish" || termsOf(frame) !== undefined;
      this.#frames.push(socket, { name, frame }, data.length, name, isAlone);
    } catch (error) {
      this.refuse(error, error instanceof FrameError ? error.ref : ref);
    }
  }

  drain(socket: Socket): void {
    if (!hasRoomForHistory(socket, this.context)) return;
    const behind = [...this.#subscriptions].filter(([, subscription]) => subscription.isBehind);
    for (const [, subscription] of behind) subscription.drained();
    // Another one is first the next time: one that always has more would leave no room for the others.
    const [first] = behind;
    if (first && this.#subscriptions.delete(first[0])) this.#subscriptions.set(...first);
  }

  close(): void {
    this.#leave();
    this.#socket = null;
  }

  /** How hooks of one channel answer this client. */
  ways(channel: string): SubscriberWays {
    return {
      send: (data, event) => this.write({ type: "message", channel, event, ...dataMembers(data) }),
      close: (code, reason) => this.end(code, reason),
      gone: (reason) => {
        this.#subscriptions.get(channel)?.giveUp();
        if (this.hasMany) this.drop(channel, "channel-gone", reason);
        else this.end(CLOSE.gone, reason);
      },
    };
  }

  /** Sends a frame to this client. */
  write(frame: Record<string, unknown>): void {
    this.#flushAnswers();
    this.#send(JSON.stringify(frame));
  }

  #flushAnswers(): void {
    if (this.#answers && this.#socket) this.#answers.flush(this.#socket);
  }

  #send(text: string): void {
    const socket = this.#socket;
    if (!socket || socket.send(text, isWorthDeflating(this.context, text)) > 0) return;
    // Nobody paces what is answered to a client's frames.
    if (isTooFull(socket, this.context)) this.tooSlow();
  }

  end(code: number, reason: string): void {
    this.#flushAnswers();
    this.#leave();
    this.#socket?.close(code, reason);
  }

  /** Ends it once each frame that it has taken is answered: a publish that was committed, above all. */
  goAway(code: number, reason: string): void {
    this.#isLeaving = true;
    this.#leave();
    const end = () => this.end(code, reason);
    if (this.#frames) this.#frames.whenIdle(end);
    else end();
  }

  /** Ends the subscription to one channel, and tells why. */
  drop(name: string, code: string, message: string): void {
    this.#subscriptions.get(name)?.leave();
    this.#subscriptions.delete(name);
    this.write({ type: "error", channel: name, code, message });
  }

  /** @throws {RequestError} When the frame names no channel, or one that there is not. */
  #nameOf({ channel, ref }: ClientFrame): string {
    if (channel !== null) return this.#channels.nameOf(channel);
    if (this.#own) return this.#own.access.channel.name;
    throw new FrameError(`a publish frame here needs "channel"`, ref);
  }

  #take({ name, frame }: Named, before: Promise<void> | null): MaybePromise<Taken> {
    // A client that stops at a refusal has to know what became of the frames before it.
    const refuse = (error: unknown) => inTurn(before, () => this.refuse(error, frame.ref));
    try {
      const work = this.#handle(name, frame, before);
      return work instanceof Promise ? work.catch(refuse) : work;
    } catch (error) {
      // The next waits for it too, so that it is answered behind it.
      return refuse(error);
    }
  }

  refuse(error: unknown, ref: Ref): void {
    const { code, message, extra } =
      error instanceof RequestError
        ? error
        : { code: "internal", message: "the frame could not be handled", extra: {} };
    this.write({ type: "error", ref, code, message, ...extra });
  }

  #handle(name: string, frame: ClientFrame, before: Promise<void> | null): MaybePromise<Taken> {
    if (frame.type === "unsubscribe") return this.#unsubscribe(name, frame.ref);
    if (frame.type === "subscribe") this.#checkRoom();
    const access =
      this.#subscriptions.get(name)?.access ??
      this.#channels.open(name, frame.type, this.ways(name));
    return access instanceof Promise
      ? access.then((opened) => this.#serve(opened, frame, before))
      : this.#serve(access, frame, before);
  }

  #serve(
    access: Access,
    frame: Exclude<ClientFrame, { type: "unsubscribe" }>,
    before: Promise<void> | null,
  ): MaybePromise<Taken> {
    if (this.#socket === null) return;
    if (frame.type === "publish") return publishFrame(frame, access, this, before);
    const start = startOf(frame);
    const { name, log } = access.channel;
    checkStart(start, name, log.keepsState);
    return this.#subscribe(access, start, frame.ref);
  }

  acknowledge(submitted: Submitted, ref: Ref): void {
    if (ref === undefined) return;
    this.#flushAnswers();
    this.#send(ackOf(submitted, ref));
  }

  acknowledgeLate(submitted: Submitted, ref: Ref): void {
    if (ref === undefined || this.#socket === null) return;
    this.#answers ??= new Answers((text) => this.#send(text));
    this.#answers.push(this.#socket, ackOf(submitted, ref));
  }

  #checkRoom(): void {
    const { subscriptions: limit } = this.context.options.limits;
    if (this.#subscriptions.size < limit) return;
    throw tooManySubscriptions(limit);
  }

  #subscribe(access: Access, start: Start, ref: Ref): void {
    const { name } = access.channel;
    if (this.#subscriptions.has(name)) throw alreadySubscribed(name);
    // Others may have been opened since it was looked at.
    this.#checkRoom();
    const subscription = new FrameSubscription(this, access, start, ref);
    this.#subscriptions.set(name, subscription);
    subscription.run();
  }

  #unsubscribe(name: string, ref: Ref): void {
    const subscription = this.#subscriptions.get(name);
    if (!subscription) throw notSubscribed(name);
    subscription.leave();
    this.#subscriptions.delete(name);
    this.write({ type: "unsubscribed", channel: name, ref });
  }

  #leave(): void {
    for (const subscription of this.#subscriptions.values()) subscription.leave();
    this.#subscriptions.clear();
    this.context.sockets.delete(this);
  }

  /** The client read too slowly: all its subscriptions end with the socket. */
  tooSlow(): void {
    this.end(CLOSE.slowConsumer, "slow consumer: come back with your last positions");
  }
}
