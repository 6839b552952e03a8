/** One connection of a follower: judges all that it brings, and counts it. */
import type { Sink, SoakClient, Start, Target, Way } from "./clients/client.ts";
import { nowMs, parsePosition, type Numbered } from "./data.ts";
import type { WayFigures } from "./figures.ts";
import type { Ledger } from "./ledger.ts";
import { Trail, type Flaw } from "./trail.ts";
import type { World } from "./world.ts";

/** A channel that is followed: its trail goes on over many connections. */
export interface Followed {
  readonly ledger: Ledger;
  trail: Trail;
  /** When something came last, in ms of `performance.now()`. */
  movedMs: number;
}

export interface SessionOptions {
  readonly world: World;
  readonly name: string;
  readonly way: Way;
  readonly followed: ReadonlyMap<string, Followed>;
  readonly starts: readonly Start[];
  readonly cursor: string | null;
}

/** How the server ends a client that does not read. */
const SLOW = /^(slow$|the stream ended|the connection ended|the session ended|close code 1006)/;

/** @returns Whether the first message may have this offset: none that was asked for lies before it. */
function firstOf(query: string, ledger: Ledger): (offset: number) => boolean {
  const last = /^last=(\d+)$/.exec(query)?.[1];
  // The last of those that there were when it was asked, which may be later ones than are known here.
  if (last !== undefined) {
    return (offset) => offset <= Math.max(1, ledger.highest - Number(last) + 1);
  }
  if (query !== "after=earliest") return () => true;
  return (offset) => offset === 1 || ledger.mayBeGone(offset - 1);
}

export class Session implements Sink {
  readonly #world: World;
  readonly #name: string;
  readonly #figures: WayFigures;
  readonly #followed: ReadonlyMap<string, Followed>;
  readonly #client: SoakClient;
  readonly #target: Target;
  readonly #waiting: Set<string>;
  /** What says of the first message of a channel whether none that was asked for lies before it. */
  readonly #firsts = new Map<string, (offset: number) => boolean>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  /** When what is sent is live for this client: since it stands, and reads. */
  #liveSinceMs = Infinity;
  readonly #openedMs = performance.now();
  #readsSinceMs = performance.now();
  isPaused = false;
  #wasPaused = false;
  #leaving: (() => void) | null = null;
  #isOver = false;
  /** What the server ended it with; null while it goes on, or when it was ended here. */
  why: string | null = null;
  newestCursor: string | null = null;
  readonly goneChannels: string[] = [];

  constructor({ world, name, way, followed, starts, cursor }: SessionOptions) {
    this.#world = world;
    this.#name = `${name}, ${way.name}, ${starts.map(({ channel, query }) => `${channel}?${query}`).join(" ")}${cursor === null ? "" : ` cursor ${cursor}`}`;
    this.#figures = world.figures.way(way.name);
    this.#followed = followed;
    this.#waiting = new Set(starts.map(({ channel }) => channel));
    for (const { channel, query } of starts) {
      const { ledger, trail } = followed.get(channel)!;
      if (trail.position === null) this.#firsts.set(channel, firstOf(query, ledger));
    }
    this.#target = { publicUrl: world.publicUrl, pushUrl: world.pushUrl, starts, cursor };
    this.#figures.open++;
    this.#client = way.open(this.#target, this);
  }

  /** Resolves when all of its channels stand, or it has ended. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Since when it was neither paused nor opening, in ms of `performance.now()`. */
  get readsSinceMs(): number {
    return this.#readsSinceMs;
  }

