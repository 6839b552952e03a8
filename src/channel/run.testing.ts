/** One random life of a channel, checked against the plain model at each step. */
import type { Scheduler } from "fast-check";
import { Poller, Subscriber } from "./clients.testing.ts";
import { SchemaError } from "./errors.ts";
import { Life } from "./life.testing.ts";
import type { Retention } from "./log.ts";
import { PLAIN, type Planned, type PlannedDraft } from "./planned.testing.ts";
import { parsePosition, parseResume, type Start } from "./position.ts";
import { Publisher, STOPPED, type PublisherSetup } from "./publisher.testing.ts";
import { AsyncLog, at, endTurn, openWorld, type World, type WorldOptions } from "./testing.ts";

export type Pick = "live" | "state" | "earliest" | "last" | "after" | "foreign" | "ahead";

export type Operation =
  | { do: "publish"; drafts: readonly PlannedDraft[] }
  | { do: "inject" }
  | { do: "join"; pick: Pick; which: number; key: string; room: number[]; meddle: Meddle }
  | { do: "poll"; pick: Pick; which: number; limit: number }
  | { do: "poll again" | "give up" | "leave" | "come back" | "drain"; which: number }
  | { do: "wait"; ms: number }
  | { do: "sweep" | "flush" | "turn" | "tick" | "step" | "reopen" };

type WorldBrokerMaker = WorldOptions["createBroker"];

/** What a subscriber does in the middle of its first or second event, which may be a delivery. */
type Meddle = { at: number; does: "publish" | "join" | "leave" | "flush" } | null;

export interface Setup extends PublisherSetup {
  readonly createBroker?: WorldBrokerMaker;
  readonly retention: Retention;
  /** Bytes of one flush: a message has about 300. */
  readonly maxBatchBytes: number;
  readonly isSlowLog: boolean;
}

export class Run {
  readonly failures: string[] = [];
  readonly #setup: Setup;
  readonly #scheduler: Scheduler;
  #world: World;
  #life: Life;
  readonly #publisher: Publisher;
  #subscribers: Subscriber[] = [];
  #pollers: Poller[] = [];
  /** All positions that any client was ever shown, of every life. */
  readonly #positions: string[] = [];
  readonly #epochs = new Set<string>();
  #joined = 0;

