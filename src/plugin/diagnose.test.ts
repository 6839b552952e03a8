import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatDiagnostic } from "../diagnostic/diagnostic.ts";
import { createLog } from "../log.ts";
import { diagnosePluginError, diagnoseStray } from "./diagnose.ts";
import { errorFields, failureFields } from "./error-fields.ts";
import { PluginError, PluginLoadError } from "./errors.ts";
import { Sources } from "./source-text.ts";

const directory = realpathSync(mkdtempSync(join(tmpdir(), "tidewire-diagnose-")));
afterAll(() => rmSync(directory, { recursive: true }));

const file = join(directory, "round.ts");
writeFileSync(
  file,
  `export default {
  name: "round",
  setup: async () => ({
    transform: (draft) => {
      throw new Error("no");
    },
  }),
};
`,
);
const sources = Sources.of(file);
const where = { plugin: "round", hook: "transform", channel: "prices" };
const origin = { sources, directory, usedAt: "tidewire.yaml:7:14" };

/** An error as it arrives from another thread. */
function thrown(stack: string): Error {
  return Object.assign(new Error("no"), { stack: `Error: no\n${stack}` });
}

describe("diagnosePluginError()", () => {
  test("shows the author's line by a stack alone, whichever thread it is of", () => {
    const stack = `    at transform (${file}:5:17)\n    at call (/$bunfs/root/tidewire:1:2)`;
    const diagnostic = diagnosePluginError(
      new PluginError("failed", where, thrown(stack)),
      origin,
    )!;
    expect(formatDiagnostic(diagnostic)).toBe(`\
error[plugin-failed]: plugin "round", transform, channel "prices": no
  --> round.ts:5:17
 5 |       throw new Error("no");
   |                 ^^^^^
   = used at tidewire.yaml:7:14`);
  });

  test.each([
    ["of Tidewire's own code", "    at run (/$bunfs/root/tidewire:4:5)\n    at node:fs:3:1"],
    ["of another file", "    at run (/elsewhere/round.ts:5:17)"],
    ["of a line that there is not", `    at run (${file}:500:1)`],
    ["that are none", "at nowhere"],
  ])("shows where the hook is defined when a stack has lines %s", (_, stack) => {
    const diagnostic = diagnosePluginError(
      new PluginError("failed", where, thrown(stack)),
      origin,
    )!;
    expect(diagnostic.place).toMatchObject({ line: 4, column: 5, length: "transform".length });
  });

  test("takes anything that is thrown", () => {
    const trap = {
      get stack(): string {
        throw new Error("trap");
      },
    };
    for (const cause of ["text", null, undefined, 5, Symbol("a"), trap, Object.create(null)]) {
      const diagnostic = diagnosePluginError(new PluginError("failed", where, cause), origin);
      expect(diagnostic?.place?.line).toBe(4);
    }
  });

  test("shows setup for one that takes too long", () => {
    const error = new PluginError("timeout", { ...where, hook: "setup" }, "setup did not end");
    expect(formatDiagnostic(diagnosePluginError(error, origin)!)).toBe(`\
error[plugin-timeout]: plugin "round", setup, channel "prices": setup did not end
  --> round.ts:3:3
 3 |   setup: async () => ({
   |   ^^^^^
   = used at tidewire.yaml:7:14`);
  });

  test("knows no place in a plugin that ships", () => {
    const shipped = { ...origin, sources: Sources.none };
    expect(diagnosePluginError(new PluginError("failed", where, "no"), shipped)).toBeNull();
  });

  test("names a file outside of the config's folder by its whole path, one below a link by the rest", () => {
    const error = new PluginError("failed", where, "no");
    const elsewhere = { ...origin, directory: join(directory, "etc") };
    expect(diagnosePluginError(error, elsewhere)!.file).toBe(file);
    const link = `${directory}-link`;
    symlinkSync(directory, link);
    expect(diagnosePluginError(error, { ...origin, directory: link })!.file).toBe("round.ts");
    rmSync(link);
  });
});

test("diagnoseStray() finds the plugin that an error comes from by its stack, or none", () => {
  const stray = diagnoseStray(thrown(`    at ${file}:5:17`), directory);
  expect(stray).toMatchObject({ file: "round.ts", place: { line: 5, column: 17 } });
  expect(diagnoseStray(thrown("    at /elsewhere.ts:5:17"), directory)).toBeNull();
});

describe("what the log says of an error", () => {
  const error = new PluginError("failed", where, thrown(`    at transform (${file}:5:17)`));
  error.diagnostic = diagnosePluginError(error, origin);
  const at = "round.ts:5:17";

  function write(format: "json" | "text", fields: Record<string, unknown>): string {
    let written = "";
    const log = createLog({ level: "info", format, write: (line) => (written += line) });
    log.error("failed", fields);
    return written;
  }

  test("has the frame as a text in JSON, beside the error and its stack", () => {
    const line = JSON.parse(write("json", errorFields(error)));
    const frame = formatDiagnostic(error.diagnostic!);
    expect(line).toMatchObject({ at, frame, error: { name: "PluginError" } });
    expect(line.error.stack).toContain(`at transform (${file}:5:17)`);
    expect(line.error).not.toHaveProperty("diagnostic");
  });

  test("has it on a terminal below the line, in place of the stack", () => {
    const [line, ...below] = write("text", errorFields(error)).split("\n");
    expect(line!.slice(13)).toBe(`ERROR failed at=${at}`);
    expect(below.join("\n")).toBe(`${formatDiagnostic(error.diagnostic!)}\n`);
  });

  test("has plugin, hook and channel of a start that failed, and every mistake of a plugin's files", () => {
    expect(failureFields(error, directory)).toMatchObject({ ...where, at, error });
    const place = error.diagnostic!.place;
    const mistake = { code: "syntax", message: "Unexpected ;", file, place, help: null };
    const mistakes = [mistake, { ...mistake, message: "Unexpected )" }];
    const load = new PluginLoadError("syntax", "./round.ts", "wrong", { mistakes });
    const text = write("text", failureFields(load, directory));
    expect(text.match(/error\[syntax\]: Unexpected [;)]\n {2}--> round\.ts:5:17/g)).toHaveLength(2);
  });

  test("is the error alone where no plugin is to blame", () => {
    const other = new Error("disk full");
    expect(failureFields(other, directory)).toEqual({ error: other });
  });
});
