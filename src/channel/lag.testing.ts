/** Clients that stop taking what they are sent and go on, and a plain model of what they have to get then. */
import { expect } from "bun:test";
import { CatchUp, type Receiver } from "./catch-up.ts";
import type { Channel } from "./channel.ts";
import type { Gap } from "./cursor.ts";
import { ChannelError } from "./errors.ts";
import { costOf, type FanOutGroup } from "./fan-out.ts";
import { LagBudget } from "./lag-budget.ts";
import type { SlowPolicy } from "./lag.ts";
import type { Message } from "./message.ts";
import { formatPosition, LIVE } from "./position.ts";
import { openWorld, type World } from "./testing.ts";

const PAGE = { count: 3, bytes: 400 };

/** Members that may have no room for a batch. */
class Group implements FanOutGroup {
  readonly members = new Set<PausingClient>();

  get size(): number {
    return this.members.size;
  }

  deliver(batch: readonly Message[]): void {
    for (const member of this.members) {
      if (member.hasRoom) member.take(batch);
      else member.tooSlow(batch);
    }
  }
}

/** Is told what happens to a client that lags, as it happens. */
interface Watcher {
  began(batch: readonly Message[]): void;
  ended(): void;
  gap(from: number, to: number): void;
  replay(batch: readonly Message[]): void;
}

/** A client of a transport that lets it lag: it has room for so many messages. */
export class PausingClient implements Receiver {
  /** `live 3`, `4,5` (live), `gap 5..7`, `replay 8,9`. */
  readonly events: string[] = [];
  readonly seen: Message[] = [];
  room = Infinity;
  state: "live" | "lags" | "gone" = "live";
  /** Called after each event. */
  onEvent: (event: string) => void = () => {};
  watcher: Watcher | null = null;
  /** What is full where it has no room. */
  connection: object = this;
  /** Offset up to which everything was given or announced as dropped. */
  at: number;
  readonly joinedAt: number;
  readonly #channel: Channel;
  readonly #policy: SlowPolicy;
  readonly #key: string;
  #catchUp: CatchUp | null;

  /** Joins live. @param key Of its group. */
  constructor(channel: Channel, policy: SlowPolicy, key = "live") {
    this.#channel = channel;
    this.#policy = policy;
    this.#key = key;
    this.at = this.joinedAt = channel.fanOut.flushed;
    this.#catchUp = new CatchUp(channel, this, LIVE, PAGE);
    this.#catchUp.run();
  }

  drain(room = Infinity): void {
    this.room = room;
    this.#catchUp?.drained();
  }

  leave(): void {
    const { state } = this;
    this.state = "gone";
    this.#catchUp?.stop();
    this.#catchUp = null;
    this.#group().members.delete(this);
    if (state === "lags") this.watcher?.ended();
  }

  get hasRoom(): boolean {
    return this.room > 0;
  }

  take(batch: readonly Message[]): void {
    expect(this.state).toBe("live");
    this.#give(batch);
    this.#write(batch.map(({ offset }) => offset).join());
  }

  tooSlow(batch: readonly Message[]): void {
    expect(this.state).toBe("live");
    this.state = "lags";
    this.watcher?.began(batch);
    this.#group().members.delete(this);
    const lag = this.#channel.laggards.begin(this.#channel, this.#policy, batch, this.connection);
    this.#catchUp = new CatchUp(this.#channel, this, lag, PAGE);
    this.#catchUp.run();
  }

  gap({ after, id }: Gap): void {
    const { epoch } = this.#channel.log;
    const to = Number(id.slice(epoch.length + 1));
    const from = this.at;
    expect([after, id]).toEqual([formatPosition(epoch, from), formatPosition(epoch, to)]);
    expect(to).toBeGreaterThan(from);
    this.watcher?.gap(from, to);
    this.at = to;
    this.#write(`gap ${from}..${to}`);
  }

  replay(batch: readonly Message[]): number {
    expect(this.hasRoom).toBe(true);
    const taken = batch.slice(0, this.room);
    this.watcher?.replay(taken);
    this.#give(taken);
    this.#write(`replay ${taken.map(({ offset }) => offset).join()}`);
    return taken.length;
  }

  live(position: string): void {
    const { log, fanOut } = this.#channel;
    expect(position).toBe(formatPosition(log.epoch, fanOut.flushed));
    expect(this.at).toBe(fanOut.flushed);
    const { state } = this;
    this.state = "live";
    this.#catchUp = null;
    this.#group().members.add(this);
    if (state === "lags") this.watcher?.ended();
    this.#write(`live ${this.at}`);
  }

  fail(error: unknown): void {
    throw error;
  }

  #give(batch: readonly Message[]): void {
    for (const message of batch) {
      expect(message.offset).toBe(this.at + 1);
      this.at++;
      this.seen.push(message);
      this.room--;
    }
  }

  #group(): Group {
    return this.#channel.fanOut.group(this.#key, () => new Group());
  }

  #write(event: string): void {
    this.events.push(event);
    this.onEvent(event);
  }
}

