/** `check --tests` from the YAML to the whole of its output. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { check } from "./check.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tidewire-tests-"))));
afterEach(() => rmSync(folder, { recursive: true }));

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `check --tests` on files; the folder's name is taken out of what it writes. */
async function run(
  files: Readonly<Record<string, string>>,
  options: { json?: boolean; tests?: boolean; color?: boolean } = {},
): Promise<Ran> {
  for (const [name, content] of Object.entries(files)) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  let [stdout, stderr] = ["", ""];
  const code = await check(join(folder, "tidewire.yaml"), {
    tests: true,
    color: false,
    env: {},
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    ...options,
  });
  const bare = (text: string) => text.replaceAll(`${folder}/`, "");
  return { code, stdout: bare(stdout), stderr: bare(stderr) };
}

/** Source of a plugin whose `setup` has this body. */
function plugin(name: string, body: string): string {
  return `import { definePlugin } from "tidewire";
export default definePlugin({ name: "${name}", setup(ctx) { ${body} } });
`;
}

const ROUND = plugin(
  "round",
  `return { transform: (draft) => ({ ...draft, data: Math.round(draft.data * 100) / 100 }) };`,
);

test("tests that pass are a line each", async () => {
  const ran = await run({
    "round.ts": ROUND,
    "tidewire.yaml": `
channels:
  prices: { schema: { type: number }, plugins: [{ use: ./round.ts }] }
tests:
  - name: prices are rounded
    channel: prices
    feed: [{ data: 1.239 }, { data: 2, event: note, key: a }, { data: text, refused: schema }]
    expect: [{ data: 1.24 }, { data: { $type: integer }, event: note, key: a }]
  - name: clients may not publish prices
    channel: prices
    feed: [{ receive: 1, refused: publish-not-allowed }]
    expect: []
`,
  });
  expect(ran).toEqual({
    code: 0,
    stdout: `ok      prices are rounded
ok      clients may not publish prices

2 passed
`,
    stderr: "",
  });
});

test("a test that fails shows where, and the difference", async () => {
  const ran = await run({
    "tidewire.yaml": `channels:
  prices: { schema: { type: object } }
tests:
  - name: the first of two
    channel: prices
    feed:
      - data: { symbol: ACME, tags: [a, b], price: 1.5 }
      - data: { symbol: INIT }
      - data: { symbol: MORE }
      - data: 5
      - { data: { symbol: LAST }, event: end, refused: too-large }
    expect:
      - data:
          symbol: ACME
          tags: [a, { $regex: ^c }]
          price: { $type: number }
          at: { $any: true }
      - data: { symbol: MORE }
      - { data: { symbol: LAST }, event: { $regex: ^e } }
      - data: { symbol: NEVER }
  - name: the second
    channel: prices
    feed: [{ data: { a: 1 } }]
    expect: [{ data: { a: 1 } }]
`,
  });
  expect(ran).toEqual({
    code: 1,
    stdout: `FAILED  the first of two
  --> tidewire.yaml:10:9
10 |       - data: 5
   |         ^^^^^^^ this was refused with "schema": data does not fit the schema of channel "prices": the data must be object
  --> tidewire.yaml:11:9
11 |       - { data: { symbol: LAST }, event: end, refused: too-large }
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this was taken, and not refused with "too-large"
  --> tidewire.yaml:13:9
13 |       - data:
   |         ^^^^^ message 1 is another
  - expected
  + came
    {
      "symbol": "ACME"
      "tags": [
        "a"
  -     {"$regex":"^c"}
  +     "b"
      ]
      "price": 1.5
  -   "at": {"$any":true}
    }
  --> tidewire.yaml:12:5
12 |     expect:
   |     ^^^^^^ 1 message came that is not expected
  + {
  +   "symbol": "INIT"
  + }
  --> tidewire.yaml:20:9
20 |       - data: { symbol: NEVER }
   |         ^^^^^^^^^^^^^^^^^^^^^^^ message 4 did not come
  - {
  -   "symbol": "NEVER"
  - }

ok      the second

1 passed, 1 failed
`,
    stderr: "",
  });
});

