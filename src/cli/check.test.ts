import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { ConfigFolder } from "../config/testing.ts";
import { check } from "./check.ts";
import { schema } from "./schema.ts";

const EXAMPLE = join(import.meta.dir, "../../config.example.yaml");
const folder = new ConfigFolder();
afterAll(() => folder[Symbol.dispose]());

async function run(file: string, options: { json?: boolean; color?: boolean } = {}) {
  const out = { code: 0, stdout: "", stderr: "" };
  out.code = await check(file, {
    env: {},
    color: false,
    stdout: (text) => (out.stdout += text),
    stderr: (text) => (out.stderr += text),
    ...options,
  });
  return out;
}

describe("check()", () => {
  test("says that the example is fine, with the plugins that ship", async () => {
    expect(await run(EXAMPLE)).toEqual({
      code: 0,
      stdout: `${EXAMPLE} is fine: 4 channels, 3 plugins\n`,
      stderr: "",
    });
  });

  test("loads a plugin's file, and points at its options", async () => {
    folder.write(
      "round.ts",
      `import { definePlugin, t } from "tidewire";
export default definePlugin({
  name: "round",
  options: t.Object({ decimals: t.Integer({ maximum: 10, default: 2 }) }),
  setup: () => ({}),
});`,
    );
    const file = folder.write(
      "tidewire.yaml",
      "channels:\n  a: { plugins: [{ use: ./round.ts, with: { decimals: 99 } }] }\n",
    );
    const { code, stdout, stderr } = await run(file);
    expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
    expect(stderr).toStartWith(
      `error[bad-value]: 99 is too much: at most 10\n  --> ${file}:2:55\n`,
    );
    folder.write("tidewire.yaml", "channels: { a: { plugins: [{ use: ./round.ts }] } }");
    expect((await run(file)).stdout).toBe(`${file} is fine: 1 channel, 1 plugin\n`);
  });

  test("suggests a plugin that ships", async () => {
    const file = folder.write("clok.yaml", "channels: { a: { plugins: [{ use: clok }] } }");
    const { code, stderr } = await run(file, { color: true });
    expect(code).toBe(78);
    expect(Bun.stripANSI(stderr)).toContain('^^^^ did you mean "clock"?');
    expect(stderr).toContain("\u001b[1;31m");
  });

  test("tells what only the plugins themselves know to be wrong, on a pattern channel too", async () => {
    const file = folder.write(
      "options.yaml",
      `channels:
  clock: { plugins: [{ use: clock, with: { every: 0s } }] }
  chat/{room}:
    plugins:
      - use: filter
        with: { where: 'a +' }
      - use: map
        with: { to: '$sum(' }
      - use: map
      - use: webhook
        with:
          url: https://example.com/hook
          headers: { x-token: "a\\nb" }
`,
    );
    const { code, stdout, stderr } = await run(file);
    expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
    expect(stderr.replaceAll(file, "FILE")).toBe(`\
error[bad-option]: every is "0s"; it must be at least 10ms
  --> FILE:2:51
 2 |   clock: { plugins: [{ use: clock, with: { every: 0s } }] }
   |                                                   ^^

error[bad-option]: where: Unexpected end of expression, at character 4
  --> FILE:6:28
 6 |         with: { where: 'a +' }
   |                            ^

error[bad-option]: to: Expected ")" before end of expression, at character 6
  --> FILE:8:27
 8 |         with: { to: '$sum(' }
   |                           ^

error[bad-option]: map has nothing to do; give it "to", "event" or "key"
  --> FILE:9:14
 9 |       - use: map
   |              ^^^

error[bad-option]: the header x-token has a line end or another character that no header can have
  --> FILE:13:31
13 |           headers: { x-token: "a\\nb" }
   |                               ^^^^^^

5 errors in FILE
`);
  });

  test("asks the check of a plugin's file, with the defaults filled in", async () => {
    folder.write(
      "even.ts",
      `import { definePlugin, OptionError, t } from "tidewire";
export default definePlugin({
  name: "even",
  options: t.Object({ of: t.Integer({ default: 3 }) }),
  check({ of }) {
    if (of % 2 === 1) throw new OptionError("of", of + " is odd");
  },
  setup: () => ({}),
});`,
    );
    const write = (options: string) =>
      folder.write(
        "even.yaml",
        `channels:\n  "{a}": { plugins: [{ use: ./even.ts${options} }] }\n`,
      );
    const given = await run(write(", with: { of: 5 }"));
    expect(given.stderr).toStartWith("error[bad-option]: 5 is odd\n");
    expect(given.stderr).toContain(":2:52\n");
    const byDefault = await run(write(""));
    expect(byDefault.stderr).toStartWith("error[bad-option]: 3 is odd\n");
    expect(byDefault.stderr).toContain(":2:29\n");
    expect((await run(write(", with: { of: 4 }"))).code).toBe(0);
  });

  test("--json tells of a right config on stdout", async () => {
    const { code, stdout, stderr } = await run(EXAMPLE, { json: true });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { channels, ...rest } = JSON.parse(stdout) as { channels: unknown[] };
    expect(rest).toEqual({ ok: true, file: EXAMPLE, errors: [] });
    expect(channels[0]).toEqual({
      name: "clock",
      path: "/events",
      transports: ["sse", "long-poll"],
      plugins: ["clock"],
    });
  });

  test("--json tells of every mistake on stdout, with 78", async () => {
    const file = folder.write("bad.yaml", "sever: 1\nchannels: { a: { publish: all } }");
    const { code, stdout, stderr } = await run(file, { json: true });
    expect({ code, stderr }).toEqual({ code: 78, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      ok: false,
      file,
      errors: [
        {
          code: "unknown-key",
          message: '"sever" is not a key of a config',
          file,
          line: 1,
          column: 1,
          help: 'did you mean "server"?',
        },
        {
          code: "bad-value",
          message: '"all" is not a way to publish that this version has',
          file,
          line: 2,
          column: 27,
          help: 'write one of "nobody", "clients", "authorized"',
        },
      ],
    });
  });
});

describe("schema()", () => {
  test("prints a JSON Schema that takes the example and knows the options of plugins that ship", async () => {
    let text = "";
    expect(await schema({ stdout: (part) => (text += part) })).toBe(0);
    const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strictTypes: false });
    const validate = ajv.compile(JSON.parse(text) as object);
    const example = parse(await Bun.file(EXAMPLE).text()) as {
      channels: { clock: { plugins: { with: Record<string, unknown> }[] } };
    };
    expect(validate(example)).toBe(true);
    example.channels.clock.plugins[0]!.with = { evry: "1s" };
    expect(validate(example)).toBe(false);
  });
});
