/** Guarantees 1 to 4 (DESIGN.md §4): random lives of a channel against the plain model. */
import { afterAll, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { SqliteBroker } from "../broker/sqlite.ts";
import { Run, type Operation, type Pick, type Setup } from "./run.testing.ts";

const kind = fc.record({
  isBatch: fc.boolean(),
  onError: fc.constantFrom("drop", "drop", "pass", "stop"),
});

const setup: fc.Arbitrary<Setup> = fc.record({
  retention: fc.record({
    size: fc.nat(8),
    ttlMs: fc.constantFrom(20, 60, Infinity, Infinity),
    latestByKey: fc.boolean(),
  }),
  maxBatchBytes: fc.constantFrom(1, 1000, 1_000_000),
  isSlowLog: fc.boolean(),
  hasTransforms: fc.boolean(),
  transforms: fc.tuple(kind, kind),
});

const does = fc.oneof(
  { arbitrary: fc.constant("pass" as const), weight: 5 },
  fc.constantFrom("split", "drop", "throw", "nonsense" as const),
);
const plan = fc.record({ does, isSlow: fc.boolean() });
const draft = fc.record({
  plans: fc.tuple(plan, plan),
  isRefused: fc.nat(15).map((n) => n === 15),
  emits: fc.nat(9).map((n) => n === 9),
  key: fc.constantFrom("a", "b", "c", "d", undefined),
  deletes: fc.nat(4).map((n) => n === 4),
});

const which = fc.nat(30);
const pick = fc.constantFrom<Pick[]>(
  "live",
  "state",
  "state",
  "earliest",
  "last",
  "after",
  "after",
  "foreign",
  "ahead",
);
const meddle = fc.option(
  fc.record({ at: fc.nat(1), does: fc.constantFrom("publish", "join", "leave", "flush" as const) }),
  { freq: 3 },
);
const doing = <const T extends string>(...names: T[]) =>
  fc.constantFrom(...names).map((name) => ({ do: name }));

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      drafts: fc.array(draft, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: doing("inject") },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      pick,
      which,
      key: fc.constantFrom("0", "1"),
      room: fc.array(fc.nat(4), { maxLength: 4 }),
      meddle,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("poll" as const),
      pick,
      which,
      limit: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("poll again", "give up", "leave", "come back", "drain", "drain" as const),
      which,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(30) }) },
  {
    weight: 8,
    arbitrary: doing("sweep", "flush", "flush", "turn", "tick", "tick", "step", "step"),
  },
  { weight: 1, arbitrary: fc.nat(4).map((n) => ({ do: n === 4 ? "reopen" : "turn" }) as const) },
);

const folder = mkdtempSync(join(tmpdir(), "tidewire-guarantees-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

test.each([
  ["memory", 2000, undefined],
  [
    "sqlite",
    200,
    (now: () => number) =>
      new SqliteBroker({ path: join(folder, `${++files}.db`), durability: "normal", now }),
  ],
] as const)(
  "a channel of broker %s keeps guarantees 1 to 4 through any operations, in any order of answers",
  async (_, numRuns, createBroker) => {
    await fc.assert(
      fc.asyncProperty(
        setup,
        fc.array(operation, { maxLength: 60, size: "max" }),
        fc.scheduler(),
        async (setup, operations, scheduler) => {
          const run = new Run({ ...setup, createBroker }, scheduler);
          try {
            for (const each of operations) await run.operate(each);
            await run.end();
          } finally {
            await run.dispose();
          }
        },
      ),
      { numRuns },
    );
  },
);
