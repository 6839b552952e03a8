/** A subscriber that comes, goes, breaks off, stops reading and comes back, by whatever way, for ever. */
import { WAYS } from "./clients/all.ts";
import type { Start, Way } from "./clients/client.ts";
import { Session, type Followed } from "./session.ts";
import { Trail } from "./trail.ts";
import { around, pause, pick, type World } from "./world.ts";

/** What a follower has to be given within this time, in milliseconds, or it is lost. */
export const LATE_MS = 20_000;
/** Mean milliseconds of one connection, of being away, and of not reading; some stay until they would be late. */
const STAYS_MS = [3000, 3000, 40_000];
const STEP_MS = 3000;
const AWAY_MS = 1000;
const LONG_AWAY_MS = 15_000;
const STALLS_MS = [2000, 2000, 2000, 20_000];

export class Follower {
  readonly world: World;
  readonly #name: string;
  #followed = new Map<string, Followed>();
  /** Where it is in all of its channels, as the last connection said; good while they are the same. */
  #cursor: string | null = null;
  #lastWay: Way | null = null;
  #session: Session | null = null;

  constructor(world: World, name: string) {
    this.world = world;
    this.#name = name;
  }

  async run(): Promise<void> {
    const { world } = this;
    // Not all at once.
    await pause(world, world.random(3000));
    while (!world.isOver) {
      const session = this.#connect();
      this.#session = session;
      await this.#stay(session);
      // At the end it stays until it is level.
      if (world.isOver && !session.isOver && !session.isPaused) return;
      this.#end(session);
      const away = world.random(10) === 0 ? LONG_AWAY_MS : AWAY_MS;
      await pause(world, around(world.random, away));
    }
  }

  /** Channels of which it lacks what was acknowledged `agoMs` ago, though it reads and nothing came of late. */
  checkLate(nowMs: number): void {
    const session = this.#session;
    if (!session || session.isOver || session.isPaused) return;
    if (nowMs - session.readsSinceMs < LATE_MS) return;
    if (session.waiting.size > 0) {
      // History comes first, as fast as it can.
      const moved = [...this.#followed.values()].map(({ movedMs }) => movedMs);
      if (nowMs - Math.max(...moved) < LATE_MS) return;
      session.fault("other", `${[...session.waiting].join()} does not stand after ${LATE_MS} ms`);
      return session.kill();
    }
    for (const { ledger, trail, movedMs } of this.#followed.values()) {
      // A raw poll gets one message a request: where that is slower than the publishers, it is behind, and
      // gets on.
      if (nowMs - movedMs < LATE_MS) continue;
      const lacks = ledger.lacks(trail, nowMs, LATE_MS);
      if (lacks === null) continue;
      session.fault(
        "loss",
        `${ledger.name}: has ${lacks}, which was acknowledged ${LATE_MS} ms ago`,
      );
      return session.kill();
    }
  }

  /** What it lacks at the end, when all publishers have stopped; null when it is level. */
  lacks(): string | null {
    const session = this.#session;
    if (!session || session.isOver || session.isPaused) return null;
    for (const { ledger, trail } of this.#followed.values()) {
      const lacks = ledger.lacksNow(trail);
      if (lacks !== null) return `${ledger.name}: has ${lacks}`;
    }
    return null;
  }

  /** The end: it is level, or `fault` says what it lacks. */
  finish(fault: string | null): void {
    if (fault !== null) this.#session?.fault("loss", fault);
    this.#session?.leave();
  }

  #connect(): Session {
    const { world } = this;
    const { random, figures } = world;
    const known = [...this.#followed.values()].filter(({ trail }) => trail.position !== null);
    const resumes = known.length > 0 && random(10) < 8;
    const way = resumes && this.#lastWay && random(3) === 0 ? this.#lastWay : pick(random, WAYS);
    // `tidewire.v1` has none.
    const takesCursor = way.isMany && !way.name.startsWith("websocket");
    const cursor = resumes && takesCursor && random(2) === 0 ? this.#cursor : null;
    const starts = resumes ? this.#resumed(way, known, cursor !== null) : this.#fresh(way);
    const one = figures.way(way.name);
    one.joins++;
    if (resumes) {
      one.resumes++;
      if (this.#lastWay && this.#lastWay !== way) one.crossed++;
    }
    for (const { ledger, trail } of this.#followed.values()) {
      if (trail.offset !== null && ledger.isGone(trail.offset)) one.gapsExpected++;
    }
    this.#lastWay = way;
    this.#cursor = null;
    return new Session({ world, name: this.#name, way, followed: this.#followed, starts, cursor });
  }

  /**
   * Goes on with one or all of what it follows, and maybe with one more.
   *
   * @param hasCursor It says where to go on in all of them, and of no other.
   */
  #resumed(way: Way, known: readonly Followed[], hasCursor: boolean): Start[] {
    const { random, ledgers } = this.world;
    if (!hasCursor) {
      const kept = way.isMany ? known : [pick(random, known)];
      this.#followed = new Map(kept.map((each) => [each.ledger.name, each]));
      const { name } = pick(random, ledgers);
      if (way.isMany && random(2) === 0 && !this.#followed.has(name)) this.#follow(name);
    }
    return [...this.#followed.values()].map(({ ledger, trail }) => ({
      channel: ledger.name,
      query: trail.position === null ? "" : `after=${trail.position}`,
    }));
  }

  #fresh(way: Way): Start[] {
    const { random, ledgers } = this.world;
    this.#followed = new Map();
    const query = pick(random, ["", "", `last=${1 + random(20)}`, "after=earliest"]);
    this.#follow(pick(random, ledgers).name);
    if (way.isMany) for (const { name } of ledgers) if (random(2) === 0) this.#follow(name);
    return [...this.#followed.keys()].map((channel) => ({ channel, query }));
  }

  #follow(name: string): void {
    const ledger = this.world.ledgers.find((each) => each.name === name)!;
    this.#followed.set(name, { ledger, trail: new Trail(), movedMs: 0 });
  }

  /** Until it is time to go, or the server ends it. */
  async #stay(session: Session): Promise<void> {
    const { world } = this;
    const { random } = world;
    let late: Timer | undefined;
    const limit = new Promise<void>((resolve) => (late = setTimeout(resolve, LATE_MS)));
    await Promise.race([session.opened, limit]);
    clearTimeout(late);
    const isBreak = random(6) === 0;
    // Some break off before anything came.
    await this.#wait(session, isBreak ? random(30) : around(random, pick(random, STAYS_MS)));
    while (!session.isOver && !world.isOver && random(3) === 0) {
      if (session.canSubscribe && random(2) === 0) await this.#change(session);
      else {
        session.pause();
        await this.#wait(session, around(random, pick(random, STALLS_MS)));
        // One in four goes without having read again.
        if (random(4) === 0) return;
        session.resume();
      }
      await this.#wait(session, around(random, STEP_MS));
    }
  }

