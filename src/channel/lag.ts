/** Subscribers whose connections are full: what becomes of them, and where they go on. */
import type { Channel } from "./channel.ts";
import type { Reading } from "./catch-up.ts";
import type { CursorLimit, Gap, Step } from "./cursor.ts";
import type { LagBudget } from "./lag-budget.ts";
import { LagWindow } from "./lag-window.ts";
import type { Message } from "./message.ts";
import { formatPosition } from "./position.ts";

/**
 * What becomes of a subscriber whose connection is full: it is disconnected and comes back with its
 * position; or it lags, and goes on when there is room with the newest that `limits.buffer` holds, or with
 * the newest of each key.
 */
export type SlowPolicy = (typeof SLOW_POLICIES)[number];

export const SLOW_POLICIES = ["disconnect", "drop-oldest", "latest"] as const;

/** The subscribers of one channel that lag. All of them, on all transports, share one window a policy. */
export class Laggards {
  /** How many there are. */
  size = 0;
  /** Messages that were dropped for them, counted for each that was told of it. */
  dropped = 0;
  readonly budget: LagBudget;

  constructor(budget: LagBudget) {
    this.budget = budget;
  }

  /**
   * Lets a subscriber lag. MUST be called within a delivery, when the subscriber has left its group.
   *
   * To join this group within a delivery is safe, as it is not for others (see `FanOut.isDelivering`): it
   * sends nothing, so nobody gets a batch twice; and the batch under way is taken in here, so nobody
   * misses it.
   *
   * @param batch The batch that its connection has no room for, the first that it has not got.
   * @param connection What is full: the same for all subscriptions of a socket.
   */
  begin(
    channel: Channel,
    policy: SlowPolicy,
    batch: readonly Message[],
    connection: object,
  ): LagCursor {
    const window = channel.fanOut.group(
      `lag/${policy}`,
      () => new LagWindow(policy === "latest", this.budget),
    );
    const cursor = new LagCursor(channel, window, batch[0]!.offset - 1, connection);
    window.cover(batch);
    return cursor;
  }
}

/** The place of one subscriber that lags. */
export class LagCursor implements Reading {
  readonly #channel: Channel;
  readonly #window: LagWindow;
  readonly #connection: object;
  #offset: number;
  #isOpen = true;

  constructor(channel: Channel, window: LagWindow, offset: number, connection: object) {
    this.#channel = channel;
    this.#window = window;
    this.#offset = offset;
    this.#connection = connection;
    window.size++;
    channel.laggards.size++;
    channel.laggards.budget.enter(connection);
  }

  /** Position after which the next read starts. */
  get position(): string {
    return formatPosition(this.#channel.log.epoch, this.#offset);
  }

  /** Whether everything that the fan-out has sent was read, and every gap told. */
  get isLevel(): boolean {
    return this.#offset === this.#channel.fanOut.flushed;
  }

  /** Reads up to the next hole, which the read after it tells of. MUST NOT be called within a delivery. */
  read({ count, bytes, isAligned = false }: CursorLimit): Step {
    const most = isAligned ? count - (this.#offset % count) : count;
    const messages = this.#window.read(this.#offset, most, bytes);
    const gap = this.#skipTo((messages[0]?.offset ?? this.#channel.fanOut.flushed + 1) - 1);
    const last = messages[messages.length - 1];
    if (last) this.#offset = last.offset;
    return { gap, messages };
  }

  /** Takes back what was read but could not be given: the next read starts with this message. */
  rewind({ offset }: Message): void {
    this.#offset = offset - 1;
  }

  /** What a reader that reads no further never gets; null where it is level. */
  rest(): Gap | null {
    return this.#skipTo(this.#channel.fanOut.flushed);
  }

  /** The subscriber is level, or gone. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#window.leave();
    const { laggards } = this.#channel;
    laggards.size--;
    laggards.budget.leave(this.#connection);
  }

  #skipTo(offset: number): Gap | null {
    if (offset === this.#offset) return null;
    const after = this.position;
    this.#channel.laggards.dropped += offset - this.#offset;
    this.#offset = offset;
    return { after, id: this.position };
  }
}
