import { describe, expect, test } from "bun:test";
import { SchemaError } from "./errors.ts";
import type { SealedDraft } from "./message.ts";
import type { IncomingDraft, Transform } from "./pipeline.ts";
import { append, gate, later, openPipeline, settle } from "./pipeline.testing.ts";

describe("Pipeline.run() with synchronous transforms", () => {
  test("commits in this very call, with no promise", () => {
    const { run, batches } = openPipeline([append("1"), append("2")]);
    expect(run("a", "b")).toEqual(["a12", "b12"]);
    expect(batches).toEqual([["a12", "b12"]]);
  });

  test("commits at once without transforms, with the JSON text as it came", () => {
    const { pipeline } = openPipeline([]);
    const draft: IncomingDraft = { data: { n: 1 }, raw: `{ "n": 1.0 }` };
    expect(pipeline.run([draft], ([sealed]) => sealed!.text)).toBe(`{ "n": 1.0 }`);
  });

  test("splits, drops and passes a batch on in order", () => {
    const split: Transform = (draft) => {
      if (draft.data === "b") return null;
      return draft.data === "c" ? [{ data: "c1" }, { data: "c2" }] : draft;
    };
    expect(openPipeline([split, append("!")]).run("a", "b", "c", "d")).toEqual([
      "a!",
      "c1!",
      "c2!",
      "d!",
    ]);
    expect(openPipeline([() => []]).run("a")).toEqual([]);
    expect(openPipeline([() => null]).run("a")).toEqual([]);
  });

  test("splits one draft into very many", () => {
    const many: Transform = () => Array.from({ length: 300_000 }, () => ({ data: "x" }));
    expect(openPipeline([many]).run("a")).toHaveLength(300_000);
  });

  test("holds what a transform publishes until its own batch is committed", async () => {
    const made = openPipeline([
      (draft) => {
        if (draft.data === "a") void made.run("nested 1");
        if (draft.data === "b") void made.run("nested 2");
        return draft;
      },
    ]);
    made.run("a", "b");
    expect(made.batches).toEqual([["a", "b"]]);
    const next = made.run("c");
    await next;
    expect(made.batches).toEqual([["a", "b"], ["nested 1"], ["nested 2"], ["c"]]);
  });
});

describe("Pipeline.run() with transforms that take their time", () => {
  test("lets no later batch overtake, be its transforms quick or slow", async () => {
    const slow: Transform = (draft) =>
      draft.data === "slow"
        ? settle()
            .then(() => settle())
            .then(() => draft)
        : draft;
    const { run, batches } = openPipeline([slow, append("1")]);
    const all = [run("quick"), run("slow"), run("quick", "slow", "quick"), run("quick")];
    await Promise.all(all);
    expect(batches).toEqual([["quick1"], ["slow1"], ["quick1", "slow1", "quick1"], ["quick1"]]);
  });

  test("is synchronous again when nothing waits any more", async () => {
    const { run } = openPipeline([
      (draft) => (draft.data === "slow" ? Promise.resolve(draft) : draft),
    ]);
    await run("slow");
    expect(run("quick")).toEqual(["quick"]);
  });

  test("calls a transform with one draft at a time", async () => {
    const { transform, calls, release } = gate();
    const { run, batches } = openPipeline([transform]);
    void run("a", "b");
    void run("c");
    await settle();
    expect(calls).toEqual(["a"]);
    await release();
    expect(calls).toEqual(["a", "b"]);
    await release();
    expect(batches).toEqual([["a", "b"]]);
    expect(calls).toEqual(["a", "b", "c"]);
    await release();
    expect(batches).toEqual([["a", "b"], ["c"]]);
  });

  test("keeps order in mixed chains", async () => {
    for (const chain of [
      [append("1"), later("2"), append("3")],
      [later("1"), append("2"), later("3")],
    ]) {
      const { run, batches } = openPipeline(chain);
      await Promise.all([run("a", "b"), run("c")]);
      expect(batches).toEqual([["a123", "b123"], ["c123"]]);
    }
  });

  test("holds what a transform publishes until its own batch is committed", async () => {
    const made = openPipeline([
      async (draft) => {
        if (draft.data === "a") void made.run("nested 1");
        await settle();
        if (draft.data === "a") void made.run("nested 2");
        return draft;
      },
    ]);
    const first = made.run("a");
    const second = made.run("b");
    await Promise.all([first, second]);
    await made.pipeline.idle();
    expect(made.batches).toEqual([["a"], ["nested 1"], ["b"], ["nested 2"]]);
  });

  test("waits for a commit that takes its time before the next one", async () => {
    const { pipeline } = openPipeline([later("")]);
    const steps: string[] = [];
    const commit = async ([sealed]: readonly SealedDraft[]) => {
      steps.push(`begin ${sealed!.text}`);
      await settle();
      steps.push(`end ${sealed!.text}`);
    };
    await Promise.all(["a", "b"].map((data) => pipeline.run([{ data }], commit)));
    expect(steps).toEqual(["begin a", "end a", "begin b", "end b"]);
  });
});

