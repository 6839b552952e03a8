import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { SHIPPED } from "./fake-plugins.ts";
import { configJsonSchema, type JsonSchema } from "./json-schema.ts";
import { ConfigFolder } from "./testing.ts";

const schema = configJsonSchema(SHIPPED);
const validate = new Ajv({ allErrors: true, allowUnionTypes: true, strictTypes: false }).compile(
  schema,
);

/** Whether an editor with the schema is content. */
function accepts(yaml: string): boolean {
  return validate(parse(yaml, { merge: true }));
}

describe("configJsonSchema()", () => {
  test("is a valid JSON Schema of the draft that it says", () => {
    expect(schema["$schema"]).toBe("http://json-schema.org/draft-07/schema#");
    expect(new Ajv().validateSchema(schema)).toBe(true);
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema as object);
  });

  test("describes every key, and lets no map take unknown ones", () => {
    const bare: string[] = [];
    const walk = (part: JsonSchema, path: string) => {
      const properties = (part["properties"] ?? {}) as Record<string, JsonSchema>;
      if (part["properties"] && part["additionalProperties"] !== false)
        bare.push(`${path} is open`);
      for (const [key, inner] of Object.entries(properties)) {
        if (!inner["description"]) bare.push(`${path}/${key}`);
        walk(inner, `${path}/${key}`);
      }
      for (const key of ["items", "additionalProperties"]) {
        if (typeof part[key] === "object") walk(part[key] as JsonSchema, `${path}/${key}`);
      }
      for (const one of (part["anyOf"] ?? []) as JsonSchema[]) walk(one, path);
    };
    walk(configJsonSchema(), "");
    expect(bare).toEqual([]);
  });

  test("accepts the example", () => {
    const example = parse(readFileSync(join(import.meta.dir, "../../config.example.yaml"), "utf8"));
    // Of other plugins than the fake ones it knows no options.
    expect(
      new Ajv({ allowUnionTypes: true, strictTypes: false }).validate(configJsonSchema(), example),
    ).toBe(true);
  });

  test.each([
    "channels: { a: {} }",
    "channels: { a: , b: { plugins: [{ use: clock, with: }] } }",
    "channels: { a: { plugins: [{ use: clock }, { use: ./round.ts, with: { decimals: 1 } }, { use: ../round.ts }] } }",
    "channels: { a: { plugins: [{ use: clock, with: { every: 2s, format: iso } }] } }",
    'limits: { connections: 7, waiting: 0x10, buffer: "${B:-1MiB}" }\nchannels: { a: {} }',
    'sse: { retry: "${N}s" }\nlog: { level: "${L}" }\nchannels: { a: {} }',
    'server: { listen: "127.0.0.1:${PORT}", tls: "${TLS:-self-signed}" }\nchannels: { a: {} }',
    'channels: { a: { plugins: [{ use: "${P:-clock}" }, { use: clock, with: { format: "${F:-iso}" } }] } }',
    'channels: { "a/{b}/ü-_.~!": { path: "/{b}", transports: ["${T:-sse}"] } }',
    "channels: { a: &a { publish: clients }, b: { <<: *a } }",
    'server: { cors: "*" }\ncontrol: { listen: "unix:/run/x" }\nchannels: { a: {} }',
    'server: { listen: "[::1]:80", cors: [https://a.b] }\nchannels: { a: {} }',
  ])("accepts what the loader accepts: %s", async (yaml) => {
    using folder = new ConfigFolder();
    const env = { N: "5", L: "info", PORT: "80" };
    await folder.config(yaml, env);
    expect(accepts(yaml)).toBe(true);
  });

  test("accepts a variable where a number belongs, which an editor reads as text", async () => {
    using folder = new ConfigFolder();
    const yaml = "limits:\n  connections: ${N}\nchannels:\n  a: { history: { size: 5 } }\n";
    await folder.config(yaml, { N: "5" });
    expect(accepts(yaml)).toBe(true);
  });

  test.each([
    ["a missing option", "channels: { a: { plugins: [{ use: random-walk }] } }"],
    ["an unknown option", "channels: { a: { plugins: [{ use: clock, with: { evry: 1s } }] } }"],
    [
      "an option for a plugin without",
      "channels: { a: { plugins: [{ use: shout, with: { a: 1 } }] } }",
    ],
    ["a bare name that does not ship", "channels: { a: { plugins: [{ use: clok }] } }"],
    ["a bad parameter", 'channels: { "a/{b-c}": {} }'],
    ["no channel", "channels: {}"],
    ["a map left empty where it may not be", "server:\nchannels: { a: {} }"],
  ])("refuses %s", (_name, yaml) => {
    expect(accepts(yaml)).toBe(false);
  });
});
