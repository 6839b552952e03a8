import { describe, expect, test } from "bun:test";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { testsJsonSchema } from "./json-schema.ts";
import { loadTests, testsFileOf } from "./load-tests.ts";
import { ConfigFolder } from "./testing.ts";

const CHANNELS = `channels: { prices: {}, "chat/{room}": {} }\n`;
const EVERYTHING = `tests:
  - name: everything
    channel: chat/lobby
    now: 2026-03-01
    sources: true
    sinks: true
    feed:
      - data: ~
      - { data: AAEC, encoding: base64, event: e, key: k, refused: schema }
      - receive: "\${TEXT}"
        from: { transport: post, headers: { cookie: a=b }, query: { room: one }, address: "::1" }
        answers: [{ $any: true }, 1]
      - { receive: { a: 1 } }
      - wait: 1.5s
    expect:
      - { data: { $partial: { a: 1 } }, event: { $regex: ^e }, key: k }
      - { channel: prices, event: note }
      - { data: AAEC, encoding: base64 }
`;

describe("testsFileOf()", () => {
  test.each([
    ["tidewire.yaml", "tidewire.test.yaml"],
    ["conf/live.yml", "conf/live.test.yml"],
    ["/srv/config", "/srv/config.test.yaml"],
  ])("of %s is %s", (config, tests) => expect(testsFileOf(config)).toBe(tests));
});

describe("loadTests()", () => {
  test("reads every key, and an editor's schema takes them all", async () => {
    using folder = new ConfigFolder();
    const config = await folder.config(CHANNELS);
    folder.write("tidewire.test.yaml", EVERYTHING);
    const result = loadTests(config.file, config, { TEXT: "hi" });
    if ("diagnostics" in result) throw new Error(JSON.stringify(result.diagnostics));
    const [read] = result.tests;
    expect(result.tests).toHaveLength(1);
    expect(read).toMatchObject({
      name: "everything",
      channel: "chat/lobby",
      nowMs: Date.UTC(2026, 2, 1),
      sources: true,
      sinks: true,
      place: { line: 2, column: 11 },
      expectPlace: { line: 15, column: 5 },
      feed: [
        { kind: "publish", data: null, refused: null, place: { line: 8 } },
        {
          kind: "publish",
          data: new Uint8Array([0, 1, 2]),
          event: "e",
          key: "k",
          refused: "schema",
        },
        {
          kind: "receive",
          data: "hi",
          from: {
            transport: "post",
            headers: { cookie: "a=b" },
            query: { room: "one" },
            address: "::1",
          },
          answers: { expected: [{ kind: "any" }, { kind: "value", value: 1 }] },
        },
        { kind: "receive", data: { a: 1 }, from: { transport: "websocket" }, answers: null },
        { kind: "wait", ms: 1500 },
      ],
      expect: [
        { channel: "chat/lobby", data: { kind: "partial" }, event: { kind: "regex" } },
        { channel: "prices", data: null, event: { kind: "value", value: "note" }, key: null },
        { data: { kind: "value", value: new Uint8Array([0, 1, 2]) }, event: null },
      ],
    });
    const validate = new Ajv({ strict: true, strictTypes: false }).compile(testsJsonSchema());
    expect(validate(parse(EVERYTHING))).toBe(true);
    expect(validate({ tests: [{ name: "a", channel: "b", expect: [], feeds: [] }] })).toBe(false);
    expect(validate({ channels: {} })).toBe(false);
  });

  test("has none where there is no file", async () => {
    using folder = new ConfigFolder();
    const config = await folder.config(CHANNELS);
    expect(loadTests(config.file, config, {})).toEqual({ tests: [] });
  });

  test("tells of a file that can't be read", async () => {
    using folder = new ConfigFolder();
    const config = await folder.config(CHANNELS);
    folder.write("tidewire.test.yaml", new Uint8Array([0xff, 0xfe, 0xff]));
    const result = loadTests(config.file, config, {});
    if ("tests" in result) throw new Error("tests came of it");
    expect(result.diagnostics[0]!.message).toStartWith("the file of tests ");
  });
});
