import { describe, expect, test } from "bun:test";
import { Type as t } from "@sinclair/typebox";
import { parse } from "yaml";
import { useSnippet } from "./npm-plugin.ts";

describe("useSnippet()", () => {
  test("has what is needed to be filled in, and the rest as comments", () => {
    const options = t.Object({
      url: t.String({ examples: ["https://example.org"], description: "Where it is\nsent." }),
      count: t.Integer({ minimum: 1 }),
      mode: t.Union([t.Literal("a"), t.Literal("b")]),
      tags: t.Array(t.String()),
      "odd key": t.Boolean(),
      every: t.String({ default: "1s" }),
      headers: t.Optional(t.Record(t.String(), t.String())),
    });
    const text = useSnippet("npm:@acme/loud", options);
    expect(text).toBe(`plugins:
  - use: npm:@acme/loud
    with:
      url: "https://example.org"  # Where it is sent.
      count: 1
      mode: "a"
      tags: []
      "odd key": false
      # every: "1s"
      # headers: {}
`);
    expect(parse(text)).toEqual({
      plugins: [
        {
          use: "npm:@acme/loud",
          with: { url: "https://example.org", count: 1, mode: "a", tags: [], "odd key": false },
        },
      ],
    });
  });

  test("is right as it is when nothing is needed", () => {
    const text = useSnippet("npm:quiet", t.Object({ every: t.String({ default: "1s" }) }));
    expect(text).toEndWith(`    # with:\n      # every: "1s"\n`);
    expect(parse(text)).toEqual({ plugins: [{ use: "npm:quiet" }] });
    expect(useSnippet("npm:none", undefined)).toBe("plugins:\n  - use: npm:none\n");
  });
});
