/** What every broker promises of states, the newest message of each key: run over each by broker.test.ts. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { StateFullError } from "../channel/errors.ts";
import type { Log, ReadLimit, Retention } from "../channel/log.ts";
import { PlainState, type PlainDraft } from "./plain-state.testing.ts";
import { failure, KEEP_ALL, NO_LIMIT, seal, useBroker, type CreateBroker } from "./testing.ts";

const KEYED: Retention = { ...KEEP_ALL, latestByKey: true };

const put = (key: string, data: unknown) => seal({ key, data });

export function testState(name: string, create: CreateBroker): void {
  describe(`broker ${name} with latest_by_key`, () => {
    const use = useBroker(create);

    const open = (retention: Partial<Retention> = {}, channel = "prices") =>
      use.broker.open(channel, { ...KEYED, ...retention }, () => {});
    const read = async (log: Log, after = 0, limit: Partial<ReadLimit> = {}) => {
      const page = await log.readState(after, { ...NO_LIMIT, ...limit });
      if (page === null) return null;
      const entries = page.messages.map(({ offset, key, data }) => `${offset} ${key}=${data}`);
      return page.isEnd ? entries : [...entries, "…"];
    };

    test("keeps the newest message of each key, in order of offset, beyond size and ttl", async () => {
      const log = open({ size: 2, ttlMs: 1000 });
      await log.append([put("a", 1), put("b", 2), seal({ data: "no key" }), put("a", 3)]);
      expect(await read(log)).toEqual(["2 b=2", "4 a=3"]);
      await log.append([seal({ data: "no key" }), seal({ data: "either", key: "" })]);
      use.nowMs += 5000;
      await log.append([put("c", 4)]);
      use.nowMs += 5000;
      expect((await log.read(0, NO_LIMIT)).messages).toEqual([]);
      expect(await read(log)).toEqual(["2 b=2", "4 a=3", "7 c=4"]);
      expect(log.stat()).toEqual({ count: 0, bytes: 0, state: { keys: 3, bytes: 3 } });
    });

    test("readState() gives back all of a message, as it was published", async () => {
      const log = open({ size: 0 });
      const raw = `{ "n": 12345678901234567890 }`;
      const [json, bytes, text] = await log.append([
        seal({ data: JSON.parse(raw), event: "é", key: "kéy 😀" }, raw),
        seal({ data: Uint8Array.from([0, 255]), key: "bytes" }),
        seal({ data: "null", key: "text" }),
      ]);
      const page = await log.readState(0, NO_LIMIT);
      const parts = ({ id, channel, time, event, key, format, text, size }: typeof json & object) =>
        [id, channel, time, event, key, format, text, size].join();
      expect(page!.messages.map(parts)).toEqual([json!, bytes!, text!].map(parts));
      expect(page!.messages[0]).toMatchObject({ text: raw, event: "é", key: "kéy 😀" });
    });

    test("readState() starts after an offset, ends at its limits, and says whether there is more", async () => {
      const log = open();
      await log.append(["a", "b", "c", "d", "e"].map((key) => put(key, 11)));
      await log.append([put("b", 22)]);
      expect(await read(log)).toEqual(["1 a=11", "3 c=11", "4 d=11", "5 e=11", "6 b=22"]);
      expect(await read(log, 1, { through: 5 })).toEqual(["3 c=11", "4 d=11", "5 e=11"]);
      expect(await read(log, 2, { count: 2 })).toEqual(["3 c=11", "4 d=11", "…"]);
      expect(await read(log, 2, { count: 3, through: 5 })).toEqual(["3 c=11", "4 d=11", "5 e=11"]);
      expect(await read(log, 0, { bytes: 5 })).toEqual(["1 a=11", "3 c=11", "…"]);
      expect(await read(log, 0, { bytes: 1 })).toEqual(["1 a=11", "…"]);
      expect(await read(log, 5, { through: 5 })).toEqual([]);
      expect(await read(log, 9)).toEqual([]);
    });

    test("null deletes a key, and is committed as any other; text that says null does not", async () => {
      const log = open();
      await log.append([put("a", 1), put("b", 2), put("c", 3)]);
      const deleted = await log.append([put("a", null), seal({ data: null, key: "b" }, " null\n")]);
      expect(deleted.map(({ offset, key, data }) => [offset, key, data])).toEqual([
        [4, "a", null],
        [5, "b", null],
      ]);
      expect(await read(log)).toEqual(["3 c=3"]);
      expect((await log.read(3, NO_LIMIT)).messages.map(({ key }) => key)).toEqual(["a", "b"]);
      await log.append([put("gone", null), put("a", 5), put("c", "null"), seal({ data: null })]);
      expect(await read(log)).toEqual(["7 a=5", "8 c=null"]);
      await log.append([put("a", 6), put("a", null), put("c", null), put("c", 7)]);
      expect(await read(log)).toEqual(["13 c=7"]);
      expect(log.stat().state).toEqual({ keys: 1, bytes: 1 });
    });

    test("append() refuses a key too many, all of the publish, and lets delete and replace", async () => {
      const log = open({ maxKeys: 2 });
      await log.append([put("a", 1), put("b", 2)]);
      const receipt = { key: "k", fingerprint: "f", note: "", keepMs: 1000 };
      const refused = await failure(() => log.append([put("a", 9), put("c", 3)], { receipt }));
      expect(refused).toBeInstanceOf(StateFullError);
      expect(refused).toMatchObject({ code: "state-full", keys: 2, bytes: 2 });
      expect(refused!.message).toBe(
        `channel "prices" keeps at most 2 keys, and has 2 keys with 2 bytes: nothing was published; delete keys by publishing null to them, or raise "keys" of its history`,
      );
      expect([log.top, await log.receipt("k")]).toEqual([2, null]);
      await log.append([put("a", 3), seal({ data: "no key" })]);
      await log.append([put("c", 4), put("b", null)]);
      expect(await read(log)).toEqual(["3 a=3", "5 c=4"]);
      // Less is kept than there is: what does not add to it goes on.
      log.retain({ ...KEYED, maxKeys: 1 });
      await log.append([put("c", 5)]);
      expect(await failure(() => log.append([put("d", 6)]))).toBeInstanceOf(StateFullError);
      await log.append([put("a", null)]);
      expect(await read(log)).toEqual(["7 c=5"]);
    });

    test("append() refuses bytes too many, and goes on with what makes them fewer", async () => {
      const log = open({ maxBytes: 8 });
      await log.append([put("a", "xxxx"), put("b", "xxxx")]);
      const refused = await failure(() => log.append([put("a", "xxxxx")]));
      expect(refused).toBeInstanceOf(StateFullError);
      expect(refused!.message).toContain(
        "keeps at most 8 bytes of the newest messages of its keys",
      );
      await log.append([put("a", "x")]);
      expect(log.stat().state).toEqual({ keys: 2, bytes: 5 });
      await log.append([put("a", "xxxxxx"), put("b", null)]);
      expect(await read(log)).toEqual(["4 a=xxxxxx"]);
    });

    test("appends that do not wait for one another count what those before them added", async () => {
      const log = open({ maxKeys: 2 });
      const all = ["a", "a", "b", "c", "b"].map((key) => failure(() => log.append([put(key, 1)])));
      const freed = failure(() => log.append([put("a", null), put("d", 1)]));
      expect((await Promise.all(all)).map((error) => error !== null)).toEqual([
        false,
        false,
        false,
        true,
        false,
      ]);
      expect(await freed).toBeNull();
      expect(await read(log)).toEqual(["4 b=1", "6 d=1"]);
    });

    test("readState() tells of the newest message that leaves nothing in it", async () => {
      const log = open();
      const unkept = async () => (await log.readState(0, NO_LIMIT))!.unkept;
      await log.append([put("a", 1), put("a", 2)]);
      await log.append([put("a", null), put("a", 3), put("b", 1)]);
      expect(await unkept()).toBe(0);
      await log.append([seal({ data: "no key" }), put("b", 2)]);
      expect(await unkept()).toBe(6);
      await log.append([put("a", null), put("c", 1)]);
      expect(await unkept()).toBe(8);
      await log.append([seal({ data: "no key" })]);
      expect(await unkept()).toBe(10);
      log.retain({ ...KEYED, latestByKey: false });
      await log.append([put("c", null), put("d", 1)]);
      log.retain(KEYED);
      expect(await unkept()).toBeGreaterThanOrEqual(11);
    });

    test("keeps none where it is not asked to", async () => {
      const log = open({ latestByKey: false });
      await log.append([put("a", 1)]);
      expect([log.keepsState, await read(log)]).toEqual([false, null]);
      expect(log.stat()).toEqual({ count: 1, bytes: 1 });
    });

    test("retain() that turns it on begins with what the history holds, and off lets go of it", async () => {
      const log = open({ latestByKey: false, size: 4 });
      await log.append([put("old", 1), put("a", 2), put("b", 3), put("b", null), put("c", 4)]);
      log.retain({ ...KEYED, size: 4 });
      expect(log.keepsState).toBe(true);
      expect(await read(log)).toEqual(["2 a=2", "5 c=4"]);
      await log.append([put("d", 5), put("a", null)]);
      expect(await read(log)).toEqual(["5 c=4", "6 d=5"]);
      expect(log.stat().state).toEqual({ keys: 2, bytes: 2 });
      log.retain({ ...KEYED, size: 2, latestByKey: false });
      expect([log.keepsState, await read(log)]).toEqual([false, null]);
      await log.append([put("e", 6)]);
      log.retain({ ...KEYED, size: 2 });
      expect(await read(log)).toEqual(["8 e=6"]);
    });

    test("a snapshot does not go on into a state that was built anew of a part of the history", async () => {
      const log = open({ size: 2 });
      await log.append(["a", "b", "c"].map((key) => put(key, 1)));
      log.retain({ ...KEYED, size: 2, latestByKey: false });
      await log.append([put("d", 1)]);
      log.retain({ ...KEYED, size: 2 });
      expect(await read(log, 1, { through: 3 })).toBeNull();
      expect(await read(log, 0, { through: 4 })).toEqual(["3 c=1", "4 d=1"]);
    });

    test("what is built of a whole history is what it would have been", async () => {
      const log = open({ latestByKey: false });
      await log.append([put("a", 1), put("b", 2), put("a", 3)]);
      log.retain(KEYED);
      expect(await read(log, 0, { through: 2 })).toEqual(["2 b=2"]);
      expect(await read(log)).toEqual(["2 b=2", "3 a=3"]);
    });

    test("keeps the states of channels apart", async () => {
      const [a, b] = [open({}, "a"), open({}, "b")];
      await a.append([put("k", "a")]);
      await b.append([put("k", "b")]);
      expect([await read(a), await read(b)]).toEqual([["1 k=a"], ["1 k=b"]]);
      await b.append([put("k", null)]);
      expect([await read(a), await read(b)]).toEqual([["1 k=a"], []]);
    });

    test("opens a closed log again: with its state, or in another epoch", async () => {
      const before = open({ size: 0 });
      await before.append([put("a", 1), put("b", 2), seal({ data: "no key" })]);
      before.close();
      const log = open({ size: 0 });
      const isSame = log.epoch === before.epoch;
      expect(await read(log)).toEqual(isSame ? ["1 a=1", "2 b=2"] : []);
      await log.append([put("a", 3)]);
      expect(await read(log)).toEqual(isSame ? ["2 b=2", "4 a=3"] : ["1 a=3"]);
      expect(log.stat().state).toEqual({ keys: isSame ? 2 : 1, bytes: isSame ? 2 : 1 });
    });

    test("keeps what a plain map would, through any appends, limits and reads", async () => {
      const draft = fc.record({
        key: fc.constantFrom("a", "b", "c", "d", "e", undefined),
        data: fc.constantFrom(null, 1, 22, 333, 4444, "text"),
      });
      const operation = fc.record({
        batches: fc.array(fc.array(draft, { maxLength: 4 }), { minLength: 1, maxLength: 4 }),
        after: fc.nat(20),
        span: fc.nat(30),
        count: fc.integer({ min: 1, max: 4 }),
        bytes: fc.integer({ min: 1, max: 8 }),
      });
      const bounds = fc.record({
        size: fc.nat(5),
        maxKeys: fc.constantFrom(2, 4, Infinity),
        maxBytes: fc.constantFrom(6, 12, Infinity),
      });
      let logs = 0;
      const run = async (
        kept: typeof bounds extends fc.Arbitrary<infer T> ? T : never,
        all: Operation[],
      ) => {
        const log = open(kept, `random ${++logs}`);
        const plain = new PlainState(kept.maxKeys, kept.maxBytes);
        for (const { batches, after, span, count, bytes } of all) {
          // In one turn: they may share a commit.
          const answers = batches.map((batch) =>
            failure(() => log.append(batch.map((each) => seal(each)))),
          );
          const expected = batches.map((batch) => plain.append(batch));
          const taken = (await Promise.all(answers)).map((error) => error === null);
          expect(taken).toEqual(expected);
          const through = after + span;
          const page = await log.readState(after, { through, count, bytes });
          const { offsets, isEnd } = plain.read(after, through, count, bytes);
          expect(page!.messages.map(({ offset }) => offset)).toEqual(offsets);
          expect(page!.isEnd).toBe(isEnd);
          expect(page!.unkept).toBeWithin(plain.unkept, log.top + 1);
          expect(log.stat().state).toEqual(plain.size);
        }
        log.close();
      };
      const operations = fc.array(operation, { maxLength: 20 });
      await fc.assert(fc.asyncProperty(bounds, operations, run), { numRuns: 100 });
    });
  });
}

interface Operation {
  batches: PlainDraft[][];
  after: number;
  span: number;
  count: number;
  bytes: number;
}
