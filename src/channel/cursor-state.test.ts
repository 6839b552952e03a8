import { describe, expect, test } from "bun:test";
import { Cursor, type Step } from "./cursor.ts";
import { parseResume } from "./position.ts";
import { openWorld, type World, type WorldOptions } from "./testing.ts";

const PAIR = { count: 2, bytes: 1e6 };
const STATE = { from: "state", place: null } as const;

/** A channel whose keys were published in this order, and sent out; `-a` deletes a, `.` has no key. */
function filled(keys: string, options: WorldOptions = {}): World {
  const world = openWorld({ latestByKey: true, ...options });
  put(world, keys);
  world.channel.fanOut.flush();
  return world;
}

function put({ channel }: World, keys: string): void {
  for (const each of keys.split(" ")) {
    const key = each === "." ? undefined : each.replace("-", "");
    channel.publish([{ key, data: each.startsWith("-") ? null : 1 }]);
  }
}

/** What one read gives: offsets, and where the cursor is after it. */
function read(cursor: Cursor, world: World): [offsets: string, place: string] {
  const { messages, gap } = cursor.read(PAIR) as Step;
  const own = (text: string) => text.replace(`${world.channel.log.epoch}-`, "");
  const told = gap ? `gap ${own(gap.after)}..${own(gap.id)} ` : "";
  return [told + messages.map(({ offset }) => offset).join(), own(cursor.position)];
}

describe("Cursor from the state", () => {
  test("gives the newest of each key through what was sent out, then goes on as any other", () => {
    const world = filled("a b . c a -b d");
    const cursor = new Cursor(world.channel, STATE);
    expect(cursor.isLevel).toBe(false);
    expect(read(cursor, world)).toEqual(["4,5", "5~7"]);
    put(world, "e d");
    world.channel.fanOut.flush();
    // The newest d comes as what changed.
    expect(read(cursor, world)).toEqual(["", "7~7"]);
    expect(read(cursor, world)).toEqual(["8,9", "9"]);
    expect(cursor.isLevel).toBe(true);
  });

  test("begins with what was sent out, and leaves to the fan-out what is committed and was not", () => {
    const world = filled("a b");
    put(world, "b c");
    const cursor = new Cursor(world.channel, STATE);
    expect(read(cursor, world)).toEqual(["1", "2"]);
    expect(cursor.isLevel).toBe(true);
  });

  test("is level at once where nothing was published, and tells of what is lost from there on", () => {
    const world = openWorld({ latestByKey: true, size: 1 });
    const cursor = new Cursor(world.channel, STATE);
    expect(cursor.isLevel).toBe(true);
    expect(cursor.position).toEndWith("-0");
    put(world, ". b");
    world.channel.fanOut.flush();
    expect(read(cursor, world)).toEqual(["gap 0..1 2", "2"]);
  });

  test.each(["-a a a", "a . a"])(
    "tells of a gap where of %p, which came since it was begun, the history and the state have lost some",
    (keys) => {
      const world = filled("a b c", { size: 1 });
      const cursor = new Cursor(world.channel, STATE);
      expect(read(cursor, world)).toEqual(["1,2", "2~3"]);
      put(world, keys);
      world.channel.fanOut.flush();
      expect(read(cursor, world)).toEqual(["3", "3~3"]);
      expect(read(cursor, world)).toEqual(["gap 3..5 6", "6"]);
      put(world, "a b");
      world.channel.fanOut.flush();
      // From here on the client has no whole state.
      expect(read(cursor, world)).toEqual(["gap 6..7 8", "8"]);
    },
  );

  test("reads the state on where of what came since it was begun all but the newest of each key is gone", () => {
    const world = filled("-x a b c", { size: 1 });
    const cursor = new Cursor(world.channel, STATE);
    expect(read(cursor, world)).toEqual(["2,3", "3~4"]);
    put(world, "a a d b");
    world.channel.fanOut.flush();
    put(world, "d");
    expect(read(cursor, world)).toEqual(["4", "4~4"]);
    const { epoch } = world.channel.log;
    const other = new Cursor(world.channel, parseResume(`${epoch}-4~4`)!);
    for (const each of [cursor, other]) {
      // The newest d was not sent out yet.
      expect(read(each, world)).toEqual(["6,8", "8"]);
      expect(each.isLevel).toBe(true);
    }
    world.channel.fanOut.flush();
    put(world, "e f");
    world.channel.fanOut.flush();
    expect(read(cursor, world)).toEqual(["9,10", "10~10"]);
    expect(read(cursor, world)).toEqual(["11", "11"]);
    const plain = new Cursor(world.channel, parseResume(`${epoch}-8`)!);
    expect(read(plain, world)).toEqual(["gap 8..10 11", "11"]);
  });

  test("rewind() takes back what was read, though the state was at its end", () => {
    const world = filled("a b -a");
    put(world, "c");
    world.channel.fanOut.flush();
    const cursor = new Cursor(world.channel, STATE);
    const { messages } = cursor.read(PAIR) as Step;
    expect(messages.map(({ offset }) => offset)).toEqual([2, 4]);
    cursor.rewind(messages[1]!);
    expect(cursor.isLevel).toBe(false);
    expect(read(cursor, world)).toEqual(["4", "4"]);
  });

  test("goes on from a place within the state, and from its end", () => {
    const world = filled("a b c d .");
    const at = (text: string) => parseResume(`${world.channel.log.epoch}-${text}`)!;
    expect(read(new Cursor(world.channel, at("2~5")), world)).toEqual(["3,4", "5"]);
    expect(read(new Cursor(world.channel, at("2~3")), world)).toEqual(["3", "3~3"]);
    expect(new Cursor(world.channel, at("5~5")).isLevel).toBe(true);
  });

  test("takes a place of another epoch, or ahead of the log, for one that is lost", () => {
    const world = filled("a b c");
    const { epoch } = world.channel.log;
    const foreign = new Cursor(world.channel, parseResume("other-1~2")!);
    expect(read(foreign, world)).toEqual(["gap other-1~2..0 1,2", "2"]);
    const ahead = new Cursor(world.channel, parseResume(`${epoch}-1~9`)!);
    expect(read(ahead, world)).toEqual(["gap 1~9..3 ", "3"]);
    expect(ahead.isLevel).toBe(true);
  });

  test("goes on with history, or a gap, where the state is no longer kept", () => {
    const world = filled("a b c d", { size: 2 });
    const cursor = new Cursor(world.channel, STATE);
    expect(read(cursor, world)).toEqual(["1,2", "2~4"]);
    const early = new Cursor(world.channel, STATE);
    world.channel.log.retain({ size: 2, ttlMs: Infinity });
    expect(read(cursor, world)).toEqual(["", "2"]);
    expect(read(cursor, world)).toEqual(["3,4", "4"]);
    expect(read(early, world)).toEqual(["", "0"]);
    expect(read(early, world)).toEqual(["gap 0..2 3,4", "4"]);
  });
});
