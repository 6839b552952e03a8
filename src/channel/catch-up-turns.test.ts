import { describe, expect, test } from "bun:test";
import { CatchUpTurns } from "./catch-up-turns.ts";
import { CatchUp, pageOf } from "./catch-up.ts";
import { LIVE, parsePosition, type Start } from "./position.ts";
import { AsyncLog, endTurn, openWorld, Recorder, type World } from "./testing.ts";

/** Ten messages in pages of two, of which one fits into a turn. */
function filled(turns = new CatchUpTurns(1)): World {
  const world = openWorld({ turns });
  for (let i = 1; i <= 10; i++) world.publish(`${i}`);
  world.channel.fanOut.flush();
  return world;
}

const after = (world: World, offset: number): Start => ({
  from: "after",
  position: parsePosition(`${world.channel.log.epoch}-${offset}`)!,
});

function join({ channel }: World, start: Start): Recorder {
  const recorder = new Recorder(channel);
  recorder.catchUp = new CatchUp(channel, recorder, start, { count: 2, bytes: 1e6 });
  recorder.catchUp.run();
  return recorder;
}

describe("CatchUpTurns", () => {
  test("let so many pages be written in a turn, and the next ones in the next", async () => {
    const world = filled();
    const recorder = join(world, after(world, 4));
    const seen = [...recorder.events];
    for (let turn = 0; turn < 3; turn++) {
      await endTurn();
      seen.push("turn", ...recorder.events.slice(seen.filter((each) => each !== "turn").length));
    }
    expect(seen).toEqual([
      "replay 5,6",
      "turn",
      "replay 7,8",
      "turn",
      "replay 9,10",
      "live 10",
      "turn",
    ]);
  });

  test("are taken by all in the order in which they came, one that came late included", async () => {
    const world = filled();
    const order: string[] = [];
    const joinAs = (name: string) => {
      const recorder = join(world, after(world, 6));
      recorder.onEvent = (event) => order.push(`${name} ${event}`);
      return recorder;
    };
    joinAs("first");
    joinAs("second");
    joinAs("third");
    await endTurn();
    joinAs("late");
    for (let turn = 0; turn < 10; turn++) await endTurn();
    // The first one wrote its first page, and asked for its next turn, before there was another.
    expect(order).toEqual([
      "first replay 9,10",
      "first live 10",
      "second replay 7,8",
      "third replay 7,8",
      "late replay 7,8",
      "second replay 9,10",
      "second live 10",
      "third replay 9,10",
      "third live 10",
      "late replay 9,10",
      "late live 10",
    ]);
  });

  test("let what is live out between two pages", async () => {
    const world = filled();
    const level = join(world, LIVE);
    const behind = Array.from({ length: 50 }, () => join(world, after(world, 8)));
    world.publish("11");
    await endTurn();
    expect(level.events).toEqual(["live 10", "11"]);
    expect(behind.filter(({ events }) => events.length > 0).length).toBeLessThan(5);
    while (behind.some(({ events }) => !events.some((event) => event.startsWith("live")))) {
      await endTurn();
    }
    world.publish("12");
    await endTurn();
    for (const { events } of behind) {
      expect(events.join(" ").match(/\d+/g)!.map(Number)).toContain(12);
      const offsets = events
        .filter((event) => !event.startsWith("live"))
        .flatMap((event) => event.replace("replay ", "").split(",").map(Number));
      expect(offsets).toEqual([9, 10, 11, 12]);
    }
  });

  test("are not waited for by one that is level, and not taken by one that has left", async () => {
    const world = filled();
    const [first, second, third] = [1, 2, 3].map(() => join(world, after(world, 8)));
    expect(join(world, LIVE).events).toEqual(["live 10"]);
    second!.catchUp!.stop();
    second!.catchUp!.drained();
    await endTurn();
    await endTurn();
    expect(first!.events).toEqual(["replay 9,10", "live 10"]);
    expect(second!.events).toEqual([]);
    expect(third!.events).toEqual(["replay 9,10", "live 10"]);
  });

  test("are shared by channels that are made with the same ones", async () => {
    const turns = new CatchUpTurns(1);
    const [one, two] = [filled(turns), filled(turns)];
    const [first, second] = [join(one, after(one, 8)), join(two, after(two, 8))];
    expect(first.events).toEqual(["replay 9,10", "live 10"]);
    expect(second.events).toEqual([]);
    await endTurn();
    expect(second.events).toEqual(["replay 9,10", "live 10"]);
  });

  test.each([
    [0, 1],
    [2, 1],
    [10, 5],
    [10_000, 16],
  ])("of %d ms have room for %d pages: as much time as all else had", async (ms, pages) => {
    let nowMs = 0;
    // A page of two messages of one byte counts for this.
    const world = filled(new CatchUpTurns(4096 + 2 * 65, () => nowMs));
    join(world, after(world, 7));
    const behind = Array.from({ length: 20 }, () => join(world, after(world, 8)));
    nowMs += ms;
    await endTurn();
    expect(behind.filter(({ events }) => events.length > 0)).toHaveLength(pages);
  });

  test("are over for one whose receiver throws, which is told so, and for no other", async () => {
    const world = filled();
    const [, second, third] = [1, 2, 3].map(() => join(world, after(world, 8)));
    second!.onEvent = (event) => {
      if (event.startsWith("replay")) throw new Error("socket");
    };
    for (let turn = 0; turn < 3; turn++) await endTurn();
    expect(second!.events).toEqual(["replay 9,10", "fail socket"]);
    expect(third!.events).toEqual(["replay 9,10", "live 10"]);
  });

  test("let no more pages of a log that takes its time be under way than a turn has room for", async () => {
    let reads = 0;
    const delay = async (label: string) => {
      if (label === "append") return;
      reads++;
      await new Promise(() => {});
    };
    const turns = new CatchUpTurns(3 * 4096, () => 0);
    const world = openWorld({ turns, wrap: (log) => new AsyncLog(log, delay) });
    await world.channel.publish(Array.from({ length: 10 }, (_, i) => ({ data: `${i}` })));
    world.channel.fanOut.flush();
    for (let i = 0; i < 20; i++) join(world, after(world, 8));
    const seen = [reads];
    for (let turn = 0; turn < 3; turn++) {
      await endTurn();
      seen.push(reads);
    }
    expect(seen).toEqual([3, 6, 9, 12]);
  });

  test("have room for a page that is larger than a turn's bytes", async () => {
    const world = openWorld({ turns: new CatchUpTurns(10) });
    for (let i = 1; i <= 3; i++) world.publish("x".repeat(1000));
    world.channel.fanOut.flush();
    const recorder = new Recorder(world.channel);
    const catchUp = new CatchUp(world.channel, recorder, after(world, 0), pageOf(4000));
    catchUp.run();
    for (let turn = 0; turn < 5; turn++) await endTurn();
    expect(recorder.events).toEqual(["replay 1", "replay 2", "replay 3", "live 3"]);
  });
});
