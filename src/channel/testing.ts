/** What the tests of a channel share: channels on a clock of their own, logs that take their time. */
import type { Broker } from "../broker/broker.ts";
import { MemoryBroker } from "../broker/memory.ts";
import type { CatchUp, Receiver } from "./catch-up.ts";
import { CatchUpTurns } from "./catch-up-turns.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import type { Gap } from "./cursor.ts";
import type { FanOutGroup } from "./fan-out.ts";
import type { Log, LogStat, MaybePromise, Page, ReadLimit, Retention, StatePage } from "./log.ts";
import type { Message, SealedDraft } from "./message.ts";
import type { KeptReceipt, Terms } from "./terms.ts";

/** A broker that lets go of what is over when it is told to. */
export type WorldBroker = Broker & { sweep(): unknown };

export interface World {
  readonly channel: Channel;
  readonly broker: WorldBroker;
  /** Milliseconds; what the broker takes for the time. */
  nowMs: number;
  /** Publishes text messages, one call, and gives their offsets. */
  publish(...data: string[]): readonly number[];
}

export interface WorldOptions extends Partial<Retention>, Partial<ChannelOptions> {
  readonly wrap?: (log: Log) => Log;
  /** Default: memory. */
  readonly createBroker?: ((now: () => number) => WorldBroker) | undefined;
}

/** Opens a channel on the memory broker. Errors of a fan-out group are thrown unless they are taken. */
export function openWorld(options: WorldOptions = {}): World {
  const { size = 100, ttlMs = Infinity, latestByKey = false, ...others } = options;
  const { wrap = (log: Log) => log, createBroker, ...rest } = others;
  const retention: Retention = { size, ttlMs, latestByKey };
  const now = () => world.nowMs;
  const broker = createBroker ? createBroker(now) : createSwept(now);
  const channel = new Channel({
    name: "prices",
    maxBytes: 1024,
    maxBatchBytes: 1_000_000,
    maxWaiting: 100,
    // All that a test does is within one turn, unless it says otherwise.
    turns: new CatchUpTurns(Infinity),
    transforms: [],
    openLog: (onCommit) => wrap(broker.open("prices", retention, onCommit)),
    onTransformError: raise,
    onFanOutError: raise,
    ...rest,
  });
  const world: World = {
    channel,
    broker,
    nowMs: 1_000_000,
    publish(...data) {
      const committed = channel.publish(data.map((each) => ({ data: each })));
      return (committed as readonly Message[]).map(({ offset }) => offset);
    },
  };
  return world;
}

/** A memory broker that is swept by hand alone: its timer would know nothing of that clock, and outlive the test. */
export function createSwept(now: () => number): MemoryBroker {
  const broker = new MemoryBroker(now);
  void broker.close();
  return broker;
}

function raise(error: unknown): never {
  throw error;
}

/** Lets all promises that can settle do so, and ends the turn: what was committed goes out. */
export const endTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A log that takes its time, as one on disk or of another machine does: appends stay in order. */
export class AsyncLog implements Log {
  readonly #inner: Log;
  readonly #delay: (label: string) => Promise<unknown>;
  #appended: Promise<unknown> = Promise.resolve();

  /** @param delay Awaited before each append, and before and after each read. */
  constructor(inner: Log, delay: (label: string) => Promise<unknown>) {
    this.#inner = inner;
    this.#delay = delay;
  }

  get epoch(): string {
    return this.#inner.epoch;
  }

  get top(): number {
    return this.#inner.top;
  }

  append(drafts: readonly SealedDraft[], terms?: Terms): Promise<readonly Message[]> {
    const append = this.#appended
      .then(() => this.#delay("append"))
      .then(() => this.#inner.append(drafts, terms));
    this.#appended = append.catch(() => {});
    return append;
  }

  async read(after: number, limit: ReadLimit): Promise<Page> {
    await this.#delay("read");
    const page = await this.#inner.read(after, limit);
    // What was read may be old by the time that it is handed over.
    await this.#delay("page");
    return page;
  }

  receipt(key: string): MaybePromise<KeptReceipt | null> {
    return this.#inner.receipt(key);
  }

  retain(retention: Retention): void {
    this.#inner.retain(retention);
  }

  get keepsState(): boolean {
    return this.#inner.keepsState;
  }

  async readState(after: number, limit: ReadLimit): Promise<StatePage | null> {
    await this.#delay("read state");
    const page = await this.#inner.readState(after, limit);
    await this.#delay("state");
    return page;
  }

  stat(): LogStat {
    return this.#inner.stat();
  }

  close(): void {
    this.#inner.close();
  }
}

/** Members that write down what they get. */
export class RecordingGroup implements FanOutGroup {
  readonly members = new Set<{ take(batch: readonly Message[]): void }>();

  get size(): number {
    return this.members.size;
  }

  deliver(batch: readonly Message[]): void {
    for (const member of [...this.members]) member.take(batch);
  }
}

/** A subscriber that writes down all that happens to it: `gap 0..3`, `replay 4,5`, `live 5`, `6`. */
export class Recorder implements Receiver {
  readonly events: string[] = [];
  /** Whether there is room after a replay; where there is none, `drain` makes some. */
  leavesRoom = true;
  /** Messages that one replay takes at most. */
  takes = Infinity;
  hasRoom = true;
  /** Called after each event is written down. */
  onEvent: (event: string) => void = () => {};
  readonly #channel: Channel;
  readonly #key: string;
  catchUp: CatchUp | null = null;

  constructor(channel: Channel, key = "test") {
    this.#channel = channel;
    this.#key = key;
  }

  gap({ after, id }: Gap): void {
    this.#write(`gap ${this.#short(after)}..${this.#short(id)}`);
  }

  replay(batch: readonly Message[]): number {
    const taken = batch.slice(0, this.takes);
    this.hasRoom = this.leavesRoom && taken.length === batch.length;
    this.#write(`replay ${taken.map(({ offset }) => offset).join()}`);
    return taken.length;
  }

  drain(): void {
    this.hasRoom = true;
    this.catchUp!.drained();
  }

  live(position: string): void {
    this.#channel.fanOut.group(this.#key, () => new RecordingGroup()).members.add(this);
    this.#write(`live ${this.#short(position)}`);
  }

  fail(error: unknown): void {
    this.#write(`fail ${(error as Error).message}`);
  }

  take(batch: readonly Message[]): void {
    this.#write(batch.map(({ offset }) => offset).join());
  }

  #write(event: string): void {
    this.events.push(event);
    this.onEvent(event);
  }

  /** Positions of the channel's own epoch by their offset alone. */
  #short(position: string): string {
    const own = `${this.#channel.log.epoch}-`;
    return position.startsWith(own) ? position.slice(own.length) : position;
  }
}

/** One of a list, the last ones first. */
export function at<T>(list: readonly T[], which: number): T | undefined {
  return list[list.length - 1 - (Math.abs(which) % list.length)];
}
