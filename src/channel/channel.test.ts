import { describe, expect, test } from "bun:test";
import { CatchUp } from "./catch-up.ts";
import type { Channel } from "./channel.ts";
import { ChannelError } from "./errors.ts";
import type { Message } from "./message.ts";
import { LIVE } from "./position.ts";
import { AsyncLog, endTurn, openWorld, Recorder } from "./testing.ts";

const PAGE = { count: 10, bytes: 1000 };

describe("Channel.publish()", () => {
  test("answers after the commit, with the ids, and sends out when the turn ends", async () => {
    const batches: (readonly Message[])[] = [];
    const { channel } = openWorld({ onCommit: (batch) => batches.push(batch) });
    const recorder = new Recorder(channel);
    new CatchUp(channel, recorder, LIVE, PAGE).run();
    const committed = channel.publish([{ data: "a" }, { data: "b" }]) as readonly Message[];
    expect(committed.map(({ id }) => id)).toEqual([1, 2].map((n) => `${channel.log.epoch}-${n}`));
    expect(batches).toEqual([committed]);
    expect(channel.position).toBe(committed[1]!.id);
    expect(channel.published).toBe(2);
    expect(recorder.events).toEqual(["live 0"]);
    await endTurn();
    expect(recorder.events).toEqual(["live 0", "1,2"]);
  });

  test("commits nothing for no drafts, or when transforms drop all", () => {
    const batches: unknown[] = [];
    const onCommit = (batch: unknown) => batches.push(batch);
    expect(openWorld({ onCommit }).channel.publish([])).toEqual([]);
    const { channel } = openWorld({ onCommit, transforms: [() => null] });
    expect(channel.publish([{ data: 1 }])).toEqual([]);
    expect(channel.position).toBe(`${channel.log.epoch}-0`);
    expect(batches).toEqual([]);
  });

  test("throws what refuses a draft, and commits none of the call", () => {
    const { channel } = openWorld();
    expect(() => channel.publish([{ data: "a" }, { data: "x".repeat(1025) }])).toThrow(
      ChannelError,
    );
    expect(channel.log.top).toBe(0);
  });

  test("keeps the order of the calls over a log that takes its time", async () => {
    const { channel } = openWorld({ wrap: (log) => new AsyncLog(log, endTurn) });
    const calls = ["a", "b", "c"].map((data) => channel.publish([{ data }]));
    const committed = (await Promise.all(calls)).flat();
    expect(committed.map(({ offset, data }) => `${offset}${data}`)).toEqual(["1a", "2b", "3c"]);
  });
});

describe("Channel with more to send out than its turns take", () => {
  /** Takes messages of a thousand bytes until it refuses one. */
  function fill(channel: Channel): number {
    for (let taken = 0; ; taken++) {
      try {
        void channel.publish([{ data: "x".repeat(1000) }]);
      } catch (error) {
        expect(error).toMatchObject({ code: "overloaded" });
        return taken;
      }
    }
  }

  test("refuses further messages until some went out, and loses none", async () => {
    const { channel } = openWorld({ maxBytes: 1000, maxBatchBytes: 1000, size: 0 });
    const recorder = new Recorder(channel);
    new CatchUp(channel, recorder, LIVE, PAGE).run();
    const taken = fill(channel);
    expect(taken).toBeGreaterThan(20);
    expect(() => channel.inject(() => ({ data: 1 }), 0)).toThrow("more to send out");
    await endTurn();
    await endTurn();
    expect(fill(channel)).toBe(2);
    await channel.close();
    const all = Array.from({ length: taken + 2 }, (_, i) => `${i + 1}`);
    expect(recorder.events.slice(1)).toEqual(all);
  });
});

describe("Channel.inject()", () => {
  test("commits like any publish", () => {
    const { channel } = openWorld({ transforms: [() => null] });
    const committed = channel.inject(() => ({ data: "held" }), 1) as readonly Message[];
    expect(committed.map(({ data }) => data)).toEqual(["held"]);
  });
});

describe("Channel.fanOut", () => {
  test("counts the members of all groups", () => {
    const { channel } = openWorld();
    for (const key of ["a", "a", "b"])
      new CatchUp(channel, new Recorder(channel, key), LIVE, PAGE).run();
    expect(channel.fanOut.size).toBe(3);
  });
});

describe("Channel.close()", () => {
  test("refuses what comes later", async () => {
    const { channel } = openWorld();
    const closed = channel.close();
    const refusal = `channel "prices" is closed`;
    expect(() => channel.publish([{ data: 1 }])).toThrow(refusal);
    expect(() => channel.inject(() => null, 0)).toThrow(refusal);
    await closed;
  });

  test("commits what waits for transforms and sends everything out", async () => {
    const { channel } = openWorld({ transforms: [(draft) => endTurn().then(() => draft)] });
    const recorder = new Recorder(channel);
    new CatchUp(channel, recorder, LIVE, PAGE).run();
    const calls = [channel.publish([{ data: "a" }]), channel.publish([{ data: "b" }])];
    await channel.close();
    expect(recorder.events.slice(1).join()).toBe("1,2");
    expect((await Promise.all(calls)).flat()).toHaveLength(2);
  });

  test("waits for commits under way, failed ones too, before it closes the log", async () => {
    const steps: string[] = [];
    let commits = 0;
    const { channel } = openWorld({
      wrap: (inner) => {
        const log = new AsyncLog(inner, async () => {
          await endTurn();
          if (++commits === 2) throw new Error("disk full");
          steps.push("commit");
        });
        log.close = () => void steps.push("close");
        return log;
      },
    });
    const calls = ["a", "b", "c"].map((data) => channel.publish([{ data }]) as Promise<unknown>);
    const settled = Promise.allSettled(calls);
    await channel.close();
    expect(steps).toEqual(["commit", "commit", "close"]);
    expect((await settled).map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
  });
});
