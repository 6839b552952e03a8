import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CatchUp, pageOf } from "./catch-up.ts";
import type { Log } from "./log.ts";
import { LIVE, parsePosition, type Start } from "./position.ts";
import { AsyncLog, endTurn, openWorld, Recorder, type World } from "./testing.ts";

const PAGE = { count: 2, bytes: 1e6 };
const EARLIEST: Start = { from: "earliest" };

const after = (world: World, offset: number): Start => ({
  from: "after",
  position: parsePosition(`${world.channel.log.epoch}-${offset}`)!,
});

function filled(count: number, options = {}): World {
  const world = openWorld(options);
  for (let i = 0; i < count; i++) world.publish(`${i + 1}`);
  world.channel.fanOut.flush();
  return world;
}

function join({ channel }: World, start: Start, recorder = new Recorder(channel)): Recorder {
  recorder.catchUp = new CatchUp(channel, recorder, start, PAGE);
  recorder.catchUp.run();
  return recorder;
}

describe("CatchUp", () => {
  test("goes live at once, and hears what waits for the end of the turn once", () => {
    const world = filled(2);
    world.publish("3");
    const recorder = join(world, LIVE);
    world.publish("4");
    world.channel.fanOut.flush();
    expect(recorder.events).toEqual(["live 2", "3,4"]);
  });

  test("replays page by page, then goes live with no loss and no repeat", () => {
    const world = filled(5);
    world.publish("6");
    const recorder = join(world, after(world, 1));
    world.publish("7");
    world.channel.fanOut.flush();
    expect(recorder.events).toEqual(["replay 2,3", "replay 4,5", "live 5", "6,7"]);
  });

  test("repeats no message that was acknowledged and not sent out yet", async () => {
    const world = filled(2);
    const other = join(world, LIVE);
    const [mine] = world.publish("3");
    const recorder = join(world, after(world, mine!));
    expect(recorder.events).toEqual([]);
    await endTurn();
    world.publish("4");
    world.channel.fanOut.flush();
    expect(recorder.events).toEqual(["live 3", "4"]);
    expect(other.events).toEqual(["live 2", "3", "4"]);
  });

  test("tells of a gap first", () => {
    const world = filled(5, { size: 2 });
    expect(join(world, after(world, 1)).events).toEqual(["gap 1..3", "replay 4,5", "live 5"]);
  });

  test("tells of a gap with nothing to replay", () => {
    const world = filled(5, { size: 0 });
    expect(join(world, after(world, 1)).events).toEqual(["gap 1..5", "live 5"]);
    const foreign: Start = { from: "after", position: { epoch: "other", offset: 5 } };
    expect(join(world, foreign).events).toEqual(["gap other-5..5", "live 5"]);
  });

  test("joins between two batches of what is too much for one turn", async () => {
    const world = openWorld({ maxBatchBytes: 1 });
    const first = join(world, LIVE);
    world.publish("1", "2", "3", "4");
    await endTurn();
    const others = [LIVE, EARLIEST, after(world, 1), after(world, 3), after(world, 9)].map(
      (start) => join(world, start),
    );
    while (world.channel.fanOut.pendingBytes > 0) await endTurn();
    expect(first.events).toEqual(["live 0", "1", "2", "3", "4"]);
    expect(others.map(({ events }) => events)).toEqual([
      ["live 1", "2", "3", "4"],
      ["replay 1", "live 1", "2", "3", "4"],
      ["live 1", "2", "3", "4"],
      ["live 3", "4"],
      ["gap 9..1", "live 1", "2", "3", "4"],
    ]);
  });

  test("reads pages of 128 messages or a quarter of a buffer, up to a round offset", () => {
    const world = filled(300, { size: 1000 });
    const pages = (bufferBytes: number) => {
      const recorder = new Recorder(world.channel);
      new CatchUp(world.channel, recorder, EARLIEST, pageOf(bufferBytes)).run();
      return recorder.events.map((event) => event.split(",").length);
    };
    expect(pages(1 << 20)).toEqual([128, 128, 44, 1]);
    // 9 messages of one digit, 90 of two and 10 of three have 219 bytes.
    expect(pages(4 * 219)).toEqual([64, 64, 64, 64, 44, 1]);
  });
});

