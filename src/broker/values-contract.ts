/** What every keeper of plugins' values promises: one suite, run over each of them by values.test.ts. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { KeyValuesError, MAX_USE_BYTES, type KeyValues } from "../channel/key-values.ts";

/**
 * @param now The clock that it MUST take its times from, in milliseconds since the epoch.
 * @param maxBytes What all uses together may keep, where it is not the default.
 */
export type CreateValues = (now: () => number, maxBytes?: number) => KeyValues;

export function testValues(name: string, create: CreateValues): void {
  describe(`values in ${name}`, () => {
    let values: KeyValues;
    let nowMs: number;
    beforeEach(() => {
      nowMs = 1_000_000;
      values = create(() => nowMs);
    });
    afterEach(() => values.close());
    const set = (use: string, key: string, text: string, expiresAt: number | null = null) =>
      values.set(use, key, text, expiresAt);

    test("have nothing at first", async () => {
      expect(await values.get("a", "key")).toBeUndefined();
      expect(await values.delete("a", "key")).toBe(false);
      expect(await values.entries("a", "")).toEqual([]);
    });

    test("give what was last set, to that use alone", async () => {
      await set("a", "key", "1");
      await set("a", "key", "2");
      await set("b", "key", "3");
      expect(await values.get("a", "key")).toBe("2");
      expect(await values.get("b", "key")).toBe("3");
      expect(await values.delete("a", "key")).toBe(true);
      expect(await values.delete("a", "key")).toBe(false);
      expect(await values.get("a", "key")).toBeUndefined();
      expect(await values.get("b", "key")).toBe("3");
    });

    test("do what is called first first, awaited or not", async () => {
      const all = await Promise.all([
        values.get("a", "key"),
        set("a", "key", "1"),
        values.get("a", "key"),
        values.delete("a", "key"),
        values.get("a", "key"),
        set("a", "key", "2"),
        values.entries("a", ""),
      ]);
      expect(all).toEqual([undefined, undefined, "1", true, undefined, undefined, [["key", "2"]]]);
    });

    test("list entries by prefix, in order of their UTF-8 bytes", async () => {
      // In UTF-16 the emoji would come before the ligature.
      const keys = ["b", "a/2", "a/10", "a", "a/\u{fb01}", "a/\u{1f600}", "a/\0", "a0", "é", "a/é"];
      for (const key of keys) await set("a", key, JSON.stringify(key));
      const named = async (prefix: string) =>
        (await values.entries("a", prefix)).map(([key, text]) => {
          expect(text).toBe(JSON.stringify(key));
          return key;
        });
      expect(await named("a/")).toEqual([
        "a/\0",
        "a/10",
        "a/2",
        "a/é",
        "a/\u{fb01}",
        "a/\u{1f600}",
      ]);
      expect(await named("")).toEqual([...(await named("a")), "b", "é"]);
      expect(await named("a/\u{fb01}")).toEqual(["a/\u{fb01}"]);
      expect(await named("%")).toEqual([]);
    });

    test("take names that an object has already", async () => {
      for (const key of ["__proto__", "constructor", "toString", "' OR 1 --"]) {
        expect(await values.get("a", key)).toBeUndefined();
        await set("a", key, key);
        expect(await values.get("a", key)).toBe(key);
        await set(key, "use", key);
        expect(await values.entries(key, "")).toEqual([["use", key]]);
      }
    });

    test("show nothing whose time is over, to the millisecond", async () => {
      await set("a", "short", "1", nowMs + 10);
      await set("a", "long", "2", nowMs + 100);
      await set("a", "kept", "3");
      nowMs += 9;
      expect(await values.get("a", "short")).toBe("1");
      nowMs += 1;
      expect(await values.get("a", "short")).toBeUndefined();
      expect(await values.delete("a", "short")).toBe(false);
      expect((await values.entries("a", "")).map(([key]) => key)).toEqual(["kept", "long"]);
      await set("a", "long", "4");
      nowMs += 1000;
      expect(await values.get("a", "long")).toBe("4");
    });

    test("refuse what makes a use larger than 1 MiB, and what is asked for beside it goes on", async () => {
      const piece = "x".repeat(MAX_USE_BYTES / 4 - 1);
      await Promise.all(["1", "2", "3", "4"].map((key) => set("a", key, piece)));
      const refused = set("a", "5", "y").catch((error: unknown) => error);
      const others = [set("a", "1", piece), set("b", "5", "y"), values.get("a", "4")];
      const error = await refused;
      expect(error).toBeInstanceOf(KeyValuesError);
      expect(error).toMatchObject({ code: "full" });
      expect((error as Error).message).toContain(`${MAX_USE_BYTES + 2} bytes`);
      expect((await Promise.all(others))[2]).toBe(piece);
      expect(await values.get("a", "5")).toBeUndefined();
      await values.delete("a", "1");
      await set("a", "5", "y");
    });

    test("have room again when something is over", async () => {
      await set("a", "1", "x".repeat(MAX_USE_BYTES - 1), nowMs + 1000);
      nowMs += 1000;
      await set("a", "2", "x".repeat(MAX_USE_BYTES - 1));
      expect((await values.entries("a", "")).map(([key]) => key)).toEqual(["2"]);
    });

    describe("have a bound over all uses", () => {
      const maxBytes = 50_000;
      const fill = async (bounded: KeyValues, expiresAt: number | null) => {
        for (let n = 0; ; n++) {
          const error = await bounded.set(`use ${n}`, "key", "1", expiresAt).then(
            () => null,
            (thrown: unknown) => thrown as KeyValuesError,
          );
          if (error) return { count: n, error };
          expect(n).toBeLessThan(maxBytes);
        }
      };

      test("which ever new uses with next to nothing reach, and nothing that is there is lost", async () => {
        const bounded = create(() => nowMs, maxBytes);
        const { count, error } = await fill(bounded, null);
        expect(error).toMatchObject({ code: "full" });
        expect(error.message).toContain(`at most ${maxBytes}`);
        expect(error.message).toContain("set what they keep with a ttl");
        // What makes nothing larger is taken, and what is deleted gives room for another.
        await bounded.set("use 0", "key", "2", null);
        expect(await bounded.delete("use 1", "key")).toBe(true);
        await bounded.set("next", "key", "3", null);
        expect(await bounded.get(`use ${count - 1}`, "key")).toBe("1");
        expect(await bounded.get("use 0", "key")).toBe("2");
        await bounded.close();
      });

      test("and what is over takes nothing of it", async () => {
        const bounded = create(() => nowMs, maxBytes);
        const { count } = await fill(bounded, nowMs + 1000);
        nowMs += 1000;
        expect(await fill(bounded, null)).toMatchObject({ count });
        await bounded.close();
      });
    });

    test("refuse everything when they are closed, after what was called before", async () => {
      const last = set("a", "key", "1");
      await values.close();
      await last;
      for (const call of [
        () => values.get("a", "key"),
        () => set("a", "key", "2"),
        () => values.delete("a", "key"),
        () => values.entries("a", ""),
      ]) {
        expect(await call().catch((error: unknown) => error)).toMatchObject({ code: "closed" });
      }
    });

    test("do what a map would, whatever is done", async () => {
      const step = fc.tuple(
        fc.constantFrom("set", "delete", "get", "entries", "pass"),
        fc.constantFrom("a", "b"),
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 2 }),
        fc.constantFrom(null, 5, 20),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
          const tried = create(() => nowMs);
          const model = new Map<string, { text: string; end: number }>();
          const prefix = `${Math.random()}/`;
          for (const [what, use, key, ttl] of steps) {
            const own = `${prefix}${use}`;
            const at = JSON.stringify([own, key]);
            for (const [name, { end }] of model) if (end <= nowMs) model.delete(name);
            if (what === "set") {
              await tried.set(own, key, at, ttl === null ? null : nowMs + ttl);
              model.set(at, { text: at, end: ttl === null ? Infinity : nowMs + ttl });
            } else if (what === "delete") {
              expect(await tried.delete(own, key)).toBe(model.delete(at));
            } else if (what === "get") {
              expect(await tried.get(own, key)).toBe(model.get(at)?.text);
            } else if (what === "pass") {
              nowMs += 7;
            } else {
              const texts = (await tried.entries(own, "")).map(([, text]) => text);
              const wanted = [...model.keys()].filter((name) => JSON.parse(name)[0] === own);
              expect(texts.toSorted()).toEqual(wanted.toSorted());
            }
          }
          await tried.close();
        }),
        { numRuns: 40 },
      );
    });
  });
}
