/** What every broker promises of the terms of a commit: expected positions and receipts. Run by broker.test.ts. */
import { describe, expect, test } from "bun:test";
import { PositionError } from "../channel/errors.ts";
import type { Retention } from "../channel/log.ts";
import {
  failure,
  NO_LIMIT,
  offsets,
  openLog,
  texts,
  useBroker,
  type CreateBroker,
} from "./testing.ts";

export function testTerms(name: string, create: CreateBroker): void {
  describe(`broker ${name}`, () => {
    const use = useBroker(create);

    const open = (retention?: Partial<Retention>, channel?: string) =>
      openLog(use.broker, retention, channel);

    test("append() commits at the expected position alone, else nothing", async () => {
      const { log, commits } = open();
      const at = (offset: number) => ({ expect: `${log.epoch}-${offset}` });
      expect(offsets(await log.append(texts("a", "b"), at(0)))).toEqual([1, 2]);
      for (const stale of [at(0), at(1), at(3), { expect: "other-2" }]) {
        const error = await failure(() => log.append(texts("c"), stale));
        expect(error).toBeInstanceOf(PositionError);
        expect(error).toMatchObject({
          code: "position-moved",
          expected: stale.expect,
          position: `${log.epoch}-2`,
        });
      }
      expect(offsets(await log.append(texts("c"), at(2)))).toEqual([3]);
      expect(commits.flat().map(({ text }) => text)).toEqual(["a", "b", "c"]);
      expect((await failure(() => log.append([], at(2))))?.constructor).toBe(PositionError);
      expect(await log.append([], at(3))).toEqual([]);
      expect(commits).toHaveLength(2);
    });

    test("append() lets one of many win that expect the same position", async () => {
      const { log, commits } = open();
      const terms = { expect: `${log.epoch}-0` };
      const all = Array.from({ length: 10 }, (_, n) =>
        failure(() => log.append(texts(`${n}`), terms)),
      );
      const failures = await Promise.all(all);
      expect(failures.map((error) => error instanceof PositionError)).toEqual(
        all.map((_, n) => n > 0),
      );
      expect(commits.flat().map(({ text }) => text)).toEqual(["0"]);
    });

    const receipt = (key: string, note = "") => {
      return { receipt: { key, fingerprint: `of ${key}`, note, keepMs: 1000 } };
    };

    test("append() keeps a receipt with what it commits, also of nothing, for its time", async () => {
      const { log, commits } = open();
      expect(await log.receipt("k")).toBeNull();
      await log.append(texts("a"));
      await log.append(texts("b", "c"), receipt("k", "näme"));
      await log.append([], receipt("none"));
      const { epoch } = log;
      const kept = { fingerprint: "of k", note: "näme", epoch, first: 2, last: 3 };
      expect(await log.receipt("k")).toEqual(kept);
      const empty = { fingerprint: "of none", note: "", epoch, first: 4, last: 3 };
      expect(await log.receipt("none")).toEqual(empty);
      expect(commits).toHaveLength(2);
      expect(await open({}, "other").log.receipt("k")).toBeNull();
      use.nowMs += 999;
      expect(await log.receipt("k")).toEqual(kept);
      use.nowMs += 1;
      expect(await log.receipt("k")).toBeNull();
      await log.append(texts("d"), receipt("k"));
      expect(await log.receipt("k")).toMatchObject({ first: 4, last: 4 });
    });

    test("append() keeps no receipt of what it refuses", async () => {
      const { log } = open();
      const terms = { ...receipt("k"), expect: `${log.epoch}-7` };
      expect(await failure(() => log.append(texts("a"), terms))).toBeInstanceOf(PositionError);
      expect(await log.receipt("k")).toBeNull();
    });

    test("append() commits nothing where the receipt's note can't be had, and others go on", async () => {
      const { log, commits } = open();
      const broken = {
        receipt: {
          ...receipt("k").receipt,
          get note(): string {
            throw new TypeError("no note");
          },
        },
      };
      const failed = failure(() => log.append(texts("a"), broken));
      const other = log.append(texts("b"), receipt("other"));
      expect(await failed).toMatchObject({ message: "no note" });
      expect(offsets(await other)).toEqual([1]);
      expect(await log.receipt("k")).toBeNull();
      expect(commits.flat().map(({ text }) => text)).toEqual(["b"]);
      const { messages, first } = await log.read(0, NO_LIMIT);
      expect([offsets(messages), first]).toEqual([[1], 1]);
    });

    test("keeps receipts beyond the log's end, whatever its history", async () => {
      const before = open({ size: 0 });
      await before.log.append(texts("a", "b"), receipt("k"));
      const { epoch } = before.log;
      before.log.close();
      const { log } = open({ size: 0 });
      expect(await log.receipt("k")).toEqual({
        ...{ fingerprint: "of k", note: "", epoch, first: 1, last: 2 },
      });
    });
  });
}
