import { describe, expect, test } from "bun:test";
import { Message, sealDraft, type Draft } from "../channel/message.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { Reports } from "./reports.ts";
import type { CommittedMessage } from "./sdk.ts";
import { SinkQueue } from "./sink-queue.ts";

let offset = 0;

function message(draft: Draft): Message {
  return new Message("prices", "e", ++offset, 1000, sealDraft(draft, 1e6));
}

/** A sink whose calls end when the test says so. */
function controlled(limits?: { messages: number; bytes: number }) {
  const { log, lines } = createFakeLog();
  const reports = new Reports({
    plugin: "webhook",
    channel: "prices",
    log: log.with({ plugin: "webhook", channel: "prices" }),
    clock: new FakeClock(),
  });
  const batches: (readonly CommittedMessage[])[] = [];
  const ends: ((error?: Error) => void)[] = [];
  const sink = (batch: readonly CommittedMessage[]) => {
    batches.push(batch);
    return new Promise<void>((resolve, reject) =>
      ends.push((error) => (error ? reject(error) : resolve())),
    );
  };
  const queue = new SinkQueue(sink, reports, limits);
  const push = (...data: unknown[]) => queue.push(data.map((item) => message({ data: item })));
  const end = async (error?: Error) => {
    ends.shift()!(error);
    await settled();
  };
  const seen = () => batches.map((batch) => batch.map(({ data }) => data));
  return { queue, push, end, seen, batches, lines, reports };
}

describe("SinkQueue", () => {
  test("hands over what was committed in one turn as one batch, after the commit", async () => {
    const { push, seen } = controlled();
    push(1, 2);
    push(3);
    expect(seen()).toEqual([]);
    await settled();
    expect(seen()).toEqual([[1, 2, 3]]);
  });

  test("lets batches come together while a call runs, and keeps their order", async () => {
    const { push, seen, end } = controlled();
    push(1);
    await settled();
    push(2);
    await settled();
    push(3, 4);
    await settled();
    expect(seen()).toEqual([[1]]);
    await end();
    expect(seen()).toEqual([[1], [2, 3, 4]]);
  });

  test("goes on after a batch that failed, counts its messages and does not give them again", async () => {
    const { push, seen, end, lines, reports } = controlled();
    push(1, 2);
    await settled();
    push(3);
    await end(new Error("the other side is down"));
    expect(seen()).toEqual([[1, 2], [3]]);
    expect(reports.stats().hooks).toEqual({ sink: { errors: 1, dropped: 2 } });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: "error",
      fields: { plugin: "webhook", hook: "sink", channel: "prices", dropped: 2 },
    });
  });

  test("drops the oldest over its bound of messages, and logs once until it has caught up", async () => {
    const { push, seen, end, lines, reports, queue } = controlled({ messages: 3, bytes: 1e6 });
    push(0);
    await settled();
    for (let i = 1; i <= 100; i++) push(i);
    expect(queue.size).toBe(3);
    expect(lines.map(({ level, message }) => [level, message])).toEqual([
      ["warn", "sink is too slow: the oldest messages that wait are dropped"],
    ]);
    await end();
    // Still behind: what is dropped now belongs to the same episode.
    for (let i = 101; i <= 110; i++) push(i);
    await end();
    await end();
    expect(seen()).toEqual([[0], [98, 99, 100], [108, 109, 110]]);
    expect(reports.stats().hooks.sink).toEqual({ errors: 0, dropped: 104 });
    expect(lines.slice(1).map(({ message, fields }) => [message, fields["dropped"]])).toEqual([
      ["sink has caught up", 104],
    ]);
  });

  test("drops the oldest over its bound of bytes, but never the newest", async () => {
    const { push, seen, end } = controlled({ messages: 100, bytes: 25 });
    push(0);
    await settled();
    push("0123456789", "abcdefghij", "ABCDEFGHIJ");
    await end();
    push("x".repeat(50));
    await end();
    expect(seen()).toEqual([[0], ["abcdefghij", "ABCDEFGHIJ"], ["x".repeat(50)]]);
  });

  test("a sink that changes what it got changes nothing for others", async () => {
    const json = message({ data: { list: [1] } });
    const bytes = message({ data: new Uint8Array([1, 2, 3]) });
    const { log } = createFakeLog();
    const reports = new Reports({ plugin: "p", channel: "c", log, clock: new FakeClock() });
    const seen: unknown[] = [];
    const spoil = new SinkQueue((batch) => {
      (batch[0]!.data as { list: number[] }).list.push(2);
      (batch[1]!.data as Uint8Array)[0] = 9;
      expect(() => Object.assign(batch[0]!, { id: "other" })).toThrow(TypeError);
    }, reports);
    const read = new SinkQueue((batch) => seen.push(...batch.map(({ data }) => data)), reports);
    for (const queue of [spoil, read]) queue.push([json, bytes]);
    await settled();
    expect(reports.stats().hooks).toEqual({});
    expect(seen).toEqual([{ list: [1] }, new Uint8Array([1, 2, 3])]);
    expect(json.data).toEqual({ list: [1] });
    expect(bytes.bytes).toEqual(new Uint8Array([1, 2, 3]));
  });

  test("a message shows all its fields to JSON.stringify and to a spread", async () => {
    const { queue, batches } = controlled();
    const given = message({ data: { price: 1 }, event: "tick", key: "ACME" });
    queue.push([given]);
    await settled();
    const fields = {
      id: given.id,
      channel: "prices",
      time: 1000,
      event: "tick",
      key: "ACME",
      data: { price: 1 },
    };
    expect(JSON.parse(JSON.stringify(batches[0]![0]))).toEqual(fields);
    expect({ ...batches[0]![0] }).toEqual(fields as CommittedMessage);
  });

  test("drained() waits for what is under way and for what waits", async () => {
    const { queue, push, end } = controlled();
    await queue.drained();
    push(1);
    let isDrained = false;
    void queue.drained().then(() => (isDrained = true));
    await settled();
    push(2);
    await end();
    expect(isDrained).toBe(false);
    await end();
    expect(isDrained).toBe(true);
  });

  test("stop() counts and logs what never was handed over, and takes nothing more", async () => {
    const { queue, push, end, seen, reports, lines } = controlled();
    push(1);
    await settled();
    push(2, 3);
    queue.stop();
    expect(reports.stats().hooks.sink).toEqual({ errors: 0, dropped: 2 });
    // Of a transform that ended after the channel did.
    push(4);
    push(5, 6);
    await end();
    expect(seen()).toEqual([[1]]);
    expect(reports.stats().hooks.sink).toEqual({ errors: 0, dropped: 5 });
    const line = (fields: object) => ({ level: "warn", fields: { plugin: "webhook", ...fields } });
    expect(lines).toMatchObject([line({ dropped: 2 }), line({ dropped: 1 }), line({ dropped: 2 })]);
  });

  test("a sink that publishes what it gets, synchronously, lets the event loop go on", async () => {
    const { log } = createFakeLog();
    const reports = new Reports({ plugin: "p", channel: "c", log, clock: new FakeClock() });
    let calls = 0;
    const queue: SinkQueue = new SinkQueue(() => {
      calls++;
      queue.push([message({ data: calls })]);
    }, reports);
    queue.push([message({ data: 0 })]);
    await settled();
    expect(calls).toBeGreaterThan(1);
    queue.stop();
  });
});
