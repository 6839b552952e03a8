/** `check --tests` by the executable alone: a config, a plugin in TypeScript, and tests in YAML. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Folder, tidewire } from "./executable.ts";

const ROUND = `import { definePlugin, t } from "tidewire";
import { setTimeout as sleep } from "node:timers/promises";
export default definePlugin({
  name: "round",
  options: t.Object({ decimals: t.Integer({ default: 2 }) }),
  setup: ({ options }) => ({
    async transform(draft) {
      await sleep(3_600_000);
      const scale = 10 ** options.decimals;
      return { ...draft, data: Math.round(Number(draft.data) * scale) / scale };
    },
    sink(): never {
      throw new Error("a sink was called");
    },
  }),
});
`;
const CONFIG = `server: { listen: 127.0.0.1:1 }
channels:
  prices:
    plugins:
      - { use: ./round.ts, with: { decimals: 1 } }
  ticks:
    plugins: [{ use: clock, with: { every: 1m, format: iso } }]
`;
const TESTS = `tests:
  - name: prices are rounded
    channel: prices
    feed: [{ data: 1.26 }]
    expect: [{ data: 1.3 }]
  - name: a minute has one tick
    channel: ticks
    sources: true
    feed: [{ wait: 1m }]
    expect: [{ data: "2026-01-01T00:01:00.000Z" }]
`;

let folder: Folder;
beforeAll(() => {
  folder = new Folder({ "tidewire.yaml": CONFIG, "round.ts": ROUND, "tidewire.test.yaml": TESTS });
});
afterAll(() => folder[Symbol.dispose]());

test("tests beside the config pass, an hour of time in none", async () => {
  const { code, stdout, stderr } = await tidewire(folder, ["check", "--tests"]);
  expect(stderr).toBe("");
  expect(stdout).toBe("ok      prices are rounded\nok      a minute has one tick\n\n2 passed\n");
  expect(code).toBe(0);
});

test("one that fails ends with 1, and shows what differs", async () => {
  folder.write("wrong.yaml", `${CONFIG}${TESTS.replace("1.3", "1.26")}`);
  const { code, stdout } = await tidewire(folder, ["check", "wrong.yaml", "--tests"]);
  expect(stdout).toBe(`FAILED  prices are rounded
  --> wrong.yaml:12:14
12 |     expect: [{ data: 1.26 }]
   |              ^^^^^^^^^^^^^^ message 1 is another
  - expected
  + came
  - 1.26
  + 1.3

ok      a minute has one tick

1 passed, 1 failed
`);
  expect(code).toBe(1);
});

test("tests that are wrong end with 78", async () => {
  folder.write("other.yaml", CONFIG);
  folder.write("other.test.yaml", TESTS.replace("channel: prices", "channel: price"));
  const { code, stderr } = await tidewire(folder, ["check", "other.yaml", "--tests"]);
  expect(stderr).toBe(`error[unknown-channel]: there is no channel "price"
  --> other.test.yaml:3:14
 3 |     channel: price
   |              ^^^^^ did you mean "prices"?

1 error in other.test.yaml
`);
  expect(code).toBe(78);
});

test("schema has both", async () => {
  const config = await tidewire(folder, ["schema"]);
  expect(Object.keys((JSON.parse(config.stdout) as { properties: object }).properties)).toContain(
    "tests",
  );
  const beside = await tidewire(folder, ["schema", "tests"]);
  expect(JSON.parse(beside.stdout)).toMatchObject({ title: "Tidewire tests", required: ["tests"] });
});