test("what hooks throw is shown below the test, also one that passes by it", async () => {
  const { code, stdout } = await run({
    "bad.ts": plugin("bad", `return { transform() { throw new Error("made to fail"); } };`),
    "unset.ts": plugin("unset", `throw new Error("no setup today");`),
    "tidewire.yaml": `channels:
  a: { plugins: [{ use: ./bad.ts }] }
  b: { plugins: [{ use: ./unset.ts }] }
  c: {}
tests:
  - { name: dropped, channel: a, feed: [{ data: 1 }], expect: [{ data: 1 }] }
  - { name: dropped as it should be, channel: a, feed: [{ data: 1 }], expect: [] }
  - { name: not set up, channel: b, feed: [{ data: 1 }], expect: [] }
  - { name: not concerned, channel: c, feed: [{ data: 1 }], expect: [{ data: 1 }] }
`,
  });
  expect(code).toBe(1);
  expect(stdout).toContain("FAILED  dropped\n");
  expect(stdout).toMatch(/log: error \(bad\): .*transform/);
  expect(stdout).toContain("made to fail");
  expect(stdout).toContain(
    "ok      dropped as it should be\n  log: error (bad): plugin failed in transform",
  );
  expect(stdout).toContain("FAILED  not set up\n");
  expect(stdout).toContain("no setup today");
  expect(stdout).toContain("ok      not concerned\n\n2 passed, 2 failed\n");
});

describe("a client", () => {
  test("is answered, refused and known again by what it shows", async () => {
    const { stdout, code } = await run({
      "greet.ts": plugin(
        "greet",
        `const met = new Map();
        return {
          authorize: ({ action, cookies }) => (cookies.has("user") ? "allow" : "deny"),
          receive(data, client) {
            const times = (met.get(client) ?? 0) + 1;
            met.set(client, times);
            client.send({ times, room: client.query.get("room"), by: client.transport });
            return times > 1 ? { data: { ...data, times } } : null;
          },
        };`,
      ),
      "tidewire.yaml": `channels:
  chat/{room}: { publish: authorized, plugins: [{ use: ./greet.ts }] }
tests:
  - name: greets
    channel: chat/lobby
    feed:
      - receive: { text: hi }
        refused: forbidden
      - receive: { text: hi }
        from: &ada { headers: { cookie: user=ada }, query: { room: one } }
        answers: [{ times: 1, room: one, by: websocket }]
      - receive: { text: again }
        from: *ada
        answers: [{ $partial: { times: 2 } }]
      - receive: { text: hi }
        from: { headers: { cookie: user=bob }, transport: post }
        answers: [{ times: 1, room: ~, by: post }]
    expect:
      - data: { text: again, times: 2 }
  - name: forgets
    channel: chat/lobby
    feed:
      - receive: { text: hi }
        from: *ada
        answers: [{ times: 2 }]
    expect: []
`,
    });
    expect(stdout).toBe(`ok      greets
FAILED  forgets
  --> tidewire.yaml:25:18
25 |         answers: [{ times: 2 }]
   |                  ^^^^^^^^^^^^^^ the client was sent something else
  - expected
  + came
    [
      {
  -     "times": 2
  +     "times": 1
  +     "room": "one"
  +     "by": "websocket"
      }
    ]

1 passed, 1 failed
`);
    expect(code).toBe(1);
  });
});

