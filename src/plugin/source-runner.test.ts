import { describe, expect, test } from "bun:test";
import { ChannelError, InvalidDraftError, SchemaError } from "../channel/errors.ts";
import type { MaybePromise } from "../channel/log.ts";
import type { Draft } from "../channel/message.ts";
import { FakeClock, settled } from "./fake-clock.ts";
import { createFakeLog } from "./fake-log.ts";
import { Reports } from "./reports.ts";
import { restartDelayMs, SourceRunner } from "./source-runner.ts";

function run(
  source: (signal: AbortSignal) => unknown,
  publish?: (draft: Draft) => MaybePromise<unknown>,
) {
  const { log, lines } = createFakeLog();
  const clock = new FakeClock();
  const controller = new AbortController();
  const published: unknown[] = [];
  const reports = new Reports({ plugin: "clock", channel: "time", log, clock });
  const runner = new SourceRunner({
    source: () => source(controller.signal),
    publish: publish ?? ((draft) => published.push(draft.data)),
    reports,
    clock,
    signal: controller.signal,
    random: () => 0,
  });
  runner.start();
  const stop = () => {
    controller.abort();
    return runner.stop();
  };
  return { clock, lines, published, reports, stop };
}

describe("SourceRunner", () => {
  test.each([
    [
      "an async generator",
      async function* () {
        yield { data: 1 };
        yield { data: 2 };
      },
    ],
    [
      "a generator",
      function* () {
        yield { data: 1 };
        yield { data: 2 };
      },
    ],
    ["an array", () => [{ data: 1 }, { data: 2 }]],
  ])(
    "publishes what %s gives, in order, and does not start it again when it ends",
    async (_what, source) => {
      const { published, clock, lines } = run(source);
      await settled();
      expect(published).toEqual([1, 2]);
      expect(clock.asked).toEqual([]);
      expect(lines).toEqual([]);
    },
  );

  test("takes the next draft when the one before is published", async () => {
    let taken = 0;
    const done: (() => void)[] = [];
    run(
      async function* () {
        for (;;) yield { data: ++taken };
      },
      () => new Promise<void>((resolve) => done.push(resolve)),
    );
    await settled();
    expect(taken).toBe(1);
    done[0]!();
    await settled();
    expect(taken).toBe(2);
  });

  test("starts a source that throws again, with a delay that doubles up to 30 s, each logged", async () => {
    let starts = 0;
    const { clock, lines, reports } = run(async function* () {
      starts++;
      throw new Error("no connection");
    });
    await settled();
    expect(starts).toBe(1);
    await clock.pass(99);
    expect(starts).toBe(1);
    await clock.pass(1);
    expect(starts).toBe(2);
    await clock.pass(200 + 400 + 800 + 1600 + 3200 + 6400 + 12_800 + 25_600 + 30_000 + 30_000);
    expect(clock.asked).toEqual([
      100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000,
    ]);
    expect(lines).toHaveLength(12);
    expect(lines[2]).toMatchObject({
      level: "error",
      fields: {
        hook: "source",
        attempt: 3,
        delayMs: 400,
        error: {
          plugin: "clock",
          hook: "source",
          channel: "time",
          cause: { message: "no connection" },
        },
      },
    });
    expect(reports.stats().hooks.source).toEqual({ errors: 12, dropped: 0 });
  });

  test("begins with the first delay again after a source ran well for 30 s", async () => {
    let runs = 0;
    const { clock } = run(async function* () {
      if (++runs === 4) {
        yield { data: "up" };
        await clock.delay(30_000, new AbortController().signal);
      }
      throw new Error("down");
    });
    await clock.pass(100 + 200 + 400 + 30_000);
    expect(clock.asked).toEqual([100, 200, 400, 30_000, 100]);
  });

  test("a delay is at most a fifth shorter by chance", () => {
    expect([0, 0.5, 1].map((chance) => restartDelayMs(1, () => chance))).toEqual([100, 90, 80]);
    expect(restartDelayMs(5000, () => 0)).toBe(30_000);
  });

  test("a draft that is refused is lost alone: counted, logged, and the source goes on", async () => {
    const refusals = [
      new InvalidDraftError("event", "event is bad"),
      new SchemaError("time", ["/ is wrong"]),
      new ChannelError("too-large", "too large"),
      new Error("disk full"),
    ];
    const published: unknown[] = [];
    const { lines, reports, clock } = run(
      async function* () {
        for (let i = 0; i < 6; i++) yield { data: i };
      },
      async ({ data }) => {
        const refusal = refusals[data as number];
        if (refusal) throw refusal;
        published.push(data);
      },
    );
    await settled();
    expect(published).toEqual([4, 5]);
    expect(reports.stats().hooks.source).toEqual({ errors: 4, dropped: 4 });
    expect(lines.map(({ fields }) => (fields["error"] as Error).cause)).toEqual([refusals[0]]);
    await clock.pass(10_000);
    expect(lines[1]!.fields).toMatchObject({ count: 3, error: { cause: refusals[3] } });
  });

  test.each([[undefined], [null], ["text"], [{}], [7]])(
    "what is no draft is refused: %p",
    async (value) => {
      const { published, reports, lines } = run(function* () {
        yield value;
        yield { data: "after" };
      });
      await settled();
      expect(published).toEqual(["after"]);
      expect(reports.stats().hooks.source).toEqual({ errors: 1, dropped: 1 });
      expect((lines[0]!.fields["error"] as Error).message).toContain(
        `a draft is an object with "data"`,
      );
    },
  );

  test("a draft can't bring its own JSON text along", async () => {
    const drafts: Draft[] = [];
    run(
      () => [{ data: 1, event: "e", key: "k", format: "json", raw: "{broken" }],
      (draft) => drafts.push(draft),
    );
    await settled();
    expect(drafts).toEqual([{ data: 1, event: "e", key: "k", format: "json" }]);
  });

  test("waits while the channel has too much waiting, and loses nothing", async () => {
    let refusals = 3;
    const published: unknown[] = [];
    const { clock, reports } = run(
      () => [{ data: 1 }, { data: 2 }],
      ({ data }) => {
        if (refusals-- > 0) throw new ChannelError("overloaded", "later");
        published.push(data);
      },
    );
    await clock.pass(150);
    expect(published).toEqual([1, 2]);
    expect(reports.stats().hooks).toEqual({});
  });

  test("a source that never waits leaves turns of the event loop to others", async () => {
    const { stop, published } = run(function* () {
      for (let i = 0; ; i++) yield { data: i };
    });
    await settled();
    expect(published.length).toBeGreaterThan(64);
    await stop();
    const count = published.length;
    await settled();
    expect(published.length).toBe(count);
  });

  test.each([
    ["nothing", () => undefined, "source returned nothing"],
    ["a promise of a generator", async () => [], "source returned a promise"],
    ["a text", () => "abc", "source returned a string"],
  ])("a source that returns %s is told what to return", async (_what, source, says) => {
    const { lines } = run(source);
    await settled();
    const error = lines[0]!.fields["error"] as Error;
    expect(error.message).toContain(says);
    expect(error).toMatchObject({ code: "bad-result" });
  });

  test("stop() ends the iterator, so that its finally runs, and no more comes out", async () => {
    let isCleanedUp = false;
    const { stop, published } = run(async function* () {
      try {
        for (;;) {
          yield { data: 1 };
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
      } finally {
        await settled();
        isCleanedUp = true;
      }
    });
    await settled();
    await stop();
    expect(isCleanedUp).toBe(true);
    const count = published.length;
    await settled();
    expect(published.length).toBe(count);
  });

  test("stop() ends a delay before a restart", async () => {
    let starts = 0;
    const { stop, clock } = run(() => {
      starts++;
      throw new Error("down");
    });
    await settled();
    await stop();
    expect(clock.pending).toBe(0);
    expect(starts).toBe(1);
  });

  test("what a source throws because it was stopped is no failure", async () => {
    const { stop, lines } = run(async function* (signal) {
      await new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason)),
      );
    });
    await settled();
    await stop();
    expect(lines).toEqual([]);
  });
});