describe("Pipeline.run() refusals", () => {
  const validate = (data: unknown) => {
    if (data === "bad") throw new SchemaError("prices", ["/ is bad"]);
  };

  test.each([
    ["no transform", []],
    ["a quick transform", [append("")]],
    ["a slow transform", [later("")]],
  ])("take all or none of a batch, with %s", async (_, transforms) => {
    let calls = 0;
    const count: Transform = (draft) => (calls++, draft);
    const chain = transforms.length > 0 ? [count, ...transforms] : [];
    const { run, batches, pipeline } = openPipeline(chain, { validate });
    expect(() => run("a", "bad", "b")).toThrow(`data does not fit the schema of channel "prices"`);
    expect(() => run("a", "x".repeat(1025))).toThrow(
      "data has 1025 bytes; at most 1024 are allowed",
    );
    expect(() => run("a", undefined)).toThrow("data is undefined");
    await pipeline.idle();
    expect(batches).toEqual([]);
    expect(calls).toBe(0);
  });

  test("come at once and leave a queue that waits as it is", async () => {
    const { transform, release } = gate();
    const { run, batches } = openPipeline([transform], { validate });
    void run("a");
    expect(() => run("bad")).toThrow(SchemaError);
    void run("b");
    await release();
    await release();
    expect(batches).toEqual([["a"], ["b"]]);
  });

  test("begin at maxWaiting drafts and end when they are through", async () => {
    const { transform, release } = gate();
    const { run } = openPipeline([transform], { maxWaiting: 3 });
    void run("a");
    void run("b", "c");
    const overloaded = `channel "prices" has too many messages waiting for its transforms (at most 3); try again later`;
    expect(() => run("d")).toThrow(overloaded);
    await release();
    void run("d");
    expect(() => run("e")).toThrow(overloaded);
    await release();
    await release();
    await release();
    expect(run("a", "b", "c")).toBeInstanceOf(Promise);
  });

  test("let a batch over maxWaiting in where nothing waits: it would never be shorter", async () => {
    const { run, pipeline } = openPipeline([later("")], { maxWaiting: 2 });
    expect(await run("a", "b", "c")).toEqual(["a", "b", "c"]);
    await pipeline.idle();
    expect(openPipeline([append("")], { maxWaiting: 2 }).run("a", "b", "c")).toEqual([
      "a",
      "b",
      "c",
    ]);
  });
});

describe("Pipeline.run() with transforms that fail", () => {
  const failing: [string, Transform, string][] = [
    [
      "throws",
      () => {
        throw new Error("boom");
      },
      "boom",
    ],
    [
      "rejects",
      async () => {
        throw new Error("boom");
      },
      "boom",
    ],
    ["gives nothing", (() => undefined) as never, "transform returned nothing"],
    ["resolves with nothing", (async () => {}) as never, "transform returned nothing"],
    ["gives no draft", (() => 5) as never, `a number; a draft is an object with "data"`],
    ["gives a list with null", (() => [null]) as never, "an array with null in it"],
    ["resolves with no draft", (async () => ({})) as never, `an object without "data"`],
    ["gives what can't be sent", () => ({ data: () => 1 }), "data is a function"],
    ["gives too much", () => ({ data: "x".repeat(2000) }), "data has 2000 bytes"],
  ];

  test.each(failing)("drops that draft alone when one %s", async (_, transform, message) => {
    const { run, batches, errors } = openPipeline([
      (draft) => (draft.data === "b" ? transform(draft) : draft),
    ]);
    expect(await run("a", "b", "c")).toEqual(["a", "c"]);
    await run("d");
    expect(batches).toEqual([["a", "c"], ["d"]]);
    expect(errors).toEqual([[0, expect.stringContaining(message)]]);
  });

  test("drops a bad part of a split alone, and names the transform that failed", async () => {
    const { run, errors } = openPipeline([
      (draft) => [draft, { data: "bad" }, { data: "c" }],
      (draft) => {
        if (draft.data === "bad") throw new Error("boom");
        return draft;
      },
    ]);
    expect(run("a")).toEqual(["a", "c"]);
    expect(errors).toEqual([[1, "boom"]]);
  });

  test.each([
    ["at once", append("")],
    ["later", later("")],
  ])("tells the publisher of a commit that fails %s, and goes on", async (_, transform) => {
    const { pipeline, run, batches } = openPipeline([transform]);
    const failed = async () =>
      pipeline.run([{ data: "a" }], () => {
        throw new Error("disk full");
      });
    const first = failed();
    const second = run("b");
    await expect(first).rejects.toThrow("disk full");
    await second;
    await pipeline.idle();
    expect(batches).toEqual([["b"]]);
    // What failed no longer counts as waiting.
    expect(await openPipeline([transform], { maxWaiting: 1 }).run("c")).toEqual(["c"]);
  });

  test("counts nothing as waiting after a commit has failed", async () => {
    const { pipeline, run } = openPipeline([later("")], { maxWaiting: 1 });
    for (let i = 0; i < 3; i++) {
      const refuse = () => Promise.reject(new Error("disk full"));
      await expect(pipeline.run([{ data: "a" }], refuse) as Promise<never>).rejects.toThrow();
    }
    expect(await run("b")).toEqual(["b"]);
  });

  test("leaves no rejection without a handler of its own", async () => {
    const unhandled: unknown[] = [];
    const listen = (error: unknown) => void unhandled.push(error);
    process.on("unhandledRejection", listen);
    try {
      const { pipeline, run, inject } = openPipeline([later("")]);
      const refuse = () => Promise.reject(new Error("disk full"));
      const failed = pipeline.run([{ data: "a" }], refuse) as Promise<never>;
      failed.catch(() => {});
      void run("b");
      void inject(() => ({ data: "c" }), 1);
      await pipeline.idle();
      await settle();
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", listen);
    }
  });
});

describe("Pipeline.idle()", () => {
  test("waits for all that wait, and for what they publish", async () => {
    const made = openPipeline([
      async (draft) => {
        await settle();
        if (draft.data === "a") void made.run("nested");
        return draft;
      },
    ]);
    void made.run("a");
    void made.run("b");
    await made.pipeline.idle();
    expect(made.batches).toEqual([["a"], ["b"], ["nested"]]);
  });
});
