/** Channels of a pattern that come to life, are let go of when nobody uses them, and are asked for again. */
import { WAYS } from "./clients/all.ts";
import { HttpClient } from "./clients/http.ts";
import { nowMs } from "./data.ts";
import { Ledger } from "./ledger.ts";
import { Session, type Followed } from "./session.ts";
import { Trail } from "./trail.ts";
import { around, pause, pick, type World } from "./world.ts";

/** Milliseconds that a room's messages are kept, by the soak's config. */
export const ROOM_TTL_MS = 20_000;
/** After which a room that nobody uses is gone: the server looks every 5 s. */
const FORGOTTEN_MS = ROOM_TTL_MS + 8000;
const NEW_ROOM_MS = 2500;
const MESSAGES = 12;
const EVERY_MS = 400;
/** In which a guest has to be level when the last message was published. */
const LEVEL_MS = 30_000;
/** Ways that carry positions. */
const WITH_IDS = WAYS.filter(({ hasIds }) => hasIds);

/** Opens rooms one after the other; those that live are few. Resolves when the last has ended. */
export async function openRooms(world: World): Promise<void> {
  const alive = new Set<Promise<void>>();
  for (let number = 1; !world.isOver; number++) {
    const room = live(world, `room/${number}`);
    alive.add(room);
    void room.finally(() => alive.delete(room));
    await pause(world, around(world.random, NEW_ROOM_MS));
  }
  await Promise.all(alive);
}

/** The life of one room: two who come and go while it is published to, and one who comes back too late. */
async function live(world: World, name: string): Promise<void> {
  world.figures.rooms++;
  const ledger = new Ledger({ name, history: 1000 });
  const guests = [new Guest(world, ledger, "after=earliest"), new Guest(world, ledger, "")];
  const client = new HttpClient(world.publicUrl);
  let first: string | null = null;
  for (let i = 0; i < MESSAGES && !world.isOver; i++) {
    const n = ledger.next("room");
    const body = JSON.stringify({ p: "room", n, t: nowMs() });
    const type = "Content-Type: application/json\r\n";
    const answer = await client.request("POST", `/channels/${name}`, type, body);
    if (answer?.status !== 201) {
      world.faults.add("other", name, `publishing: ${answer?.status} ${answer?.body}`);
      break;
    }
    const { id } = JSON.parse(answer.body) as { id: string };
    first ??= id;
    world.figures.published++;
    const flaw = ledger.acknowledge(id, "room", n);
    if (flaw) world.faults.add(flaw.kind, name, flaw.text);
    for (const guest of guests) guest.step();
    await pause(world, around(world.random, EVERY_MS));
  }
  client.socket.destroy();
  for (
    let waitedMs = 0;
    guests.some((guest) => guest.lacks()) && waitedMs < LEVEL_MS;
    waitedMs += 50
  ) {
    await Bun.sleep(50);
  }
  for (const guest of guests) guest.finish();
  if (first === null || world.isOver || world.random(2) === 0) return;
  await pause(world, FORGOTTEN_MS);
  if (!world.isOver) await comeBack(world, ledger, first);
}

/** A position of a room that was let go of is a gap, and nothing else. */
async function comeBack(world: World, ledger: Ledger, after: string): Promise<void> {
  ledger.forget();
  const trail = new Trail();
  trail.at(after);
  const way = pick(world.random, WITH_IDS);
  const figures = world.figures.way(way.name);
  const before = figures.gaps;
  figures.joins++;
  figures.resumes++;
  figures.gapsExpected++;
  const followed = new Map([[ledger.name, { ledger, trail, movedMs: 0 }]]);
  const starts = [{ channel: ledger.name, query: `after=${after}` }];
  const session = new Session({ world, name: ledger.name, way, followed, starts, cursor: null });
  // A raw poll tells of it with its answer, which comes after 5 s.
  for (let waitedMs = 0; trail.position === after && waitedMs < 30_000; waitedMs += 50) {
    await Bun.sleep(50);
  }
  if (figures.gaps === before || trail.position === after) {
    session.fault("gap", `it was let go of, and nobody is told of a gap after ${after}`);
  }
  session.leave();
}

/** Comes and goes, by any way, and resumes. */
class Guest {
  readonly #world: World;
  readonly #followed: Map<string, Followed>;
  readonly #ledger: Ledger;
  #session: Session;

  constructor(world: World, ledger: Ledger, query: string) {
    this.#world = world;
    this.#ledger = ledger;
    this.#followed = new Map([[ledger.name, { ledger, trail: new Trail(), movedMs: 0 }]]);
    this.#session = this.#open(query);
  }

  /** Maybe goes, and comes back at once. */
  step(): void {
    const { position } = this.#followed.get(this.#ledger.name)!.trail;
    if (this.#session.isOver) this.finish();
    else if (position === null || this.#world.random(5) !== 0) return;
    else this.#session.kill();
    this.#session = this.#open(position === null ? "" : `after=${position}`);
  }

  /** What it lacks of all that was acknowledged. */
  lacks(): string | null {
    const { trail } = this.#followed.get(this.#ledger.name)!;
    return this.#session.isOver ? null : this.#ledger.lacksNow(trail);
  }

  finish(): void {
    const { why } = this.#session;
    if (why !== null) this.#session.fault("other", `the server ended it: ${why}`);
    const lacks = this.lacks();
    if (lacks !== null) this.#session.fault("loss", `${this.#ledger.name}: has ${lacks}`);
    this.#session.leave();
  }

  #open(query: string): Session {
    const world = this.#world;
    const way = pick(world.random, WITH_IDS);
    const figures = world.figures.way(way.name);
    figures.joins++;
    if (query.includes("-")) figures.resumes++;
    const starts = [{ channel: this.#ledger.name, query }];
    return new Session({
      ...{ world, name: this.#ledger.name, way, followed: this.#followed },
      ...{ starts, cursor: null },
    });
  }
}