describe("time", () => {
  test("stands still but for wait, starts where a test says, and costs none", async () => {
    const startedMs = performance.now();
    const { stdout } = await run({
      "late.ts": plugin(
        "late",
        `return {
          async transform(draft) {
            await new Promise((resolve) => setTimeout(resolve, 60_000));
            return { ...draft, data: new Date().toISOString() };
          },
        };`,
      ),
      "tidewire.yaml": `channels:
  slow: { plugins: [{ use: throttle, with: { every: 1h } }] }
  ticks: { plugins: [{ use: clock, with: { every: 1h, format: iso } }] }
  late: { plugins: [{ use: ./late.ts }] }
tests:
  - name: throttled
    channel: slow
    feed: [{ data: 1 }, { data: 2 }, { data: 3 }, { wait: 59m }]
    expect: [{ data: 1 }]
  - name: throttled, and let go
    channel: slow
    feed: [{ data: 1 }, { data: 2 }, { data: 3 }, { wait: 60m }]
    expect: [{ data: 1 }, { data: 3 }]
  - name: no source
    channel: ticks
    feed: [{ wait: 3h }]
    expect: []
  - name: a source
    channel: ticks
    now: 2026-03-01T23:30:00+01:00
    sources: true
    feed: [{ wait: 2h }]
    expect: [{ data: 2026-03-01T23:00:00.000Z }, { data: 2026-03-02T00:00:00.000Z }]
  - name: a hook that takes its time
    channel: late
    feed: [{ data: 1 }]
    expect: [{ data: "2026-01-01T00:01:00.000Z" }]
`,
    });
    expect(stdout).toEndWith("\n5 passed\n");
    expect(performance.now() - startedMs).toBeLessThan(60_000);
    expect(Math.abs(Date.now() - Date.parse(new Date().toISOString()))).toBeLessThan(60_000);
  });
});

describe("each test", () => {
  const FILES = {
    "count.ts": plugin(
      "count",
      `return {
        async transform(draft) {
          const seen = ((await ctx.store.get("seen")) ?? 0) + 1;
          await ctx.store.set("seen", seen);
          return { ...draft, data: seen };
        },
        sink: async (messages) => {
          for (const { data } of messages) await ctx.channel("sunk").publish({ data });
        },
      };`,
    ),
    "tidewire.yaml": `channels:
  counted: { plugins: [{ use: ./count.ts }] }
  sunk: {}
tests:
  - &one
    name: one
    channel: counted
    feed: [{ data: x }, { data: x }]
    expect: [{ data: 1 }, { data: 2 }]
  - { <<: *one, name: another }
  - <<: *one
    name: with sinks
    sinks: true
    expect:
      - data: 1
      - { channel: sunk, data: 1 }
      - data: 2
      - { channel: sunk, data: 2 }
  - <<: *one
    name: without sinks
    expect: [{ data: 1 }, { data: 2 }, { channel: sunk, data: 1 }]
`,
  };

  test("has channels, a store and sinks of its own, and sees other channels where it names them", async () => {
    const { stdout, stderr, code } = await run(FILES);
    expect(stderr).toBe("");
    expect(stdout).toBe(`ok      one
ok      another
ok      with sinks
FAILED  without sinks
  --> tidewire.yaml:21:40
21 |     expect: [{ data: 1 }, { data: 2 }, { channel: sunk, data: 1 }]
   |                                        ^^^^^^^^^^^^^^^^^^^^^^^^^^ message 3 did not come
  - {
  -   "channel": "sunk"
  -   "data": 1
  - }

3 passed, 1 failed
`);
    expect(code).toBe(1);
  });
});

test("a plugin of a thread of its own is run in this one, whose time is held", async () => {
  const { stdout } = await run({
    "late.ts": plugin(
      "late",
      `return {
        async transform(draft) {
          await new Promise((resolve) => setTimeout(resolve, 3_600_000));
          return { ...draft, data: Date.now() };
        },
      };`,
    ),
    "tidewire.yaml": `channels: { a: { plugins: [{ use: ./late.ts, isolate: true }] } }
tests:
  - { name: late, channel: a, now: 1970-01-01, feed: [{ data: 1 }], expect: [{ data: 3600000 }] }
`,
  });
  expect(stdout).toBe("ok      late\n\n1 passed\n");
});

test("bytes are written in base64", async () => {
  const { stdout } = await run({
    "tidewire.yaml": `channels: { a: {} }
tests:
  - name: bytes
    channel: a
    feed: [{ data: AAEC, encoding: base64 }]
    expect: [{ data: AAEC, encoding: base64 }]
`,
  });
  expect(stdout).toBe("ok      bytes\n\n1 passed\n");
});

