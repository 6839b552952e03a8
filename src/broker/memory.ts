/** The broker that keeps history in this process: fast, and gone with it. */
import type { CommitListener } from "../channel/channel.ts";
import { PositionError } from "../channel/errors.ts";
import type { Log, LogStat, Page, ReadLimit, Retention, StatePage } from "../channel/log.ts";
import { Message, type SealedDraft } from "../channel/message.ts";
import { createEpoch, formatPosition } from "../channel/position.ts";
import type { KeptReceipt, Terms } from "../channel/terms.ts";
import type { Broker } from "./broker.ts";
import { MemoryState } from "./memory-state.ts";
import { Receipts } from "./receipts.ts";

/** How often messages that are too old are let go of, in milliseconds. Reads never show one. */
const SWEEP_MS = 1000;

export class MemoryBroker implements Broker {
  readonly name = "memory";
  readonly isDurable = false;
  readonly #logs = new Set<MemoryLog>();
  readonly #now: () => number;
  readonly #sweeper: Timer;
  readonly #receipts: Receipts;

  /**
   * @param now The clock, in milliseconds since the epoch.
   * @param maxReceipts Receipts of publishes that are kept at most.
   */
  constructor(now: () => number = Date.now, maxReceipts?: number) {
    this.#now = now;
    this.#receipts = new Receipts(now, maxReceipts);
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  open(channel: string, retention: Retention, onCommit: CommitListener): Log {
    const onClose = () => this.#logs.delete(log);
    const receipts = this.#receipts;
    const log = new MemoryLog(channel, retention, onCommit, this.#now, receipts, onClose);
    this.#logs.add(log);
    return log;
  }

  /** Lets go of all messages that are too old. */
  sweep(): void {
    const now = this.#now();
    for (const log of this.#logs) log.expire(now);
    this.#receipts.sweep();
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    for (const log of this.#logs) log.close();
  }
}

class MemoryLog implements Log {
  readonly epoch: string;
  top = 0;
  /** The kept messages are `#kept[#head]` and on; what lies before is let go of in one go. */
  #kept: (Message | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #lastTime = 0;
  /** null where none is kept. */
  #state: MemoryState | null;

  constructor(
    readonly channel: string,
    public retention: Retention,
    readonly onCommit: CommitListener,
    readonly now: () => number,
    readonly receipts: Receipts,
    readonly onClose: () => void,
  ) {
    this.epoch = createEpoch();
    this.#state = retention.latestByKey ? new MemoryState(channel) : null;
  }

  append(drafts: readonly SealedDraft[], terms?: Terms): readonly Message[] {
    if (terms) this.#check(terms);
    const change = this.#state && this.#state.check(drafts, this.retention);
    // The note is the publisher's own code, which may throw: read before anything is changed.
    const receipt = terms?.receipt && { ...terms.receipt };
    // A clock that is set back must not make `time` run backwards within a channel.
    const time = (this.#lastTime = Math.max(this.#lastTime, this.now()));
    const batch = drafts.map(
      (draft) => new Message(this.channel, this.epoch, ++this.top, time, draft),
    );
    for (const message of batch) {
      this.#kept.push(message);
      this.#bytes += message.size;
    }
    if (change) this.#state!.apply(change, batch);
    this.#trim();
    if (receipt) {
      const first = this.top - batch.length + 1;
      this.receipts.keep(this.channel, receipt, this.epoch, first, this.top);
    }
    if (batch.length > 0) this.onCommit(batch);
    return batch;
  }

  receipt(key: string): KeptReceipt | null {
    return this.receipts.find(this.channel, key);
  }

  read(after: number, limit: ReadLimit): Page {
    this.expire(this.now());
    const first = this.top - (this.#kept.length - this.#head) + 1;
    const messages: Message[] = [];
    let bytes = 0;
    for (let offset = Math.max(after + 1, first); offset <= limit.through; offset++) {
      const message = this.#kept[this.#head + offset - first];
      if (!message || messages.length >= limit.count) break;
      if (messages.length > 0 && bytes + message.size > limit.bytes) break;
      messages.push(message);
      bytes += message.size;
    }
    return { messages, first };
  }

  get keepsState(): boolean {
    return this.#state !== null;
  }

  readState(after: number, limit: ReadLimit): StatePage | null {
    return this.#state?.read(after, limit) ?? null;
  }

  retain(retention: Retention): void {
    const isNew = retention.latestByKey && this.#state === null;
    this.retention = retention;
    this.#trim();
    if (!retention.latestByKey) this.#state = null;
    else if (isNew) this.#buildState();
  }

  stat(): LogStat {
    this.expire(this.now());
    const history = { count: this.#kept.length - this.#head, bytes: this.#bytes };
    return this.#state ? { ...history, state: this.#state.size } : history;
  }

  close(): void {
    this.onClose();
  }

  /** Lets go of the messages older than the retention allows at `now`. */
  expire(now: number): void {
    const oldest = now - this.retention.ttlMs;
    while (this.#head < this.#kept.length && this.#kept[this.#head]!.time <= oldest) this.#evict();
  }

  /** The state, as the history holds it. */
  #buildState(): void {
    this.expire(this.now());
    const kept = this.#kept.slice(this.#head) as Message[];
    const isWhole = kept.length === this.top;
    const state = (this.#state = new MemoryState(this.channel, isWhole ? 0 : this.top));
    state.apply(state.check(kept, {}), kept);
  }

  #check({ expect }: Terms): void {
    if (expect === undefined) return;
    const position = formatPosition(this.epoch, this.top);
    if (position !== expect) throw new PositionError(this.channel, expect, position);
  }

  #trim(): void {
    const { size, maxBytes = Infinity } = this.retention;
    while (this.#kept.length - this.#head > size) this.#evict();
    while (this.#bytes > maxBytes) this.#evict();
  }

  #evict(): void {
    this.#bytes -= this.#kept[this.#head]!.size;
    this.#kept[this.#head++] = undefined;
    // Moved down once in a while rather than shifted on each eviction: constant cost a message.
    if (this.#head > 32 && this.#head * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#head);
      this.#head = 0;
    }
  }
}
