/** One channel of an event stream that carries many. */
import type { FanOutGroup } from "../channel/fan-out.ts";
import { Lane } from "../channel/lane.ts";
import type { Message } from "../channel/message.ts";
import { encodeUnnumbered } from "./event-stream.ts";
import { dataMembers } from "./text.ts";
import type { Access, MergedExchange, SubscriberWays } from "./transport.ts";

/** The stream that it is a part of. */
export interface PartOwner {
  take(batch: readonly Message[]): void;
  write(text: string): void;
  end(): void;
  /** This channel is no more. */
  drop(part: Part, reason: string): void;
}

export class Part implements SubscriberWays {
  readonly access: Access;
  lane: Lane | null = null;
  readonly #stream: PartOwner;
  #group: AloneGroup | null = null;
  #isLagging = false;

  constructor(stream: PartOwner, access: Access) {
    this.#stream = stream;
    this.access = access;
  }

  begin(startOf: MergedExchange["startOf"]): void {
    const { channel } = this.access;
    this.lane = new Lane(channel, startOf(channel.name, channel));
  }

  /** Hears the channel live, by itself. */
  join(): void {
    this.leave();
    const { fanOut } = this.access.channel;
    this.#group = fanOut.group("sse-many", () => new AloneGroup());
    this.#group.members.add(this);
  }

  leave(): void {
    this.#group?.members.delete(this);
    this.#group = null;
    if (!this.#isLagging) return;
    this.#isLagging = false;
    this.access.channel.laggards.size--;
  }

  /** Counts as one that lags until it is live again, or gone. It has to have left. */
  lag(): void {
    this.#isLagging = true;
    this.access.channel.laggards.size++;
  }

  take(batch: readonly Message[]): void {
    this.#stream.take(batch);
  }

  send(data: unknown, event?: string): void {
    const { name } = this.access.channel;
    const envelope = JSON.stringify({ channel: name, event, ...dataMembers(data) });
    this.#stream.write(encodeUnnumbered(envelope, event));
  }

  close(): void {
    this.#stream.end();
  }

  gone(reason: string): void {
    this.#stream.drop(this, reason);
  }
}

/** Streams that hear one channel live while they catch up with others: each has a cursor of its own. */
class AloneGroup implements FanOutGroup {
  readonly members = new Set<Part>();

  get size(): number {
    return this.members.size;
  }

  deliver(batch: readonly Message[]): void {
    for (const member of this.members) member.take(batch);
  }
}
