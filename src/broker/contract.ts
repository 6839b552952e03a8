/** What every broker promises: one suite, run over each of them by broker.test.ts. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PositionError } from "../channel/errors.ts";
import type { Log, MaybePromise, Retention } from "../channel/log.ts";
import { sealDraft, type Draft, type Message, type SealedDraft } from "../channel/message.ts";
import { parsePosition } from "../channel/position.ts";
import type { Broker } from "./broker.ts";

/**
 * Makes a broker with nothing kept.
 *
 * @param now The clock that it MUST take its times from, in milliseconds since the epoch.
 */
export type CreateBroker = (now: () => number) => MaybePromise<Broker>;

const KEEP_ALL: Retention = { size: 1000, ttlMs: 3_600_000 };
const NO_LIMIT = { through: Infinity, count: Infinity, bytes: Infinity };

const seal = (draft: Draft, raw?: string): SealedDraft => sealDraft(draft, 1e6, raw);
const texts = (...all: string[]) => all.map((data) => seal({ data }));
const offsets = (messages: readonly Message[]) => messages.map(({ offset }) => offset);

export function testBroker(name: string, create: CreateBroker): void {
  describe(`broker ${name}`, () => {
    let broker: Broker;
    let nowMs: number;
    beforeEach(async () => {
      nowMs = 1_000_000;
      broker = await create(() => nowMs);
    });
    afterEach(() => broker.close());

    function open(retention: Partial<Retention> = {}, channel = "prices") {
      const commits: (readonly Message[])[] = [];
      const log = broker.open(channel, { ...KEEP_ALL, ...retention }, (batch) => {
        commits.push(batch);
      });
      return { log, commits };
    }
    const read = async (log: Log, after = 0, limit: Partial<typeof NO_LIMIT> = {}) => {
      const { messages, first } = await log.read(after, { ...NO_LIMIT, ...limit });
      return { offsets: offsets(messages), first };
    };

    test("knows its name", () => {
      expect(broker.name).toBe(name);
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
      nowMs += 5;
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
      nowMs += 400;
      await log.append(texts("bb"));
      nowMs += 599;
      expect(await read(log)).toEqual({ offsets: [1, 2], first: 1 });
      nowMs += 1;
      expect(await read(log)).toEqual({ offsets: [2], first: 2 });
      expect(log.stat()).toEqual({ count: 1, bytes: 2 });
      nowMs += 400;
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
      nowMs += 500;
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
      nowMs += 999;
      expect(await log.receipt("k")).toEqual(kept);
      nowMs += 1;
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
      expect(await read(log)).toEqual({ offsets: [1], first: 1 });
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

    test("lets time not run backwards within a channel when the clock is set back", async () => {
      const { log } = open();
      await log.append(texts("a"));
      nowMs -= 500;
      expect((await log.append(texts("b")))[0]!.time).toBe(1_000_000);
      nowMs += 700;
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
          if (each.waitMs !== undefined) nowMs += each.waitMs;
          const sizes = each.append ?? Array.from({ length: each.burst ?? 0 }, () => 1);
          if (sizes.length > 0) {
            const drafts = sizes.map((size) => seal({ data: "x".repeat(size) }));
            await log.append(drafts);
            model.append(sizes, nowMs);
          }
          const kept = model.kept(nowMs);
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
      await broker.close();
      await broker.close();
    });
  });
}

/** What a call fails with, be it at once or later; null when it does not. */
async function failure(call: () => unknown): Promise<Error | null> {
  try {
    await call();
    return null;
  } catch (error) {
    return error as Error;
  }
}

interface Operation {
  append: number[];
  burst: number;
  waitMs: number;
  after: number;
  count: number;
  bytes: number;
}

interface Entry {
  readonly offset: number;
  readonly size: number;
  readonly timeMs: number;
}

/** A log that keeps everything, and works out at each look what a retention leaves of it. */
class PlainLog {
  readonly #retention: Retention;
  readonly #all: Entry[] = [];

  constructor(retention: Retention) {
    this.#retention = retention;
  }

  append(sizes: readonly number[], timeMs: number): void {
    for (const size of sizes) this.#all.push({ offset: this.#all.length + 1, size, timeMs });
  }

  kept(nowMs: number): readonly Entry[] {
    const { size, ttlMs, maxBytes = Infinity } = this.#retention;
    const newest = size === 0 ? [] : this.#all.slice(-size);
    const fit: Entry[] = [];
    for (let bytes = 0, i = newest.length - 1; i >= 0; i--) {
      bytes += newest[i]!.size;
      if (bytes > maxBytes) break;
      fit.unshift(newest[i]!);
    }
    return fit.filter(({ timeMs }) => nowMs - timeMs < ttlMs);
  }
}

function cut(kept: readonly Entry[], after: number, count: number, bytes: number): number[] {
  const page: number[] = [];
  let sum = 0;
  for (const { offset, size } of kept) {
    if (offset <= after) continue;
    if (page.length === count || (page.length > 0 && sum + size > bytes)) break;
    page.push(offset);
    sum += size;
  }
  return page;
}
