import { describe, expect, test } from "bun:test";
import type { IncomingDraft, Transform } from "./pipeline.ts";
import { openPipeline } from "./pipeline.testing.ts";

describe("Pipeline.run() with JSON text as it came", () => {
  const big = "12345678901234567890";
  const raw = `{ "n": ${big}, "list": [1.0] }`;
  const pass: Transform = (draft) => draft;
  const passLater: Transform = async (draft) => draft;
  const texts = (transforms: readonly Transform[], ...raws: string[]) => {
    const drafts = raws.map((raw): IncomingDraft => ({
      data: JSON.parse(raw),
      format: "json",
      raw,
    }));
    const { pipeline } = openPipeline(transforms);
    return pipeline.run(drafts, (sealed) => sealed.map(({ text }) => text));
  };

  test.each([
    ["gives the draft back", pass],
    ["gives the draft back later", passLater],
    ["names the event of the same data", (draft) => ({ ...draft, event: "tick" })],
    ["gives the draft back in an array", (draft) => [draft]],
  ] as [string, Transform][])("keeps it, digits and all, where a transform %s", async (_, keep) => {
    expect(await texts([keep], raw)).toEqual([raw]);
    expect(await texts([pass, keep, passLater], raw, `[${big}]`)).toEqual([raw, `[${big}]`]);
  });

  test("keeps that of a number or string where the draft itself is given back", () => {
    expect(texts([pass], big, `"\\u0041"`, "null")).toEqual([big, `"\\u0041"`, "null"]);
  });

  test("writes it anew where the data was changed in place", async () => {
    const change: Transform = (draft) => {
      (draft.data as { list: number[] }).list.push(2);
      return draft;
    };
    const rewritten = [`{"n":12345678901234567000,"list":[1,2]}`];
    expect(texts([change], raw)).toEqual(rewritten);
    expect(await texts([passLater, change, pass], raw)).toEqual(rewritten);
    const replace: Transform = (draft) => Object.assign(draft, { data: 5 });
    expect(texts([replace], raw, "1.0")).toEqual(["5", "5"]);
  });

  test("writes it anew where the data is another, be it equal", () => {
    const copy: Transform = (draft) => ({ ...draft, data: structuredClone(draft.data) });
    expect(texts([copy], `{ "n": 1.0 }`)).toEqual([`{"n":1}`]);
    const inner: Transform = (draft) => ({ data: (draft.data as { list: number[] }).list });
    expect(texts([inner], raw)).toEqual(["[1]"]);
    // Which number this one is nobody knows: the draft that it came with is gone.
    expect(texts([(draft) => ({ data: draft.data })], "1.0")).toEqual(["1"]);
  });

  test("gives each draft of a batch its own, whatever was dropped or split before it", () => {
    const some: Transform = (draft) => {
      if (draft.data === 1) return null;
      return draft.data === 2 ? [{ data: 0 }, draft] : draft;
    };
    expect(texts([some], "1.0", "2.0", "3.0")).toEqual(["0", "2.0", "3.0"]);
  });

  test("obeys a transform that makes text or bytes of the same draft", () => {
    const make =
      (data: unknown, format: "text" | "bytes"): Transform =>
      (draft) =>
        Object.assign(draft, { data, format });
    expect(texts([make("1.0", "text")], "1.0")).toEqual(["1.0"]);
    expect(texts([make("a", "text")], `"\\u0061"`)).toEqual(["a"]);
    expect(texts([make(new Uint8Array([1]), "bytes")], `"a"`)).toEqual([null]);
  });

  test("drops a draft that a transform made unfit in place", () => {
    const loop: Transform = (draft) => {
      const data = draft.data as { self?: unknown };
      data.self = data;
      return draft;
    };
    const { pipeline, errors } = openPipeline([loop]);
    const draft: IncomingDraft = { data: { n: 1 }, raw: `{"n":1}` };
    expect(pipeline.run([draft], (sealed) => sealed)).toEqual([]);
    expect(errors).toEqual([[0, expect.stringContaining("data is not JSON")]]);
  });
});