describe("CatchUp with a full buffer", () => {
  test("waits until it is drained, and reads on from there", () => {
    const world = filled(5);
    const recorder = new Recorder(world.channel);
    recorder.leavesRoom = false;
    join(world, EARLIEST, recorder);
    recorder.catchUp!.run();
    expect(recorder.events).toEqual(["replay 1,2"]);
    recorder.drain();
    expect(recorder.events).toEqual(["replay 1,2", "replay 3,4"]);
    recorder.leavesRoom = true;
    recorder.drain();
    recorder.drain();
    expect(recorder.events).toEqual(["replay 1,2", "replay 3,4", "replay 5", "live 5"]);
  });

  test("is given again what it did not take", () => {
    const world = filled(5);
    const recorder = new Recorder(world.channel);
    recorder.takes = 1;
    join(world, after(world, 1), recorder);
    expect(recorder.events).toEqual(["replay 2"]);
    recorder.drain();
    expect(recorder.events).toEqual(["replay 2", "replay 3"]);
    recorder.takes = 2;
    recorder.drain();
    expect(recorder.events.slice(2)).toEqual(["replay 4,5", "live 5"]);
  });

  test("tells of a gap where what it did not take is gone by then", () => {
    const world = filled(4, { size: 4 });
    const recorder = new Recorder(world.channel);
    recorder.takes = 1;
    join(world, EARLIEST, recorder);
    world.publish("5", "6");
    world.channel.fanOut.flush();
    recorder.takes = 9;
    recorder.drain();
    expect(recorder.events).toEqual(["replay 1", "gap 1..2", "replay 3,4", "replay 5,6", "live 6"]);
  });

  test("waits for room before it reads, where another fills the same buffer", () => {
    const world = filled(2);
    const recorder = new Recorder(world.channel);
    recorder.hasRoom = false;
    join(world, EARLIEST, recorder);
    expect(recorder.events).toEqual([]);
    recorder.drain();
    expect(recorder.events).toEqual(["replay 1,2", "live 2"]);
  });

  test("tells of what was evicted while it waited, in mid-stream", () => {
    const world = filled(4, { size: 4 });
    const recorder = new Recorder(world.channel);
    recorder.leavesRoom = false;
    join(world, EARLIEST, recorder);
    for (let i = 5; i <= 8; i++) world.publish(`${i}`);
    world.channel.fanOut.flush();
    recorder.leavesRoom = true;
    recorder.drain();
    expect(recorder.events).toEqual([
      "replay 1,2",
      "gap 2..4",
      "replay 5,6",
      "replay 7,8",
      "live 8",
    ]);
  });

  test("tells of what grew too old while it waited", () => {
    const world = filled(4, { ttlMs: 1000 });
    const recorder = new Recorder(world.channel);
    recorder.leavesRoom = false;
    join(world, EARLIEST, recorder);
    world.nowMs += 1000;
    recorder.leavesRoom = true;
    recorder.drain();
    expect(recorder.events).toEqual(["replay 1,2", "gap 2..4", "live 4"]);
  });

  test("is not live before it is drained, though it has read everything", () => {
    const world = filled(2);
    const recorder = new Recorder(world.channel);
    recorder.leavesRoom = false;
    join(world, EARLIEST, recorder);
    world.publish("3");
    world.channel.fanOut.flush();
    expect(recorder.events).toEqual(["replay 1,2"]);
    recorder.leavesRoom = true;
    recorder.drain();
    expect(recorder.events).toEqual(["replay 1,2", "replay 3", "live 3"]);
  });
});

describe("CatchUp.stop()", () => {
  test.each(["gap", "replay"])("within %s() ends it there", (name) => {
    const world = filled(5, { size: 4 });
    const recorder = new Recorder(world.channel);
    recorder.onEvent = (event) => {
      if (event.startsWith(name)) recorder.catchUp!.stop();
    };
    join(world, after(world, 0), recorder);
    recorder.drain();
    recorder.catchUp!.run();
    expect(recorder.events).toEqual(name === "gap" ? ["gap 0..1"] : ["gap 0..1", "replay 2,3"]);
  });

  test("while a page is read drops it", async () => {
    const world = openWorld({ wrap: (log) => new AsyncLog(log, endTurn) });
    await world.channel.publish([{ data: "1" }]);
    await endTurn();
    const recorder = join(world, EARLIEST);
    recorder.catchUp!.stop();
    for (let i = 0; i < 5; i++) await endTurn();
    expect(recorder.events).toEqual([]);
  });

  test("while the buffer is full ends it", () => {
    const world = filled(5);
    const recorder = new Recorder(world.channel);
    recorder.leavesRoom = false;
    join(world, EARLIEST, recorder);
    recorder.catchUp!.stop();
    recorder.drain();
    expect(recorder.events).toEqual(["replay 1,2"]);
  });
});

