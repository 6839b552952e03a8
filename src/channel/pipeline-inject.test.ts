import { describe, expect, test } from "bun:test";
import type { Draft } from "./message.ts";
import type { Transform } from "./pipeline.ts";
import { append, gate, openPipeline, settle } from "./pipeline.testing.ts";

describe("Pipeline.inject()", () => {
  test("enters after the transform that asks for it", () => {
    const { inject, batches } = openPipeline([append("1"), append("2")]);
    inject(() => ({ data: "a" }), 1);
    inject(() => [{ data: "b" }, { data: "c" }], 2);
    inject(() => ({ data: "d" }), 0);
    inject(() => null, 1);
    expect(batches).toEqual([["a2"], ["b", "c"], ["d12"], []]);
  });

  test("works without transforms", () => {
    expect(openPipeline([]).inject(() => ({ data: "a" }), 0)).toEqual(["a"]);
  });

  test("asks for the drafts when nothing is in any transform", async () => {
    const { transform, release } = gate();
    let held: string[] = [];
    const hold: Transform = (draft) => {
      held.push(draft.data as string);
      return null;
    };
    const { run, inject, batches } = openPipeline([transform, hold]);
    void run("a");
    void inject(() => {
      const drafts = held.map((data) => ({ data }));
      held = [];
      return drafts;
    }, 2);
    void run("b");
    await release();
    expect(batches).toEqual([[], ["a"]]);
    await release();
    expect(batches).toEqual([[], ["a"], []]);
    expect(held).toEqual(["b"]);
  });

  test.each([
    ["at once", (draft: Draft) => draft],
    ["later", (draft: Draft) => settle().then(() => draft)],
  ])("from within a hook comes after what the hook gives %s", async (_, give) => {
    const made = openPipeline([
      (draft) => {
        void made.inject(() => ({ data: `after ${draft.data as string}` }), 1);
        return give(draft);
      },
      append("!"),
    ]);
    const first = made.run("a");
    const second = made.run("b");
    await Promise.all([first, second]);
    await made.pipeline.idle();
    const order = made.batches.flat();
    expect(order.toSorted()).toEqual(["a!", "after a!", "after b!", "b!"]);
    expect(order.indexOf("after a!")).toBeGreaterThan(order.indexOf("a!"));
    expect(order.indexOf("after b!")).toBeGreaterThan(order.indexOf("b!"));
    expect(order.indexOf("b!")).toBeGreaterThan(order.indexOf("a!"));
  });

  test("tells what failed by the index before, and drops it alone", () => {
    const { inject, errors, batches } = openPipeline([append("1"), append("2")]);
    const fail = () => {
      throw new Error("boom");
    };
    inject(fail, 1);
    inject((() => 5) as never, 2);
    inject(() => [{ data: () => 1 }, { data: "a" }], 2);
    expect(batches).toEqual([[], [], ["a"]]);
    expect(errors).toEqual([
      [0, "boom"],
      [1, `transform returned a number; a draft is an object with "data"`],
      [1, "data is a function; it must be JSON, text or bytes"],
    ]);
  });

  test("counts as one that waits", async () => {
    const { transform, release } = gate();
    const { run, inject } = openPipeline([transform], { maxWaiting: 2 });
    void run("a");
    void inject(() => ({ data: "b" }), 1);
    expect(() => inject(() => ({ data: "c" }), 1)).toThrow("too many messages waiting");
    await release();
    expect(inject(() => ({ data: "c" }), 1)).toEqual(["c"]);
  });
});