  constructor(setup: Setup, scheduler: Scheduler) {
    this.#setup = setup;
    this.#scheduler = scheduler;
    this.#publisher = new Publisher(setup, scheduler, (ids) => this.#positions.push(...ids));
    [this.#world, this.#life] = this.#open(1_000_000);
  }

  async operate(operation: Operation): Promise<void> {
    switch (operation.do) {
      case "publish":
        this.#publisher.publish(operation.drafts);
        break;
      case "inject":
        this.#publisher.inject();
        break;
      case "join":
        this.#join(operation);
        break;
      case "poll": {
        const { pick, which, limit } = operation;
        const poller = new Poller(this.#life, this.#start(pick, which), this.#name(pick), limit);
        this.#pollers.push(poller);
        poller.poll();
        break;
      }
      case "poll again":
        at(this.#pollers, operation.which)?.poll();
        break;
      case "give up":
        at(this.#pollers, operation.which)?.giveUp();
        break;
      case "leave":
        at<{ leave(): void }>([...this.#subscribers, ...this.#pollers], operation.which)?.leave();
        break;
      case "come back":
        this.#comeBack(at(this.#subscribers, operation.which));
        break;
      case "drain":
        at(this.#subscribers, operation.which)?.drain();
        break;
      case "wait":
        this.#world.nowMs += operation.ms;
        break;
      case "sweep":
        this.#world.broker.sweep();
        break;
      case "flush":
        this.#world.channel.fanOut.flush();
        break;
      case "turn":
        await endTurn();
        break;
      case "tick":
        await Promise.resolve();
        break;
      case "step":
        if (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
        break;
      case "reopen":
        await this.#reopen();
    }
    this.#note();
    this.check();
  }

  /** Lets everything happen that still can, and checks that nobody was left behind. */
  async end(): Promise<void> {
    await this.#rest(() => true);
    // Where nothing waits any more, the next one is taken.
    this.#life.check(this.#publisher.publish([PLAIN]), "refused where nothing waits");
    await this.#rest(() => true);
    this.check();
  }

  check(): void {
    if (this.failures.length > 0) throw new Error(this.failures.join("\n"));
  }

  async dispose(): Promise<void> {
    await this.#world.broker.close();
  }

  #open(nowMs: number): [World, Life] {
    const { createBroker, retention, maxBatchBytes, isSlowLog } = this.#setup;
    const pause = (label: string) => this.#scheduler.schedule(Promise.resolve(), label);
    const world = openWorld({
      createBroker,
      ...retention,
      maxBatchBytes,
      maxWaiting: 6,
      validate: (data) => {
        if ((data as Planned | null)?.isRefused) throw new SchemaError("prices", ["/ is refused"]);
      },
      transforms: this.#publisher.transforms,
      wrap: (log) => (isSlowLog ? new AsyncLog(log, pause) : log),
      onCommit: (batch) => life.commit(batch),
      onTransformError: () => STOPPED,
      onFanOutError: (error) => void this.failures.push(Bun.inspect(error)),
    });
    world.nowMs = nowMs;
    const { epoch } = world.channel.log;
    if (this.#epochs.has(epoch)) this.failures.push(`epoch ${epoch} again`);
    this.#epochs.add(epoch);
    const life: Life = new Life(world.channel, retention, () => world.nowMs, this.failures);
    this.#publisher.attach(world.channel, life);
    return [world, life];
  }

  #join(operation: Operation & { do: "join" }): void {
    const { pick, which, key, room, meddle } = operation;
    this.#add(this.#start(pick, which), this.#name(pick), key, room, meddle);
  }

  /** @param state What it has of the channel's state already. */
  #add(
    start: Start,
    name: string,
    key: string,
    room: readonly number[],
    meddle: Meddle,
    state: ReadonlyMap<string, string> | null = null,
  ): void {
    const subscriber = new Subscriber(this.#life, start, name, key, room);
    if (state) subscriber.state = new Map(state);
    let events = 0;
    subscriber.onEvent = () => {
      if (meddle && events++ === meddle.at) this.#meddle(subscriber, meddle);
    };
    this.#subscribers.push(subscriber);
    subscriber.run();
  }

  #meddle(subscriber: Subscriber, { does }: NonNullable<Meddle>): void {
    this.#note();
    if (does === "leave") return subscriber.leave();
    if (does === "publish") return void this.#publisher.publish([PLAIN]);
    if (does === "flush") return this.#world.channel.fanOut.flush();
    for (const [i, pick] of (
      ["live", "earliest", "after", "ahead", "foreign", "state"] as const
    ).entries()) {
      this.#add(this.#start(pick, -1), this.#name(`${pick} in an event`), `${i % 2}`, [], null);
    }
  }

  /** A slow consumer was closed: it comes back with the position that it has. */
  #comeBack(subscriber: Subscriber | undefined): void {
    if (!subscriber?.shown) return;
    subscriber.leave();
    const start: Start = { from: "after", position: parsePosition(subscriber.shown)! };
    this.#add(start, this.#name("back"), "0", [], null, subscriber.state);
  }

  #start(pick: Pick, which: number): Start {
    const { log } = this.#world.channel;
    const seen = at(this.#positions, which);
    if (pick === "after" && seen) return parseResume(seen)!;
    if (pick === "state" && log.keepsState) return { from: "state", place: null };
    if (pick === "foreign")
      return { from: "after", position: { epoch: "other", offset: Math.abs(which) } };
    if (pick === "ahead") {
      const offset = this.#life.all.length + 1 + (Math.abs(which) % 3);
      return { from: "after", position: { epoch: log.epoch, offset } };
    }
    if (pick === "last") return { from: "last", count: which % 12 };
    return { from: pick === "earliest" ? "earliest" : "live" };
  }

  #name(start: string): string {
    return `client ${++this.#joined} (${start})`;
  }

  /** Gathers the positions that clients were shown. */
  #note(): void {
    for (const { shown } of [...this.#subscribers, ...this.#pollers]) {
      if (shown !== null && !this.#positions.includes(shown)) this.#positions.push(shown);
    }
  }

  /** The channel is let go of with all that is under way, and comes to life again. */
  async #reopen(): Promise<void> {
    let isClosed = false;
    void this.#world.channel.close().then(() => {
      isClosed = true;
      this.#publisher.checkCommitted();
    });
    await this.#rest(() => isClosed);
    await this.dispose();
    [this.#world, this.#life] = this.#open(this.#world.nowMs);
    this.#subscribers = [];
    this.#pollers = [];
  }

  async #rest(isDone: () => boolean): Promise<void> {
    for (let quiet = 0, turns = 0; quiet < 3; turns++) {
      if (turns > 1000) throw new Error("the channel does not come to rest");
      const { pendingBytes } = this.#world.channel.fanOut;
      const isBusy =
        this.#scheduler.count() > 0 || pendingBytes > 0 || this.#publisher.unacknowledged > 0;
      quiet = isBusy || !isDone() ? 0 : quiet + 1;
      while (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
      await endTurn();
      this.#note();
      for (const subscriber of this.#subscribers) {
        subscriber.room.length = 0;
        subscriber.drain();
      }
      for (const poller of this.#pollers) {
        for (let polls = 0; poller.step === "idle" && polls < 500; polls++) poller.poll();
      }
    }
    this.#publisher.checkCommitted();
    const life = this.#life;
    const { unacknowledged } = this.#publisher;
    life.check(unacknowledged === 0, `${unacknowledged} were not acknowledged`);
    for (const reader of [...this.#subscribers, ...this.#pollers]) {
      const { name, step, at } = reader;
      const isLevel = step === "live" && at === life.all.length;
      life.check(step === "gone" || isLevel, `${name} is left ${step} at ${at}`);
      if (step !== "gone") reader.checkState();
    }
  }
}
