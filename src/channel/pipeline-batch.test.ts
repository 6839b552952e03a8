import { describe, expect, test } from "bun:test";
import type { Draft } from "./message.ts";
import { TransformFailure, type BatchResult, type Transform } from "./pipeline.ts";
import { append, openPipeline, settle } from "./pipeline.testing.ts";

/** A batch transform that is answered by hand, one batch at a time. */
function batches(onError?: Transform["onError"]) {
  const calls: {
    data: unknown[];
    texts: readonly (string | undefined)[];
    answer: () => Promise<void>;
  }[] = [];
  const one = (draft: Draft): BatchResult => {
    if (draft.data === "bad") return new TransformFailure(new Error("boom"));
    if (draft.data === "nonsense") return 5 as never;
    if (draft.data === "two") return [draft, { data: "second" }];
    return draft.data === "none" ? null : { ...draft, data: `${draft.data as string}!` };
  };
  const batch: Transform["batch"] = (drafts, texts) =>
    new Promise((resolve) => {
      const answer = async () => {
        resolve(drafts.map(one));
        await settle();
      };
      calls.push({ data: drafts.map(({ data }) => data), texts, answer });
    });
  const transform: Transform = Object.assign(() => null, { batch, ...(onError && { onError }) });
  return { transform, calls };
}

describe("A batch transform", () => {
  test("is given a whole run at once, and what it gives is committed in order", async () => {
    const { transform, calls } = batches();
    const { run } = openPipeline([append("1"), transform, append("2")]);
    const result = run("a", "b", "c");
    expect(calls[0]!.data).toEqual(["a1", "b1", "c1"]);
    await calls[0]!.answer();
    expect(await result).toEqual(["a1!2", "b1!2", "c1!2"]);
  });

  test("is given runs together that wait behind one another, each with a commit and an answer of its own", async () => {
    const { transform, calls } = batches();
    const { run, batches: committed } = openPipeline([transform]);
    const all = [run("a"), run("b"), run("c", "none"), run("two")];
    expect(calls.map(({ data }) => data)).toEqual([["a"]]);
    await calls[0]!.answer();
    expect(calls.map(({ data }) => data)).toEqual([["a"], ["b", "c", "none", "two"]]);
    await calls[1]!.answer();
    expect(await Promise.all(all)).toEqual([["a!"], ["b!"], ["c!"], ["two", "second"]]);
    expect(committed).toEqual([["a!"], ["b!"], ["c!"], ["two", "second"]]);
  });

  test("has none of its drafts on their way when an injected function is called", async () => {
    const { transform, calls } = batches();
    const { run, inject, batches: committed } = openPipeline([transform]);
    const seen: number[] = [];
    void run("a");
    void inject(() => {
      seen.push(committed.length);
      return { data: "injected" };
    }, 1);
    void run("b");
    await calls[0]!.answer();
    await calls[1]!.answer();
    expect(seen).toEqual([1]);
    expect(committed).toEqual([["a!"], ["injected"], ["b!"]]);
  });

  test("is given no more at a time than a group may hold", async () => {
    const { transform, calls } = batches();
    const { run } = openPipeline([transform], { maxWaiting: 10_000, maxBytes: 600_000 });
    const all = [run("first"), ...Array.from({ length: 1500 }, (_, n) => run(`${n}`))];
    const large = ["x", "y"].map((letter) => run(letter.repeat(600_000)));
    for (let i = 0; i < 5; i++) await calls[i]?.answer();
    expect(calls.map(({ data }) => data.length)).toEqual([1, 1024, 477, 1]);
    await Promise.all([...all, ...large]);
  });

  test("is given the JSON text of data that nothing has touched", async () => {
    for (const [chain, text] of [
      [[], `{ "n": 1.0 }`],
      [[append("")], undefined],
    ] as const) {
      const { transform, calls } = batches();
      const { pipeline, commit } = openPipeline([...chain, transform]);
      void pipeline.run([{ data: { n: 1 }, raw: `{ "n": 1.0 }` }], commit);
      expect(calls[0]!.texts).toEqual([text]);
      await calls[0]!.answer();
    }
  });

  test.each([
    ["drop", [["a!"], ["c!"]], ["a", "c"]],
    ["pass", [["a!"], ["bad", "c!"], ["nonsense"]], []],
    ["stop", [["a!"]], []],
  ] as const)(
    "that fails on a draft leaves by %s what it says, of each run alone",
    async (onError, wanted) => {
      const { transform, calls } = batches(onError);
      const { run, batches: committed, errors } = openPipeline([transform]);
      const all = [run("a"), run("bad", "c"), run("nonsense")].map(async (result) => {
        try {
          return ((await result) as string[]).join();
        } catch (error) {
          return (error as Error).message;
        }
      });
      await calls[0]!.answer();
      await calls[1]!.answer();
      const answers = await Promise.all(all);
      expect(committed.filter((batch) => batch.length > 0)).toEqual(
        wanted.map((batch) => [...batch]),
      );
      expect(errors.map(([index]) => index)).toEqual([0, 0]);
      if (onError === "stop") {
        expect(answers).toEqual(["a!", "boom", expect.stringContaining("a number")]);
      }
    },
  );
});

describe("A transform of one draft at a time, failing,", () => {
  const failing = (onError: "drop" | "pass" | "stop", isSlow: boolean): Transform => {
    const give = (draft: Draft) => {
      if ((draft.data as { bad?: boolean }).bad) {
        (draft.data as { changed?: boolean }).changed = true;
        throw new Error("boom");
      }
      return draft;
    };
    const transform = (draft: Draft) =>
      isSlow ? Promise.resolve().then(() => give(draft)) : give(draft);
    return Object.assign(transform, { onError });
  };
  for (const isSlow of [false, true]) {
    const when = isSlow ? "later" : "at once";
    test(`passes on what it was before, its JSON text too, ${when}`, async () => {
      const { pipeline, commit, batches: committed } = openPipeline([failing("pass", isSlow)]);
      const raw = `{"bad":true, "n":12345678901234567890}`;
      await pipeline.run([{ data: JSON.parse(raw), raw }, { data: { n: 1 } }], commit);
      expect(committed).toEqual([[raw, `{"n":1}`]]);
    });

    test(`refuses its run alone with the error, ${when}`, async () => {
      const { run, batches: committed, errors } = openPipeline([failing("stop", isSlow)]);
      const refused = (async () => run({ n: 0 }, { bad: true }, { n: 2 }))();
      await expect(refused).rejects.toThrow("boom");
      await run({ n: 3 });
      expect(committed).toEqual([[`{"n":3}`]]);
      expect(errors).toEqual([[0, "boom"]]);
    });
  }

  test("is told of by the error that the one who counts makes of it", async () => {
    const told = new RangeError("told");
    const { run } = openPipeline([failing("stop", false)], { onTransformError: () => told });
    expect(() => run({ bad: true })).toThrow(told);
  });

  test("is refused too where what is left can't be a message", () => {
    const huge: Transform = Object.assign(() => ({ data: "x".repeat(2000) }), {
      onError: "stop" as const,
    });
    const { run, batches: committed } = openPipeline([huge]);
    expect(() => run("a")).toThrow("at most 1024 are allowed");
    expect(committed).toEqual([]);
  });
});