describe("CatchUp within a delivery", () => {
  test.each([
    ["live", () => LIVE, ["live 3", "4", "5"]],
    ["earliest", () => EARLIEST, ["replay 1,2", "replay 3", "live 3", "4", "5"]],
    ["the message just delivered", (world: World) => after(world, 3), ["live 3", "4", "5"]],
    ["a message published within it", (world: World) => after(world, 4), ["live 4", "5"]],
  ])("from %s joins when it is over, and hears nothing twice", async (_, start, expected) => {
    const world = filled(2);
    const first = join(world, LIVE);
    const joined: Recorder[] = [];
    first.onEvent = (event) => {
      if (event !== "3") return;
      world.publish("4");
      joined.push(join(world, start(world)));
      joined.push(join(world, start(world), new Recorder(world.channel, "group of its own")));
      for (const { events } of joined) expect(events).toEqual([]);
    };
    join(world, LIVE, new Recorder(world.channel, "served later"));
    world.publish("3");
    world.channel.fanOut.flush();
    expect(joined).toHaveLength(2);
    await endTurn();
    world.publish("5");
    world.channel.fanOut.flush();
    for (const { events } of joined) expect(events).toEqual(expected);
  });

  test("may be stopped before it is over", async () => {
    const world = filled(2);
    const first = join(world, LIVE);
    let late: Recorder | null = null;
    first.onEvent = (event) => {
      if (event !== "3") return;
      late = join(world, LIVE);
      late.catchUp!.stop();
    };
    world.publish("3");
    world.channel.fanOut.flush();
    await endTurn();
    expect(late!.events).toEqual([]);
    expect(world.channel.fanOut.size).toBe(1);
  });
});

describe("CatchUp.fail()", () => {
  const failing = (read: Log["read"]) => (log: Log) =>
    new Proxy(log, {
      get: (target, name) => {
        const value: unknown = name === "read" ? read : Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });

  test.each([
    [
      "throws",
      () => {
        throw new Error("disk");
      },
    ],
    ["rejects", () => Promise.reject(new Error("disk"))],
  ])("is told once when the log %s", async (_, read) => {
    const world = filled(2, { wrap: failing(read) });
    const recorder = join(world, EARLIEST);
    await endTurn();
    recorder.catchUp!.run();
    expect(recorder.events).toEqual(["fail disk"]);
  });

  test("is not told after stop()", async () => {
    const world = filled(2, { wrap: failing(() => Promise.reject(new Error("disk"))) });
    const recorder = join(world, EARLIEST);
    recorder.catchUp!.stop();
    await endTurn();
    expect(recorder.events).toEqual([]);
  });

  test("is told when a receiver throws at what a slow log read", async () => {
    const world = openWorld({ wrap: (log) => new AsyncLog(log, () => Promise.resolve()) });
    await world.channel.publish([{ data: "1" }]);
    await endTurn();
    const recorder = new Recorder(world.channel);
    recorder.onEvent = (event) => {
      if (event.startsWith("replay")) throw new Error("socket");
    };
    join(world, EARLIEST, recorder);
    await endTurn();
    expect(recorder.events).toEqual(["replay 1", "fail socket"]);
  });
});

describe("CatchUp over a log that takes its time", () => {
  test("leaves no hole and repeats nothing, in whatever order its answers come", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.nat(6), fc.nat(6), async (scheduler, from, more) => {
        const delay = (label: string) => scheduler.schedule(Promise.resolve(), label);
        const world = openWorld({ wrap: (log) => new AsyncLog(log, delay) });
        const publish = (count: number) =>
          void world.channel.publish(Array.from({ length: count }, () => ({ data: "x" })));
        publish(6);
        await scheduler.waitIdle();
        world.channel.fanOut.flush();
        const recorders = [
          join(world, after(world, from)),
          join(world, EARLIEST),
          join(world, LIVE),
        ];
        for (let i = 0; i < more; i++) publish(1);
        await scheduler.waitIdle();
        world.channel.fanOut.flush();
        await scheduler.waitIdle();
        await world.broker.close();
        const heard = recorders.map(({ events }) =>
          events
            .filter((event) => !event.startsWith("live"))
            .flatMap((event) => event.replace("replay ", "").split(",").map(Number)),
        );
        const all = Array.from({ length: 6 + more }, (_, i) => i + 1);
        expect(heard).toEqual([all.slice(from), all, all.slice(6)]);
        for (const { events } of recorders) {
          expect(events.filter((event) => event.startsWith("live"))).toHaveLength(1);
        }
      }),
      { numRuns: 100 },
    );
  });
});