describe("tests beside the config", () => {
  const CONFIG = "channels: { a: {} }\n";

  test("are run after those in it", async () => {
    const ran = await run({
      "tidewire.yaml": `${CONFIG}tests: [{ name: within, channel: a, expect: [] }]\n`,
      "tidewire.test.yaml": `tests: [{ name: beside, channel: a, expect: [{ data: 1 }] }]\n`,
    });
    expect(ran.stdout).toBe(`ok      within
FAILED  beside
  --> tidewire.test.yaml:1:46
 1 | tests: [{ name: beside, channel: a, expect: [{ data: 1 }] }]
   |                                              ^^^^^^^^^^^ message 1 did not come
  - 1

1 passed, 1 failed
`);
  });

  test("are checked, not run, by check alone", async () => {
    const fine = {
      "tidewire.yaml": CONFIG,
      "tidewire.test.yaml": `tests: [{ name: b, channel: a, expect: [{ data: 1 }] }]\n`,
    };
    expect(await run(fine, { tests: false })).toMatchObject({
      code: 0,
      stdout: "tidewire.yaml is fine: 1 channel, 0 plugins, 1 test\n",
    });
    const wrong = {
      "tidewire.test.yaml": `channels: {}\ntests: [{ name: b, channel: b, expect: [] }]\n`,
    };
    const { code, stderr } = await run(wrong, { tests: false });
    expect(code).toBe(78);
    expect(stderr).toBe(`error[unknown-key]: "channels" is not a key of a file of tests
  --> tidewire.test.yaml:1:1
 1 | channels: {}
   | ^^^^^^^^ its keys: tests

error[unknown-channel]: there is no channel "b"
  --> tidewire.test.yaml:2:29
 2 | tests: [{ name: b, channel: b, expect: [] }]
   |                             ^ did you mean "a"?

2 errors in tidewire.test.yaml
`);
  });

  test("that are an empty file are told of", async () => {
    const { code, stderr } = await run({
      "tidewire.yaml": CONFIG,
      "tidewire.test.yaml": "# later\n",
    });
    expect(code).toBe(78);
    expect(stderr).toContain("error[empty]: the file of tests is empty");
  });
});

test("to run the tests where there are none is a failure", async () => {
  const { code, stderr } = await run({ "tidewire.yaml": "channels: { a: {} }\n" });
  expect(code).toBe(1);
  expect(stderr).toBe(
    "tidewire: tidewire.yaml has no tests: nor is there a tidewire.test.yaml that has\n",
  );
});

test("JSON has every test, and the differences", async () => {
  const { code, stdout } = await run(
    {
      "tidewire.yaml": `channels: { a: {} }
tests:
  - { name: right, channel: a, feed: [{ data: 1 }], expect: [{ data: 1 }] }
  - { name: wrong, channel: a, feed: [{ data: 1 }], expect: [{ data: 2 }] }
`,
    },
    { json: true },
  );
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    ok: false,
    file: "tidewire.yaml",
    tests: {
      passed: 1,
      failed: 1,
      outcomes: [
        { name: "right", file: "tidewire.yaml", line: 3, ok: true, failures: [] },
        {
          name: "wrong",
          ok: false,
          failures: [
            { message: "message 1 is another", line: 4, column: 62, diff: ["- 2", "+ 1"] },
          ],
        },
      ],
    },
  });
});

test("colours are for a terminal", async () => {
  const files = {
    "tidewire.yaml": `channels: { a: {} }\ntests: [{ name: n, channel: a, feed: [{ data: 1 }], expect: [{ data: 2 }] }]\n`,
  };
  const { stdout } = await run(files, { color: true });
  expect(stdout).toContain("\u001b[31m  - 2\u001b[0m");
  expect(stdout).toContain("\u001b[32m  + 1\u001b[0m");
  expect(Bun.stripANSI(stdout)).toBe((await run(files)).stdout);
});
