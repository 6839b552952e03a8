/** Subscribers that are level with the same channels: each batch is encoded once for all of them. */
import type { Channel } from "../channel/channel.ts";
import type { FanOutGroup } from "../channel/fan-out.ts";
import type { Place } from "../channel/lane.ts";
import type { Message } from "../channel/message.ts";
import { cursorsOf, formatCursor } from "./cursor-text.ts";

/** Numbers channels: a channel that was let go of and came back is another one of the same name. */
const numbers = new WeakMap<Channel, number>();
let lastNumber = 0;

function numberOf(channel: Channel): number {
  let number = numbers.get(channel);
  if (number === undefined) numbers.set(channel, (number = ++lastNumber));
  return number;
}

/** Writes one batch of one channel to all members of a crowd. */
export type DeliverToCrowd<M> = (
  members: Set<M>,
  batch: readonly Message[],
  cursorAfter: (message: Message) => string,
) => void;

/** The crowds of one transport, by the channels that their members are subscribed to. */
export class Crowds<M> {
  readonly #name: string;
  readonly #deliver: DeliverToCrowd<M>;
  readonly #crowds = new Map<string, Crowd<M>>();

  constructor(name: string, deliver: DeliverToCrowd<M>) {
    this.#name = name;
    this.#deliver = deliver;
  }

  /**
   * Adds a member. It MUST be level with all of these channels, and none of them may be delivering.
   *
   * @param channels Sorted by name.
   */
  join(member: M, channels: readonly Channel[]): Crowd<M> {
    const key = `${this.#name}/${channels.map(numberOf).join()}`;
    let crowd = this.#crowds.get(key);
    if (!crowd) {
      crowd = new Crowd(channels, this.#deliver, () => this.#crowds.delete(key));
      this.#crowds.set(key, crowd);
      for (const [index, { fanOut }] of channels.entries()) {
        // One that an earlier crowd of these channels left there goes on for this one.
        fanOut.group(key, () => new Feed(this.#crowds, key, index));
      }
    }
    crowd.members.add(member);
    return crowd;
  }
}

/** A crowd's part in one channel's fan-out. It may outlive the crowd, and serve the next one. */
class Feed<M> implements FanOutGroup {
  readonly #crowds: ReadonlyMap<string, Crowd<M>>;
  readonly #key: string;
  readonly #index: number;

  constructor(crowds: ReadonlyMap<string, Crowd<M>>, key: string, index: number) {
    this.#crowds = crowds;
    this.#key = key;
    this.#index = index;
  }

  get size(): number {
    return this.#crowds.get(this.#key)?.members.size ?? 0;
  }

  deliver(batch: readonly Message[]): void {
    this.#crowds.get(this.#key)?.deliver(this.#index, batch);
  }
}

export class Crowd<M> {
  readonly members = new Set<M>();
  readonly #places: { readonly name: string; place: Place }[];
  readonly #deliver: DeliverToCrowd<M>;
  readonly #onEmpty: () => void;
  readonly #afterDelivery: (() => void)[] = [];
  readonly #waiting: { readonly index: number; readonly batch: readonly Message[] }[] = [];

  constructor(channels: readonly Channel[], deliver: DeliverToCrowd<M>, onEmpty: () => void) {
    this.#places = channels.map(({ name, log, fanOut }) => ({
      name,
      place: { position: { epoch: log.epoch, offset: fanOut.flushed }, isSilent: false },
    }));
    this.#deliver = deliver;
    this.#onEmpty = onEmpty;
  }

  /** Where every member is. */
  get cursor(): string {
    return formatCursor(this.#places);
  }

  leave(member: M): void {
    if (this.members.delete(member) && this.members.size === 0) this.#onEmpty();
  }

  deliver(index: number, batch: readonly Message[]): void {
    this.#waiting.push({ index, batch });
    // Should one channel be flushed within the delivery of another, all members have this batch first.
    if (this.#waiting.length > 1) return;
    for (let next; (next = this.#waiting[0]); this.#waiting.shift()) {
      this.#send(next.index, next.batch);
    }
    for (let then; (then = this.#afterDelivery.shift());) then();
  }

  /** Some members have had a batch, others not yet: nobody may leave for another crowd now. */
  get isDelivering(): boolean {
    return this.#waiting.length > 0;
  }

  /** Calls `then` once all members have had what is being delivered. MUST NOT throw. */
  afterDelivery(then: () => void): void {
    this.#afterDelivery.push(then);
  }

  #send(index: number, batch: readonly Message[]): void {
    const entry = this.#places[index]!;
    const { epoch } = entry.place.position;
    const cursorAfter = cursorsOf(this.#places, entry.name);
    // Kept here, and not asked of the fan-outs: another channel may be about to deliver as well.
    const last = batch[batch.length - 1]!;
    entry.place = { position: { epoch, offset: last.offset }, isSilent: false };
    this.#deliver(this.members, batch, ({ offset }) => cursorAfter({ epoch, offset }));
  }
}