  /** Leaves one channel of a socket, and comes back to it on the same one. */
  async #change(session: Session): Promise<void> {
    const { random } = this.world;
    const one = pick(random, [...this.#followed.values()]);
    const { name } = one.ledger;
    if (session.waiting.has(name)) return;
    // What is on its way still comes.
    await session.unsubscribe(name);
    await this.#wait(session, around(random, AWAY_MS));
    if (session.isOver) return;
    const { position } = one.trail;
    session.subscribe({ channel: name, query: position === null ? "" : `after=${position}` });
  }

  #end(session: Session): void {
    const { random } = this.world;
    if (session.isOver) {
      if (session.why === "gap") this.#wasTooLate(session);
      else if (session.why !== null) {
        session.fault("other", `the server ended it: ${session.why}`);
        this.#followed.clear();
      }
    } else if (session.isPaused || random(2) === 0) session.kill();
    else session.leave();
    for (const channel of session.goneChannels) {
      session.fault("other", `${channel} is said to be gone`);
      this.#followed.delete(channel);
    }
    this.#cursor = session.newestCursor;
    this.#session = null;
  }

  /** A raw socket has no other way to tell of a gap than to close: another way then says where it ends. */
  #wasTooLate(session: Session): void {
    const [one] = this.#followed.values();
    this.world.figures.way("websocket, raw").gaps++;
    const { ledger, trail } = one!;
    if (trail.offset !== null && ledger.mayBeGone(trail.offset + 1)) return;
    session.fault("gap", `${ledger.name}: closed with 4010 at ${trail.position}, which is kept`);
  }

  async #wait(session: Session, ms: number): Promise<void> {
    await Promise.race([session.ended, pause(this.world, ms)]);
  }
}