export interface LagSetup {
  readonly policy: SlowPolicy;
  readonly lagBytes: number;
  readonly maxBatchBytes: number;
}

export type LagOperation =
  | {
      readonly do: "publish";
      readonly drafts: readonly { key: string | undefined; size: number }[];
    }
  | { readonly do: "flush" | "leave" | "stall"; readonly which: number }
  | { readonly do: "join"; readonly which: number; readonly key: string }
  | { readonly do: "drain"; readonly which: number; readonly room: number }
  /** In the middle of the next delivery. */
  | {
      readonly do: "meddle";
      readonly which: number;
      readonly by: number;
      readonly does: "drain" | "leave" | "stall";
    };

/** A random life of a channel, and the window as one would write it without a thought for its cost. */
export class LagLife implements Watcher {
  readonly #setup: LagSetup;
  readonly #world: World;
  readonly #all: Message[] = [];
  readonly #clients: PausingClient[] = [];
  #kept: Message[] = [];
  #served = 0;
  #dropped = 0;

  constructor(setup: LagSetup) {
    this.#setup = setup;
    this.#world = openWorld({
      size: 0,
      lagBudget: new LagBudget(setup.lagBytes),
      maxBatchBytes: setup.maxBatchBytes,
      onCommit: (batch) => void this.#all.push(...batch),
    });
    this.#join("0");
  }

  operate(operation: LagOperation): void {
    const { channel } = this.#world;
    if (operation.do === "publish") {
      const drafts = operation.drafts.map(({ key, size }) => ({ data: "x".repeat(size), key }));
      try {
        void channel.publish(drafts);
      } catch (error) {
        // More waits to be sent out than may.
        if (!(error instanceof ChannelError && error.code === "overloaded")) throw error;
      }
      return;
    }
    const client = this.#at(operation.which);
    switch (operation.do) {
      case "flush":
        return channel.fanOut.flush();
      case "join":
        return this.#join(operation.key);
      case "leave":
        return client.leave();
      case "stall":
        client.room = 0;
        return;
      case "drain":
        return client.drain(operation.room);
      case "meddle": {
        const by = this.#at(operation.by);
        by.onEvent = (event) => {
          if (!/^\d/.test(event)) return;
          by.onEvent = () => {};
          if (operation.does === "leave") client.leave();
          else if (operation.does === "stall") client.room = 0;
          else client.drain();
        };
      }
    }
  }

  /** Lets all who are there get level, and checks what they have. */
  end(): void {
    const { fanOut, laggards } = this.#world.channel;
    while (fanOut.pendingBytes > 0) fanOut.flush();
    const there = this.#clients.filter(({ state }) => state !== "gone");
    for (const client of there) client.drain();
    const newest = new Map(this.#all.map((message) => [message.key, message]));
    for (const client of there) {
      expect([client.state, client.at]).toEqual(["live", this.#all.length]);
      if (this.#setup.policy !== "latest" || this.#setup.lagBytes < Infinity) continue;
      const seen = new Map(client.seen.map((message) => [message.key, message]));
      for (const [key, message] of newest) {
        if (message.offset > client.joinedAt) expect(seen.get(key)).toBe(message);
      }
    }
    expect([laggards.size, laggards.dropped]).toEqual([0, this.#dropped]);
  }

  began(batch: readonly Message[]): void {
    this.#serve(batch);
  }

  ended(): void {
    if (this.#clients.some(({ state }) => state === "lags")) return;
    this.#kept = [];
    this.#served = 0;
  }

  /** Nothing is announced that was kept, and all that was not is announced at once. */
  gap(from: number, to: number): void {
    this.#dropped += to - from;
    const kept = new Set(this.#kept.map(({ offset }) => offset));
    for (let offset = from + 1; offset <= to; offset++) expect(kept.has(offset)).toBe(false);
    const { flushed } = this.#world.channel.fanOut;
    expect(to === flushed || kept.has(to + 1)).toBe(true);
  }

  replay(batch: readonly Message[]): void {
    for (const message of batch) expect(this.#kept.includes(message)).toBe(true);
  }

  #at(which: number): PausingClient {
    return this.#clients[which % this.#clients.length]!;
  }

  #join(key: string): void {
    const { channel } = this.#world;
    // Its member hears all that goes out, wherever in the round it stands.
    channel.fanOut.group("model", () => ({
      size: 1,
      deliver: (batch) => {
        if (this.#clients.some(({ state }) => state === "lags")) this.#serve(batch);
      },
    }));
    const client = new PausingClient(channel, this.#setup.policy, key);
    client.watcher = this;
    this.#clients.push(client);
  }

  #serve(batch: readonly Message[]): void {
    const { policy, lagBytes } = this.#setup;
    for (const message of batch) {
      if (message.offset <= this.#served) continue;
      this.#served = message.offset;
      if (policy === "latest") this.#kept = this.#kept.filter(({ key }) => key !== message.key);
      this.#kept.push(message);
      while (bytesOf(this.#kept) > lagBytes && this.#kept.length > 1) this.#kept.shift();
    }
  }
}

function bytesOf(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + costOf(message), 0);
}
