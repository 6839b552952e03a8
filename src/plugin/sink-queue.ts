/** What waits for the `sink` hook of one plugin: bounded, in order, one call at a time. */
import type { Message } from "../channel/message.ts";
import { isSameTrail, withTrail } from "../channel/trail.ts";
import { atTurnEnd, type TurnWork } from "../channel/turn.ts";
import type { Reports } from "./reports.ts";
import type { CommittedMessage } from "./sdk.ts";

export interface SinkLimits {
  /** Messages that may wait. */
  readonly messages: number;
  /** Bytes of data that may wait; one message is let in whatever its size. */
  readonly bytes: number;
}

export const SINK_LIMITS: SinkLimits = { messages: 10_000, bytes: 16 * 1024 ** 2 };

export class SinkQueue implements TurnWork {
  readonly #sink: (messages: readonly CommittedMessage[]) => unknown;
  readonly #reports: Reports;
  readonly #limits: SinkLimits;
  /** The waiting messages are `#waiting[#head]` and on. */
  #waiting: (Message | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  /** Messages wait that came from another channel. */
  #hasTrails = false;
  #running = false;
  #queued = false;
  #stopped = false;
  /** Messages dropped since the sink fell behind; 0 while it keeps up. */
  #behind = 0;
  #idle: (() => void)[] = [];

  constructor(
    sink: (messages: readonly CommittedMessage[]) => unknown,
    reports: Reports,
    limits: SinkLimits = SINK_LIMITS,
  ) {
    this.#sink = sink;
    this.#reports = reports;
    this.#limits = limits;
  }

  get size(): number {
    return this.#waiting.length - this.#head;
  }

  push(batch: readonly Message[]): void {
    // Of a transform that ended after the channel did.
    if (this.#stopped) return this.#lose(batch.length);
    for (const message of batch) {
      this.#waiting.push(message);
      this.#bytes += message.size;
      if (message.trail !== null) this.#hasTrails = true;
    }
    this.#dropOldest();
    this.#schedule();
  }

  /** Resolves when the sink has got everything. */
  async drained(): Promise<void> {
    if (!this.#running && this.size === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Gives up on what waits. */
  stop(): void {
    this.#stopped = true;
    if (this.size > 0) this.#lose(this.#take().length);
  }

  /** Hands over all that waits; called at the end of a turn, so that subscribers are served first. */
  flush(): void {
    this.#queued = false;
    if (this.size > 0) void this.#run(this.#takeBatch());
  }

  async #run(batch: readonly Message[]): Promise<void> {
    this.#running = true;
    try {
      await withTrail(batch[0]!.trail, () => this.#sink(batch.map(toCommitted)));
    } catch (error) {
      this.#reports.failed("sink", error, batch.length);
    }
    this.#running = false;
    if (this.size > 0) return this.#schedule();
    if (this.#behind > 0) {
      this.#reports.warn("sink", "sink has caught up", { dropped: this.#behind });
      this.#behind = 0;
    }
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #schedule(): void {
    if (this.#queued || this.#running || this.size === 0) return;
    this.#queued = true;
    atTurnEnd(this);
  }

  #lose(dropped: number): void {
    this.#reports.dropped("sink", dropped);
    this.#reports.warn("sink", "sink has ended: it does not get the messages that are left", {
      dropped,
    });
  }

  /** Messages that have passed the same channels: what the sink publishes has passed them too. */
  #takeBatch(): Message[] {
    const all = this.#take();
    if (!this.#hasTrails) return all;
    const { trail } = all[0]!;
    const end = all.findIndex((message) => !isSameTrail(message.trail, trail));
    if (end === -1) {
      this.#hasTrails = false;
      return all;
    }
    this.#waiting = all.splice(end);
    this.#bytes = this.#waiting.reduce((sum, message) => sum + message!.size, 0);
    return all;
  }

  #take(): Message[] {
    const batch = (this.#head === 0 ? this.#waiting : this.#waiting.slice(this.#head)) as Message[];
    this.#waiting = [];
    this.#head = 0;
    this.#bytes = 0;
    return batch;
  }

  #dropOldest(): void {
    const { messages, bytes } = this.#limits;
    let dropped = 0;
    while (this.size > messages || (this.#bytes > bytes && this.size > 1)) {
      this.#bytes -= this.#waiting[this.#head]!.size;
      this.#waiting[this.#head++] = undefined;
      dropped++;
    }
    if (dropped === 0) return;
    // Moved down once in a while rather than on each drop: constant cost a message.
    if (this.#head > 32 && this.#head * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    this.#reports.dropped("sink", dropped);
    if (this.#behind === 0) {
      this.#reports.warn("sink", "sink is too slow: the oldest messages that wait are dropped", {
        waiting: this.size,
        waitingBytes: this.#bytes,
      });
    }
    this.#behind += dropped;
  }
}

/**
 * A message as one sink sees it. Its data is the sink's own: parsed again, or copied, when it is asked
 * for, so a sink that changes it changes nothing for subscribers, history or other sinks.
 */
function toCommitted(message: Message): CommittedMessage {
  const { id, channel, time, event, key, format } = message;
  let data: unknown;
  let isRead = false;
  return Object.freeze({
    id,
    channel,
    time,
    event,
    key,
    // A getter of its own, so that JSON.stringify and `{ ...message }` see it.
    get data(): unknown {
      if (!isRead) {
        isRead = true;
        if (format === "json") data = JSON.parse(message.text);
        else data = format === "bytes" ? new Uint8Array(message.bytes) : message.text;
      }
      return data;
    },
  });
}
