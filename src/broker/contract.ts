/** What every broker promises of its logs: one suite, run over each of them by broker.test.ts. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Log, Retention } from "../channel/log.ts";
import type { Message } from "../channel/message.ts";
import { parsePosition } from "../channel/position.ts";
import { cut, PlainLog } from "./plain-log.testing.ts";
import {
  KEEP_ALL,
  NO_LIMIT,
  offsets,
  openLog,
  seal,
  texts,
  useBroker,
  type CreateBroker,
} from "./testing.ts";

export function testBroker(name: string, create: CreateBroker): void {
  describe(`broker ${name}`, () => {
    const use = useBroker(create);

    const open = (retention?: Partial<Retention>, channel?: string) =>
      openLog(use.broker, retention, channel);
    const read = async (log: Log, after = 0, limit: Partial<typeof NO_LIMIT> = {}) => {
      const { messages, first } = await log.read(after, { ...NO_LIMIT, ...limit });
      return { offsets: offsets(messages), first };
    };

    test("knows its name", () => {
      expect(use.broker.name).toBe(name);
    });

    test("opens an empty log, with an epoch that a position can carry", async () => {
      const { log, commits } = open();
      expect(log.top).toBe(0);
      expect(parsePosition(`${log.epoch}-0`)).toEqual({ epoch: log.epoch, offset: 0 });
      expect(await read(log)).toEqual({ offsets: [], first: 1 });
      expect(log.stat()).toEqual({ count: 0, bytes: 0 });
      expect(commits).toEqual([]);
    });

    test("append() commits in order, with one offset each from 1, and tells of it first", async () => {
      const { log, commits } = open();
      const appending = log.append(texts("a", "b"));
      const first = appending instanceof Promise ? await appending : appending;
      expect(commits).toEqual([first]);
      use.nowMs += 5;
      const second = await log.append(texts("c"));
      expect(commits).toEqual([first, second]);
      const seen = [...first, ...second].map(({ id, offset, time, channel }) => {
        return { id, offset, time, channel };
      });
      expect(seen).toEqual(
        [1, 2, 3].map((offset) => ({
          id: `${log.epoch}-${offset}`,
          offset,
          time: offset < 3 ? 1_000_000 : 1_000_005,
          channel: "prices",
        })),
      );
      expect(log.top).toBe(3);
    });

    test("append() keeps the order of calls that do not wait for each other", async () => {
      const { log, commits } = open();
      const appends = Array.from({ length: 20 }, (_, i) => log.append(texts(`${i}`)));
      const committed = (await Promise.all(appends)).flat();
      expect(committed.map(({ text }) => text)).toEqual(appends.map((_, i) => `${i}`));
      expect(commits.flat()).toEqual(committed);
      expect(offsets(committed)).toEqual(appends.map((_, i) => i + 1));
    });

    test("read() gives back all of a message, as it was published", async () => {
      const { log } = open();
      const raw = `{ "n": 12345678901234567890 }`;
      const committed = await log.append([
        seal({ data: JSON.parse(raw), event: "é 😀", key: "k" }, raw),
        seal({ data: "line\r\nline\u0000\ufffd😀" }),
        seal({ data: "text", format: "json" }),
        seal({ data: Uint8Array.from([0, 255, 128]) }),
        seal({ data: "" }),
        seal({ data: new Uint8Array() }),
      ]);
      const { messages } = await log.read(0, NO_LIMIT);
      const parts = (message: Message) => {
        const { id, channel, offset, time, event, key, format, size, text, bytes, data } = message;
        return { id, channel, offset, time, event, key, format, size, text, bytes, data };
      };
      expect(messages.map(parts)).toEqual(committed.map(parts));
      expect(messages.map(({ format }) => format)).toEqual([
        ...["json", "text", "json", "bytes", "text", "bytes"],
      ] as never);
      expect(messages[0]).toMatchObject({ text: raw, event: "é 😀", key: "k" });
      expect(messages[3]!.bytes).toEqual(Uint8Array.from([0, 255, 128]));
    });

    test("read() starts after an offset and ends at its limits, with one message at least", async () => {
      const { log } = open();
      await log.append(texts("11", "22", "33", "44", "55"));
      expect((await read(log, 2)).offsets).toEqual([3, 4, 5]);
      expect((await read(log, 5)).offsets).toEqual([]);
      expect((await read(log, 9)).offsets).toEqual([]);
      expect((await read(log, 1, { through: 3 })).offsets).toEqual([2, 3]);
      expect((await read(log, 3, { through: 3 })).offsets).toEqual([]);
      expect((await read(log, 1, { count: 2 })).offsets).toEqual([2, 3]);
      expect((await read(log, 0, { bytes: 5 })).offsets).toEqual([1, 2]);
      expect((await read(log, 0, { bytes: 4 })).offsets).toEqual([1, 2]);
      expect((await read(log, 0, { bytes: 1 })).offsets).toEqual([1]);
    });

    test("keeps the newest messages by count, and says where they start", async () => {
      const { log, commits } = open({ size: 3 });
      await log.append(texts("a", "b"));
      expect(await read(log)).toEqual({ offsets: [1, 2], first: 1 });
      await log.append(texts("c", "dd"));
      expect(await read(log)).toEqual({ offsets: [2, 3, 4], first: 2 });
      expect(log.stat()).toEqual({ count: 3, bytes: 4 });
      await log.append(texts("e", "f", "g", "h", "i"));
      expect(await read(log, 1)).toEqual({ offsets: [7, 8, 9], first: 7 });
      expect(offsets(commits.flat())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });

    test("keeps nothing where the history's size is 0, and commits all the same", async () => {
      const { log, commits } = open({ size: 0 });
      expect(offsets(await log.append(texts("a", "b")))).toEqual([1, 2]);
      expect(offsets(commits.flat())).toEqual([1, 2]);
      expect(await read(log)).toEqual({ offsets: [], first: 3 });
      expect(log.stat()).toEqual({ count: 0, bytes: 0 });
      expect(log.top).toBe(2);
    });

    test("shows no message that is as old as the history's ttl", async () => {
      const { log } = open({ ttlMs: 1000 });
      await log.append(texts("a"));
      use.nowMs += 400;
      await log.append(texts("bb"));
      use.nowMs += 599;
      expect(await read(log)).toEqual({ offsets: [1, 2], first: 1 });
      use.nowMs += 1;
      expect(await read(log)).toEqual({ offsets: [2], first: 2 });
      expect(log.stat()).toEqual({ count: 1, bytes: 2 });
      use.nowMs += 400;
      expect(log.stat()).toEqual({ count: 0, bytes: 0 });
      expect(await read(log)).toEqual({ offsets: [], first: 3 });
      expect(offsets(await log.append(texts("c")))).toEqual([3]);
      expect(await read(log)).toEqual({ offsets: [3], first: 3 });
    });

    test("retain() keeps less at once, and more from then on", async () => {
      const { log, commits } = open({ size: 5 });
      await log.append(texts("a", "b", "c", "d", "e"));
      log.retain({ size: 2, ttlMs: 1000 });
      expect(await read(log)).toEqual({ offsets: [4, 5], first: 4 });
      expect(log.stat()).toEqual({ count: 2, bytes: 2 });
      log.retain({ size: 4, ttlMs: 1000 });
      await log.append(texts("f", "g", "h"));
      expect(await read(log)).toEqual({ offsets: [5, 6, 7, 8], first: 5 });
      use.nowMs += 500;
      log.retain({ size: 4, ttlMs: 400 });
      expect(await read(log)).toEqual({ offsets: [], first: 9 });
      expect(offsets(await log.append(texts("i")))).toEqual([9]);
      expect(offsets(commits.flat())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });

    test("keeps no more bytes than the history may have, nor a message that is larger", async () => {
      const { log, commits } = open({ maxBytes: 10 });
      await log.append(texts("aaaa", "bbbb"));
      expect(log.stat()).toEqual({ count: 2, bytes: 8 });
      await log.append(texts("cc", "d"));
      expect(await read(log)).toEqual({ offsets: [2, 3, 4], first: 2 });
      expect(log.stat()).toEqual({ count: 3, bytes: 7 });
      await log.append(texts("e".repeat(11)));
      expect(await read(log)).toEqual({ offsets: [], first: 6 });
      expect(log.stat()).toEqual({ count: 0, bytes: 0 });
      await log.append(texts("f", "g", "h"));
      log.retain({ ...KEEP_ALL, maxBytes: 2 });
      expect(await read(log)).toEqual({ offsets: [7, 8], first: 7 });
      expect(offsets(commits.flat())).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    });

    test("lets time not run backwards within a channel when the clock is set back", async () => {
      const { log } = open();
      await log.append(texts("a"));
      use.nowMs -= 500;
      expect((await log.append(texts("b")))[0]!.time).toBe(1_000_000);
      use.nowMs += 700;
      expect((await log.append(texts("c")))[0]!.time).toBe(1_000_200);
    });

    test("keeps channels apart", async () => {
      const a = open({}, "chat/a");
      const b = open({}, "chat/b");
      await a.log.append(texts("a1", "a2"));
      await b.log.append(texts("b1"));
      expect(a.commits.flat().map(({ id }) => id)).toEqual([
        `${a.log.epoch}-1`,
        `${a.log.epoch}-2`,
      ]);
      expect((await b.log.read(0, NO_LIMIT)).messages.map(({ text }) => text)).toEqual(["b1"]);
      a.log.close();
      expect(offsets(await b.log.append(texts("b2")))).toEqual([2]);
    });

    test("opens a closed log again: with all that it kept, or in another epoch", async () => {
      const before = open();
      await before.log.append(texts("a", "b"));
      before.log.close();
      const { log } = open();
      if (log.epoch === before.log.epoch) {
        expect(await read(log)).toEqual({ offsets: [1, 2], first: 1 });
        expect(log.top).toBe(2);
      } else {
        expect(await read(log)).toEqual({ offsets: [], first: 1 });
        expect(log.top).toBe(0);
      }
      expect(offsets(await log.append(texts("c")))).toEqual([log.top]);
    });

    test("keeps what a plain list would, through any appends, waits and reads", async () => {
      const operation = fc.oneof(
        fc.record({ append: fc.array(fc.nat(20), { minLength: 1, maxLength: 5 }) }),
        fc.record({ burst: fc.integer({ min: 20, max: 90 }) }),
        fc.record({ waitMs: fc.nat(60) }),
        fc.record({ after: fc.nat(40), count: fc.integer({ min: 1, max: 9 }), bytes: fc.nat(60) }),
      );
      const retention = fc.record({
        size: fc.nat(50),
        ttlMs: fc.integer({ min: 1, max: 200 }),
        maxBytes: fc.oneof(fc.nat(200), fc.constant(10_000)),
      });
      let run = 0;
      const property = async (keep: Retention, operations: unknown[]) => {
        const { log } = open(keep, `property-${run++}`);
        const model = new PlainLog(keep);
        for (const each of operations as Partial<Operation>[]) {
          if (each.waitMs !== undefined) use.nowMs += each.waitMs;
          const sizes = each.append ?? Array.from({ length: each.burst ?? 0 }, () => 1);
          if (sizes.length > 0) {
            const drafts = sizes.map((size) => seal({ data: "x".repeat(size) }));
            await log.append(drafts);
            model.append(sizes, use.nowMs);
          }
          const kept = model.kept(use.nowMs);
          const { after = 0, count = Infinity, bytes = Infinity } = each;
          expect(await read(log, after, { count, bytes })).toEqual({
            offsets: cut(kept, after, count, bytes),
            first: kept[0]?.offset ?? log.top + 1,
          });
          const keptBytes = kept.reduce((sum, { size }) => sum + size, 0);
          expect(log.stat()).toEqual({ count: kept.length, bytes: keptBytes });
        }
        log.close();
      };
      const operations = fc.array(operation, { maxLength: 30 });
      await fc.assert(fc.asyncProperty(retention, operations, property), { numRuns: 100 });
    });

    test("closes more than once", async () => {
      open();
      await use.broker.close();
      await use.broker.close();
    });
  });
}

interface Operation {
  append: number[];
  burst: number;
  waitMs: number;
  after: number;
  count: number;
  bytes: number;
}
