import { afterAll, describe, expect, test } from "bun:test";
import { ConfigFolder } from "./testing.ts";

const folder = new ConfigFolder();
afterAll(() => folder[Symbol.dispose]());

/** The token that a config with this value for it has. */
async function token(yaml: string, env: Record<string, string> = {}): Promise<string | null> {
  const text = `control: { listen: 127.0.0.1:9090, token: ${yaml} }\nchannels: { a: {} }`;
  return (await folder.config(text, env)).control!.token;
}

describe("interpolation", () => {
  test.each([
    ["a variable within braces of YAML", "${A}", "one", "one"],
    ["a variable in double quotes", '"${A}"', "one", "one"],
    ["a variable in single quotes", "'${A}'", "one", "one"],
    ["a variable amid text", "x-${A}-${A}y", "one", "x-one-oney"],
    ["a number where text is wanted stays as it is written", "${A}", "0123", "0123"],
    ["so does true", "${A}", "true", "true"],
    ["so does what YAML has for nothing", "${A}", "~", "~"],
    [
      "a value that would be YAML is text",
      "${A}",
      "x }\nlog: { level: debug",
      "x }\nlog: { level: debug",
    ],
    ["a value is not filled in again", "${A}", "${A}", "${A}"],
    ["a default that is not needed", "${A:-two}", "one", "one"],
    ["a default for an empty variable", "${A:-two}", "", "two"],
    ["a default with a comma, a colon and brackets", "${B:-a, b: [c]}", "", "a, b: [c]"],
    ["a default that is empty amid text", "x${B:-}", "", "x"],
    ["an escape", "$${A}", "one", "${A}"],
    ["an escape amid interpolations", '"${A}$${A}${A}"', "one", "one${A}one"],
    ["dollars alone", "$A$", "one", "$A$"],
  ])("%s", async (_name, yaml, value, expected) => {
    expect(await token(yaml, { A: value })).toBe(expected);
  });

  test("an unquoted variable alone is a number where one is wanted", async () => {
    const load = (yaml: string) =>
      folder.config(`limits: { connections: ${yaml} }\nchannels: { a: {} }`, { N: "42" });
    expect((await load("${N}")).limits.connections).toBe(42);
    expect((await load("${M:-0x10}")).limits.connections).toBe(16);
    expect(load('"${N}"')).rejects.toThrow("expected a whole number, got the text of ${N}");
    expect(load("4${N}")).rejects.toThrow("expected a whole number");
  });

  test("it works for every kind of value, in block scalars and lists too", async () => {
    const { channels, sse, server, log } = await folder.config(
      `
server: { listen: "\${HOST}:\${PORT}" }
sse: { retry: \${RETRY}, heartbeat: \${N}s }
log: { level: \${LEVEL} }
channels:
  a:
    path: /\${WORD}/x
    transports: [\${T}, sse]
    plugins:
      - use: \${WHICH}
        with:
          url: |-
            http://\${HOST}/
            path`,
      {
        HOST: "localhost",
        PORT: "99",
        RETRY: "3s",
        N: "7",
        LEVEL: "warn",
        WORD: "ähm",
        T: "websocket",
        WHICH: "poll",
      },
    );
    expect(server.listen).toEqual({ hostname: "localhost", port: 99 });
    expect(sse).toEqual({ retryMs: 3000, heartbeatMs: 7000 });
    expect(log.level).toBe("warn");
    expect(channels[0]).toMatchObject({
      path: { text: "/ähm/x" },
      transports: ["websocket", "sse"],
      plugins: [{ use: "poll", options: { url: "http://localhost/\npath" } }],
    });
  });

  test("a file, from the config's folder, without its last line end", async () => {
    folder.write("secret.txt", "s3cret\n\n");
    folder.write("windows.txt", "s3cret\r\n");
    expect(await token("${file:secret.txt}")).toBe("s3cret\n");
    expect(await token("${file:./windows.txt}")).toBe("s3cret");
    expect(await token(`"\${file:${folder.path}/windows.txt}"`)).toBe("s3cret");
  });

  test("a variable of a name that objects have is missing", async () => {
    expect(token("${constructor}")).rejects.toThrow("no variable constructor");
  });

  test("every missing variable is told, at its own place, in quotes with escapes too", async () => {
    expect(
      await folder.mistakes(
        'control:\n  listen: "${A}:${B}"\n  token: "\\u0041 ${C}"\nchannels:\n  a:\n    path: >-\n      /${D}\n',
      ),
    ).toEqual([
      "missing-variable 2:12",
      "missing-variable 2:17",
      "missing-variable 3:18",
      "missing-variable 7:8",
    ]);
  });

  test.each([
    ["dollars", "$".repeat(900_000)],
    ["openings", "${a".repeat(300_000)],
    ["openings within openings", "${a${b${c}".repeat(90_000)],
  ])("900 kB of %s take less than some seconds", async (_what, text) => {
    const before = performance.now();
    const result = await folder.load(`channels: { a: { path: ${text} } }`);
    expect(result).toHaveProperty("diagnostics");
    // With a look from each place to the end it would be minutes.
    expect(performance.now() - before).toBeLessThan(4000);
  });

  test("what came from outside is in no message", async () => {
    folder.write("secret.txt", "hunter2\n");
    const env = { SECRET: "hunter2" };
    for (const value of ["${SECRET}", "${file:secret.txt}", "x${SECRET}", '"${SECRET}"']) {
      const text = `
server: { listen: ${value}, cors: [${value}], tls: { cert: ${value}, key: ${value} }, static: { root: ${value} } }
control: { listen: "unix:${value.replaceAll('"', "")}" }
limits: { buffer: ${value}, waiting: ${value} }
log: { level: ${value} }
channels:
  a:
    path: ${value}
    publish: ${value}
    transports: [${value}, ${value}]
    schema: { type: ${value}, minimum: ${value}, $ref: ${value}, pattern: "(${value.replaceAll('"', "")}" }
    plugins:
      - { use: ${value} }
      - { use: random-walk, with: { symbols: ${value}, every: ${value}, seed: ${value} } }
      - { use: poll, with: { url: ${value} } }
      - { use: pick, with: { where: ${value}, times: 9 } }`;
      const result = await folder.load(text, env);
      if ("config" in result) throw new Error("the config is right");
      expect(result.diagnostics.length).toBeGreaterThan(14);
      const words = result.diagnostics.map(({ message, help }) => `${message} ${help}`).join("\n");
      expect(words).not.toContain("hunter2");
    }
  });
});
