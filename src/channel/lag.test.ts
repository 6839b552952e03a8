/** What subscribers get that lag, and that they leave nothing behind. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { costOf } from "./fan-out.ts";
import { LagBudget } from "./lag-budget.ts";
import type { SlowPolicy } from "./lag.ts";
import { LagLife, PausingClient, type LagOperation } from "./lag.testing.ts";
import type { LagWindow } from "./lag-window.ts";
import type { Message } from "./message.ts";
import { AsyncLog, endTurn, openWorld, type World } from "./testing.ts";

/** Publishes one message for each key; a key in capitals is none. */
function publish({ channel }: World, keys: string): void {
  const drafts = [...keys].map((key) => ({ data: key, key: /[a-z]/.test(key) ? key : undefined }));
  void channel.publish(drafts);
  channel.fanOut.flush();
}

/** What a message of one character under a key of one character costs in a window. */
const COST = costOf({ size: 1, channel: "prices", event: undefined, key: "a" } as Message);

function lagging(policy: SlowPolicy, lagMessages = 100): [World, PausingClient] {
  const world = openWorld({ slow: policy, lagBudget: new LagBudget(lagMessages * COST) });
  const client = new PausingClient(world.channel, policy);
  client.room = 0;
  return [world, client];
}

describe("drop-oldest", () => {
  test("loses nothing that fits, and is live again in the same turn", () => {
    const [world, client] = lagging("drop-oldest");
    publish(world, "ab");
    publish(world, "a");
    expect(client.events).toEqual(["live 0"]);
    client.drain();
    publish(world, "b");
    expect(client.events).toEqual(["live 0", "replay 1,2,3", "live 3", "4"]);
  });

  test("tells of what does not fit, and gets the rest", () => {
    const [world, client] = lagging("drop-oldest", 4);
    publish(world, "abcd");
    publish(world, "efg");
    client.drain();
    expect(client.events).toEqual(["live 0", "gap 0..3", "replay 4,5,6", "replay 7", "live 7"]);
    expect(world.channel.laggards.dropped).toBe(3);
  });

  test("tells of what is dropped while it reads on", () => {
    const [world, client] = lagging("drop-oldest", 4);
    publish(world, "abcd");
    client.drain(2);
    publish(world, "efgh");
    client.drain();
    expect(client.events.slice(1)).toEqual([
      "replay 1,2",
      "gap 2..4",
      "replay 5,6,7",
      "replay 8",
      "live 8",
    ]);
  });

  test("keeps a message that is larger than the buffer, by itself", () => {
    const [world, client] = lagging("drop-oldest", 4);
    publish(world, "ab");
    void world.channel.publish([{ data: "x".repeat(1000) }]);
    world.channel.fanOut.flush();
    client.drain();
    expect(client.events.slice(1)).toEqual(["gap 0..2", "replay 3", "live 3"]);
  });
});

describe("latest", () => {
  test("gets the newest of each key, with a gap before each hole", () => {
    const [world, client] = lagging("latest");
    publish(world, "aabca");
    publish(world, "bb");
    client.drain();
    expect(client.events.slice(1)).toEqual([
      "gap 0..3",
      "replay 4,5",
      "gap 5..6",
      "replay 7",
      "live 7",
    ]);
    expect(world.channel.laggards.dropped).toBe(4);
  });

  test("takes messages without a key as of one key together", () => {
    const [world, client] = lagging("latest");
    publish(world, "AaBb");
    client.drain();
    expect(client.events.slice(1)).toEqual(["gap 0..1", "replay 2,3,4", "live 4"]);
  });

  test("keeps no more keys than fit, the newest", () => {
    const [world, client] = lagging("latest", 3);
    publish(world, "abcdeb");
    client.drain();
    expect(client.events.slice(1)).toEqual(["gap 0..3", "replay 4,5,6", "live 6"]);
  });

  test("replaces what was read and could not be given", () => {
    const [world, client] = lagging("latest");
    publish(world, "abc");
    client.drain(1);
    publish(world, "b");
    client.drain();
    expect(client.events.slice(1)).toEqual(["replay 1", "gap 1..2", "replay 3,4", "live 4"]);
  });
});

