/** A worker that fails on some drafts of a batch in which those of several publishers were put together. */
import { expect, test } from "bun:test";
import { Stage } from "./stage.testing.ts";

test.each(["drop", "pass", "stop"] as const)(
  "on_error: %s is each publisher's own",
  async (onError) => {
    const setup = `return { transform(draft) {
      if (draft.data === "evil") throw new Error("odd");
      return { data: "done " + draft.data };
    } };`;
    await using stage = await Stage.open([{ setup, onError }], { isIsolated: true });
    const all = [["a"], ["b", "evil", "c"], ["d"], ["evil"], ["e"]].map(async (batch) => {
      const drafts = batch.map((data) => ({ data }));
      try {
        return (await stage.channel.publish(drafts)).map(({ data }) => data);
      } catch (error) {
        return (error as Error).message.includes("odd") ? "refused" : error;
      }
    });
    const [a, b, d, evil, e] = await Promise.all(all);
    expect([a, d, e]).toEqual([["done a"], ["done d"], ["done e"]]);
    const fine = ["done b", "done c"];
    const expected = {
      drop: [fine, []],
      pass: [["done b", "evil", "done c"], ["evil"]],
      stop: ["refused", "refused"],
    }[onError];
    expect([b, evil] as unknown[]).toEqual(expected);
  },
);
