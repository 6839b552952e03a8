/**
 * Every wrong plugin of cases/ against all that it is expected to give: what `tidewire check` says, or where
 * that finds nothing, what `tidewire run` logs of the start or of the first hook that fails.
 *
 * `UPDATE_CASES=1 bun test src/plugin/cases.test.ts` writes what is given now: read all that changed.
 */
import { describe, expect, test } from "bun:test";
import { dirname } from "node:path";
import { loadConfig } from "../config/load.ts";
import { formatDiagnostics } from "../diagnostic/diagnostic.ts";
import { createLog } from "../log.ts";
import { startFailureFields } from "../server/failure.ts";
import { loadPlugins, resolvePlugin } from "../server/plugins.ts";
import { startServer } from "../server/server.ts";
import { Case, CASE_NAMES, CaseFolder, firstError, normalize, useChannel } from "./case.testing.ts";

async function says(folder: CaseFolder): Promise<string> {
  const loaded = await loadConfig(folder.config, { env: {}, resolvePlugin });
  if (!("config" in loaded)) return formatDiagnostics(loaded.diagnostics);
  const { config } = loaded;
  let written = "";
  const write = (line: string) => void (written += line);
  const log = createLog({ level: "info", format: "text", write });
  try {
    const server = await startServer({ config, plugins: await loadPlugins(config), log });
    try {
      await useChannel(server.urls.public);
    } finally {
      await server.stop();
    }
  } catch (error) {
    const fields = startFailureFields(error, dirname(config.file));
    log.error(`the server did not start: ${(error as Error).message}`, fields);
  }
  return firstError(written) ?? `no error was logged:\n${written}`;
}

describe("a wrong plugin is told of with its place", () => {
  test("at least 25 cases are there", () => expect(CASE_NAMES.length).toBeGreaterThanOrEqual(25));

  test.each(CASE_NAMES)("%s", async (name) => {
    const example = new Case(name);
    using folder = new CaseFolder(example.files);
    const actual = normalize(await says(folder), folder.path);
    if (process.env["UPDATE_CASES"]) example.update(actual);
    else expect(actual).toBe(example.expected);
    // What an option is set to may be a secret.
    expect(actual).not.toContain("s3cret");
  });
});