describe("Laggards", () => {
  test("are of any group, and share one window, wherever in the round it stands", () => {
    const world = openWorld({ slow: "latest", lagBudget: new LagBudget(1e6) });
    const clients = ["first", "second"].map(
      (key) => new PausingClient(world.channel, "latest", key),
    );
    clients[0]!.room = 0;
    publish(world, "a");
    // Now the window is served before this group.
    const late = new PausingClient(world.channel, "latest", "third");
    late.room = 0;
    clients[1]!.room = 0;
    publish(world, "b");
    publish(world, "b");
    expect(world.channel.laggards.size).toBe(3);
    for (const client of [...clients, late]) client.drain();
    expect(clients[0]!.events).toEqual(["live 0", "replay 1", "gap 1..2", "replay 3", "live 3"]);
    expect(clients[1]!.events).toEqual(["live 0", "1", "gap 1..2", "replay 3", "live 3"]);
    expect(late.events).toEqual(["live 1", "gap 1..2", "replay 3", "live 3"]);
    expect(world.channel.laggards.size).toBe(0);
  });

  test("leave nothing behind, and who lags later gets nothing from before", () => {
    const [world, client] = lagging("drop-oldest");
    publish(world, "ab");
    const window = world.channel.fanOut.group<LagWindow>("lag/drop-oldest", () => {
      throw new Error("no window");
    });
    expect(window.bytes).toBe(2 * COST);
    client.drain();
    expect([window.size, window.bytes]).toEqual([0, 0]);
    client.room = 0;
    publish(world, "c");
    client.drain();
    expect(client.events.slice(1)).toEqual(["replay 1,2", "live 2", "replay 3", "live 3"]);
    publish(world, "d");
    publish(world, "e");
    expect(world.channel.fanOut.size).toBe(1);
    client.room = 0;
    publish(world, "f");
    client.leave();
    publish(world, "g");
    expect(world.channel.fanOut.size).toBe(0);
    expect(world.channel.laggards.size).toBe(0);
  });

  test("of two policies, after the channel's was changed, have a window each", () => {
    const world = openWorld({ lagBudget: new LagBudget(1e6) });
    const oldest = new PausingClient(world.channel, "drop-oldest");
    const latest = new PausingClient(world.channel, "latest");
    oldest.room = latest.room = 0;
    publish(world, "aa");
    oldest.drain();
    latest.drain();
    expect(oldest.events.slice(1)).toEqual(["replay 1,2", "live 2"]);
    expect(latest.events.slice(1)).toEqual(["gap 0..1", "replay 2", "live 2"]);
  });

  test("that have room within a delivery go on after it", () => {
    const world = openWorld({ slow: "drop-oldest", lagBudget: new LagBudget(1e6) });
    const slow = new PausingClient(world.channel, "drop-oldest", "first");
    const other = new PausingClient(world.channel, "drop-oldest", "second");
    slow.room = 0;
    other.onEvent = () => {
      slow.drain();
      expect(slow.events).toEqual(["live 0"]);
    };
    publish(world, "a");
    expect(slow.events).toEqual(["live 0", "replay 1", "live 1"]);
  });

  test("read no log, however slow it is", async () => {
    const world = openWorld({
      lagBudget: new LagBudget(1e6),
      size: 0,
      wrap: (log) => new AsyncLog(log, () => Promise.resolve()),
    });
    const client = new PausingClient(world.channel, "drop-oldest");
    client.room = 0;
    await world.channel.publish([{ data: "1" }, { data: "2" }]);
    await endTurn();
    client.drain();
    expect(client.events).toEqual(["live 0", "replay 1,2", "live 2"]);
  });
});

describe("LagBudget", () => {
  const open = (budget: LagBudget) => openWorld({ slow: "drop-oldest", lagBudget: budget });
  /** Stalled; of one connection, where it is given. */
  const stalled = ({ channel }: World, connection?: object) => {
    const client = new PausingClient(channel, "drop-oldest");
    if (connection) client.connection = connection;
    client.room = 0;
    return client;
  };

  test("is one window for a connection that lags in many channels", () => {
    const budget = new LagBudget(8 * COST);
    const worlds = Array.from({ length: 4 }, () => open(budget));
    const socket = {};
    const clients = worlds.map((world) => stalled(world, socket));
    for (let round = 0; round < 5; round++) for (const world of worlds) publish(world, "ab");
    expect(budget.bytes).toBe(8 * COST);
    for (const client of clients) {
      client.drain();
      expect([client.state, client.at]).toEqual(["live", 10]);
    }
    expect(budget.bytes).toBe(0);
  });

  test("is one more for each connection, and no more than one for a channel", () => {
    const budget = new LagBudget(8 * COST);
    const worlds = [open(budget), open(budget), open(budget)];
    for (const world of worlds) stalled(world);
    stalled(worlds[0]!);
    for (const world of worlds) publish(world, "abcdefghijkl");
    expect(budget.bytes).toBe(24 * COST);
  });

  test("leaves each channel one message, however much it is over", () => {
    const budget = new LagBudget(2 * COST);
    const worlds = Array.from({ length: 5 }, () => open(budget));
    const socket = {};
    const clients = worlds.map((world) => stalled(world, socket));
    for (const world of worlds) publish(world, "abc");
    for (const client of clients) client.drain();
    const last = clients.map(({ events }) => events.slice(-3));
    for (const events of last.slice(1)) expect(events).toEqual(["gap 0..2", "replay 3", "live 3"]);
  });
});

const which = fc.nat(5);
const operation: fc.Arbitrary<LagOperation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      drafts: fc.array(
        fc.record({
          key: fc.constantFrom(undefined, "a", "b", "c", "d"),
          size: fc.oneof({ weight: 5, arbitrary: fc.nat(5) }, fc.nat(900)),
        }),
        { minLength: 1, maxLength: 5 },
      ),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constantFrom("flush", "flush", "stall" as const), which }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      which,
      key: fc.constantFrom("0", "1", "2"),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("drain" as const),
      which,
      room: fc.oneof(fc.nat(4), fc.constant(Infinity)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("meddle" as const),
      which,
      by: which,
      does: fc.constantFrom("drain", "leave", "stall" as const),
    }),
  },
);

test.each(["drop-oldest", "latest"] as const)(
  "%s: ids rise, each hole is announced and no other, whoever stalls and goes on, in any order",
  (policy) => {
    fc.assert(
      fc.property(
        fc.constantFrom(300, 1000, Infinity),
        fc.constantFrom(1, 500, 1_000_000),
        fc.array(operation, { maxLength: 80, size: "max" }),
        (lagBytes, maxBatchBytes, operations) => {
          const life = new LagLife({ policy, lagBytes, maxBatchBytes });
          for (const each of operations) life.operate(each);
          life.end();
        },
      ),
      { numRuns: 1500 },
    );
  },
);
