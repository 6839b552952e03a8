/** The executable tells of plugins' mistakes what the source does: its stacks lead to the author's lines. */
import { describe, expect, test } from "bun:test";
import { realpathSync } from "node:fs";
import { Case, CASE_NAMES, firstError, normalize, useChannel } from "../src/plugin/case.testing.ts";
import { Folder, launch, tidewire } from "./executable.ts";

interface Said {
  readonly code: number | null;
  readonly text: string;
}

/** What `check` says, or where that finds nothing, what `run` logs. */
async function says(folder: Folder): Promise<Said> {
  const checked = await tidewire(folder, ["check"]);
  if (checked.code !== 0) return { code: checked.code, text: checked.stderr };
  await using server = await launch(folder);
  // Either line comes: the second when it does not start.
  const line = await server.log.line((text) => /INFO {2}listening|did not start/.test(text));
  const [, url] = / public=(\S+)/.exec(line) ?? [];
  if (url) {
    await useChannel(url);
    server.signal("SIGTERM");
  }
  const code = await server.exited;
  return { code, text: firstError(server.log.lines.join("\n") + "\n") ?? "" };
}

describe("a wrong plugin is told of with its place, by the executable", () => {
  test.each(CASE_NAMES)(
    "%s",
    async (name) => {
      const { files, expected } = new Case(name);
      using folder = new Folder({ ...files, "node_modules/.keep": "" });
      const { code, text } = await says(folder);
      expect(normalize(text, realpathSync(folder.path))).toBe(expected);
      // Found before it listens, at its start, and while it ran.
      const isOfStart = expected.startsWith("ERROR the server did not start");
      expect(code).toBe(expected.startsWith("error") ? 78 : isOfStart ? 1 : 0);
    },
    30_000,
  );
});

test("the log's JSON has plugin, hook, channel, error, place and frame", async () => {
  const { files } = new Case("a-transform-that-throws");
  const config = files["tidewire.yaml"]!.replace("format: text", "format: json");
  using folder = new Folder({ ...files, "tidewire.yaml": config });
  await using server = await launch(folder);
  const { public: url } = await server.log.message("listening");
  await useChannel(url as string);
  const line = await server.log.message("plugin failed in transform");
  expect(line).toMatchObject({
    level: "error",
    plugin: "round",
    hook: "transform",
    channel: "prices",
    at: "plugins/round.ts:9:40",
    error: {
      name: "PluginError",
      message: expect.stringContaining("price.toUpperCase is not a function"),
      stack: expect.stringContaining(`${realpathSync(folder.path)}/plugins/round.ts:9:40`),
    },
  });
  expect(line["frame"]).toBe(
    new Case("a-transform-that-throws").expected.split("\n").slice(1, 6).join("\n"),
  );
}, 30_000);

test("a promise that nobody awaits is shown with its line, and the server goes on", async () => {
  using folder = new Folder({
    ...new Case("a-transform-that-throws").files,
    "plugins/round.ts": `import { definePlugin } from "tidewire";

async function report(price: unknown): Promise<void> {
  await Promise.resolve();
  throw new RangeError(\`no report of \${typeof price}\`);
}

export default definePlugin({
  name: "round",
  setup: () => ({
    transform(draft) {
      void report(draft.data);
      return draft;
    },
  }),
});
`,
  });
  await using server = await launch(folder);
  const line = await server.log.line((text) => text.includes("INFO  listening"));
  await useChannel(/ public=(\S+)/.exec(line)![1]!);
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
  expect(firstError(server.log.lines.join("\n") + "\n")).toBe(`\
ERROR unhandled rejection at=plugins/round.ts:5:13
error[plugin-failed]: RangeError: no report of object
  --> plugins/round.ts:5:13
 5 |   throw new RangeError(\`no report of \${typeof price}\`);
   |             ^^^^^^^^^^
`);
}, 30_000);

test("a line is right after a reload too", async () => {
  const broken = (lines: string) => `import { definePlugin } from "tidewire";

interface Price {
  price: number;
}
${lines}
export default definePlugin({
  name: "round",
  setup: () => ({
    transform(draft) {
      const { price } = draft.data as Price;
      throw new RangeError(\`no \${typeof price}\`);
    },
  }),
});
`;
  const { files } = new Case("a-transform-that-throws");
  const config = files["tidewire.yaml"]!.replace("format: text", "format: json");
  using folder = new Folder({ "tidewire.yaml": config, "plugins/round.ts": broken("") });
  await using server = await launch(folder);
  const { public: url } = await server.log.message("listening");
  await useChannel(url as string);
  expect(await server.log.message("plugin failed in transform")).toMatchObject({
    at: "plugins/round.ts:12:17",
  });
  folder.write("plugins/round.ts", broken("\ntype Gone = string;\n\n"));
  server.signal("SIGHUP");
  await server.log.message("reloaded");
  await useChannel(url as string);
  const isFailure = (line: string) => line.includes(`"message":"plugin failed in transform"`);
  expect(JSON.parse(await server.log.line(isFailure, 2))).toMatchObject({
    at: "plugins/round.ts:15:17",
    frame: expect.stringContaining("15 |       throw new RangeError("),
  });
}, 30_000);
