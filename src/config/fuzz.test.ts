import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { formatDiagnostics } from "../diagnostic/diagnostic.ts";
import { ConfigFolder } from "./testing.ts";

const folder = new ConfigFolder();
afterAll(() => folder[Symbol.dispose]());
const EXAMPLE = readFileSync(join(import.meta.dir, "../../config.example.yaml"), "utf8");

/** Pieces that mean something to YAML, to interpolation or to a config. */
const PIECE = fc.oneof(
  fc.constantFrom(..."{}[]:,-?*&!|>'\"%@`#\n\t \\$~<"),
  fc.constantFrom(
    "${",
    "${A}",
    "$${",
    "<<: ",
    "*a",
    "&a ",
    "---\n",
    "- ",
    ": ",
    "\r\n",
    "null",
    "1e999",
  ),
  fc.string({ unit: "binary", maxLength: 4 }),
);

const EDIT = fc.record({
  at: fc.nat({ max: EXAMPLE.length }),
  remove: fc.nat({ max: 6 }),
  insert: PIECE,
});

test("loadConfig() of a damaged example gives a config or mistakes at places that exist, and never throws", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(EDIT, { minLength: 1, maxLength: 4 }), async (edits) => {
      const text = edits.reduce(
        (damaged, { at, remove, insert }) =>
          damaged.slice(0, at) + insert + damaged.slice(at + remove),
        EXAMPLE,
      );
      const result = await folder.load(text, { A: "one" });
      if ("config" in result) return;
      expect(result.diagnostics.length).toBeGreaterThan(0);
      const lines = text
        .toWellFormed()
        .replace(/^\ufeff/, "")
        .split("\n");
      for (const { place } of result.diagnostics) {
        if (!place) continue;
        expect(lines[place.line - 1]!.replace(/\r$/, "")).toBe(place.text);
        expect(place.column - 1).toBe(Array.from(place.text.slice(0, place.index)).length);
        expect(place.index + place.length).toBeLessThanOrEqual(place.text.length);
      }
      expect(formatDiagnostics(result.diagnostics)).not.toMatch(
        /[\u0000-\u0009\u000b-\u001f\u007f]/,
      );
    }),
    { numRuns: 400 },
  );
});