  stands(channel: string): void {
    if (this.#isOver) return;
    const followed = this.#followed.get(channel);
    followed?.trail.stands(followed.ledger.sent);
    if (!this.#waiting.delete(channel) || this.#waiting.size > 0) return;
    this.#liveSinceMs = nowMs();
    this.#readsSinceMs = performance.now();
    this.#opened.resolve();
  }

  message(channel: string, id: string | null, data: Numbered): void {
    if (this.#isOver) return;
    this.#figures.deliveries++;
    const followed = this.#followed.get(channel);
    if (!followed)
      return this.fault("other", `${id} of channel ${channel}, which it does not follow`);
    const { ledger, trail } = followed;
    followed.movedMs = performance.now();
    if (id !== null) {
      this.#check(ledger.agree(id, data), channel);
      this.#checkFirst(channel, id);
    }
    this.#check(trail.message(id, data), channel);
    this.#checkVersion(data);
    if (data.t > this.#liveSinceMs) this.#figures.late(nowMs() - data.t);
  }

  gap(channel: string, after: string, id: string): void {
    if (this.#isOver) return;
    this.#figures.gaps++;
    const followed = this.#followed.get(channel);
    if (!followed) return this.fault("gap", `of channel ${channel}, which it does not follow`);
    this.#firsts.delete(channel);
    const { ledger, trail } = followed;
    const was = trail.offset ?? 0;
    this.#check(trail.gap(after, id), channel);
    if (!ledger.mayBeGone(trail.offset!)) {
      const kept = `the newest known is ${ledger.top}, and ${ledger.history} are kept`;
      this.fault("gap", `${channel}: up to ${id} after offset ${was}, though ${kept}`);
    }
  }

  at(channel: string, id: string): void {
    if (!this.#isOver) this.#check(this.#followed.get(channel)?.trail.at(id) ?? null, channel);
  }

  cursor(text: string): void {
    this.newestCursor = text;
  }

  gone(channel: string): void {
    if (!this.#isOver) this.goneChannels.push(channel);
  }

  end(why: string): void {
    if (this.#isOver) return;
    this.#finish();
    if (this.goneChannels.length > 0) return;
    // Who stops reading is not always told: a stream says no more than that it ends, and a WebSocket's close
    // frame waits behind what is not read until the server gives up.
    if (this.#wasPaused && SLOW.test(why)) {
      this.#figures.slow++;
      return;
    }
    this.why = why;
  }

  leave(): void {
    if (this.#isOver) return;
    this.#finish();
    this.#figures.leaves++;
    this.#client.leave();
  }

  kill(): void {
    if (this.#isOver) return;
    this.#finish();
    this.#figures.kills++;
    this.#client.kill();
  }

  pause(): void {
    this.isPaused = this.#wasPaused = true;
    this.#figures.pauses++;
    this.#liveSinceMs = Infinity;
    this.#client.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.#liveSinceMs = nowMs();
    this.#readsSinceMs = performance.now();
    if (!this.#isOver) this.#client.resume();
  }

  get canSubscribe(): boolean {
    return this.#client.subscribe !== undefined;
  }

  subscribe(start: Start): void {
    this.#waiting.add(start.channel);
    this.#readsSinceMs = performance.now();
    this.#client.subscribe!(start);
  }

  /** Resolves when nothing more of it comes. */
  unsubscribe(channel: string): Promise<void> {
    this.#client.unsubscribe!(channel);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#leaving = resolve;
    return Promise.race([promise, this.ended]);
  }

  left(): void {
    this.#leaving?.();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** What did not stand yet. */
  get waiting(): ReadonlySet<string> {
    return this.#waiting;
  }

  fault(kind: Flaw["kind"], text: string): void {
    const since = (ms: number) => ((performance.now() - ms) / 1000).toFixed(1);
    const stall = this.isPaused ? "stalled" : this.#wasPaused ? "it had stalled" : "never stalled";
    const when = `${since(this.#openedMs)} s old, ${stall}, reads for ${since(this.#readsSinceMs)} s`;
    this.#world.faults.add(kind, `${this.#name} (${when})`, text);
  }

  #check(flaw: Flaw | null, channel: string): void {
    if (flaw) this.fault(flaw.kind, `${channel}: ${flaw.text}`);
  }

  #checkFirst(channel: string, id: string): void {
    const isSoon = this.#firsts.get(channel);
    if (!isSoon) return;
    this.#firsts.delete(channel);
    if (!isSoon(parsePosition(id).offset)) this.fault("loss", `${channel}: began with ${id}`);
  }

  #checkVersion({ p, n, version, least }: Numbered): void {
    if (least === undefined) return;
    const { most } = this.#world.versions;
    if (version !== undefined && version >= least && version <= most) return;
    this.fault(
      "other",
      `${p}:${n} went through version ${version} of the transform, not ${least} to ${most}`,
    );
  }

  #finish(): void {
    this.#isOver = true;
    this.#figures.open--;
    this.#opened.resolve();
    this.#ended.resolve();
  }
}
