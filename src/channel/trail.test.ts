import { describe, expect, test } from "bun:test";
import { MemoryBroker } from "../broker/memory.ts";
import { Channel } from "./channel.ts";
import type { Message } from "./message.ts";
import { TransformFailure, type Transform } from "./pipeline.ts";
import { currentTrail, isSameTrail, withTrail, withTrailUntilSettled } from "./trail.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("withTrail()", () => {
  test("holds for all that the work sets going, and for nothing beside it", async () => {
    const seen: unknown[] = [];
    const work = async () => {
      seen.push(currentTrail());
      await turn();
      seen.push(currentTrail());
      await new Promise<void>((resolve) =>
        setTimeout(() => (seen.push(currentTrail()), resolve())),
      );
    };
    expect(currentTrail()).toBeNull();
    const working = withTrail(["a"], work);
    expect(currentTrail()).toBeNull();
    await working;
    expect(currentTrail()).toBeNull();
    expect(seen).toEqual([["a"], ["a"], ["a"]]);
    withTrail(["a"], () => withTrail(null, () => expect(currentTrail()).toBeNull()));
  });

  test("until settled is forgotten by what goes on after it", async () => {
    let later = Promise.resolve();
    const gate = Promise.withResolvers<void>();
    await withTrailUntilSettled(["a"], async () => {
      later = gate.promise.then(() => expect(currentTrail()).toBeNull());
      await turn();
      expect(currentTrail()).toEqual(["a"]);
    });
    gate.resolve();
    await later;
    await expect(
      withTrailUntilSettled(["a"], () => Promise.reject(new Error("bad"))),
    ).rejects.toThrow("bad");
  });
});

test("isSameTrail() compares what was passed, and in which order", () => {
  expect(isSameTrail(null, null)).toBe(true);
  expect(isSameTrail(["a", "b"], ["a", "b"])).toBe(true);
  for (const other of [null, ["a"], ["b", "a"], ["a", "b", "c"]]) {
    expect(isSameTrail(["a", "b"], other)).toBe(false);
    expect(isSameTrail(other, ["a", "b"])).toBe(false);
  }
});

describe("a channel", () => {
  const later: Transform = async (draft) => {
    await turn();
    return { data: [draft.data, currentTrail()] };
  };
  const atOnce: Transform = (draft) => ({ data: [draft.data, currentTrail()] });
  const batches: string[][] = [];
  const batched: Transform = Object.assign(atOnce.bind(null), {
    batch: async (drafts: readonly { data: unknown }[]) => {
      await turn();
      batches.push(drafts.map(({ data }) => String(data)));
      return drafts.map((draft) =>
        draft.data === "bad"
          ? new TransformFailure(new Error("bad"))
          : (atOnce(draft) as { data: unknown }),
      );
    },
  });

  function open(transforms: readonly Transform[]) {
    const committed: Message[] = [];
    const channel = new Channel({
      name: "b",
      maxBytes: 1000,
      maxWaiting: 1000,
      maxBatchBytes: 1e6,
      transforms,
      onTransformError: () => {},
      onFanOutError: () => {},
      onCommit: (batch) => void committed.push(...batch),
      openLog: (onCommit) => new MemoryBroker().open("b", { size: 10, ttlMs: 60_000 }, onCommit),
    });
    return { channel, committed };
  }

  test.each([
    ["at once", atOnce],
    ["later", later],
    ["many at once", batched],
  ])("keeps each message's own trail where a transform answers %s", async (_how, transform) => {
    const { channel, committed } = open([transform]);
    const trails = [null, ["a"], ["a"], null, ["c", "a"], null];
    const all = trails.map((trail, n) =>
      withTrail(trail, () => channel.publish([{ data: String(n) }])),
    );
    withTrail(["d"], () => channel.inject(() => ({ data: "emitted" }), 0));
    await Promise.all(all);
    while (committed.length < 7) await turn();
    expect(committed.map(({ trail }) => trail)).toEqual([...trails, ["d"]]);
    expect(committed.map(({ data }) => data)).toEqual([
      ...trails.map((trail, n) => [String(n), trail]),
      ["emitted", ["d"]],
    ]);
  });

  test("takes those of one trail through a transform for many together", () => {
    expect(batches).toContainEqual(["1", "2"]);
    expect(batches.every((batch) => batch.length <= 2)).toBe(true);
  });
});
