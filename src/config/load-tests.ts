/** Reads the file of tests beside a config: `tidewire.test.yaml` beside `tidewire.yaml`. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import { ChannelNames } from "./channel-names.ts";
import type { ChannelTest } from "./tests.ts";
import { checkShape } from "./check-shape.ts";
import { checkTests } from "./check-tests.ts";
import type { Config } from "./config.ts";
import type { Environment } from "./interpolate.ts";
import { nodeAt } from "./node.ts";
import { parseYaml } from "./parse-yaml.ts";
import { Problems } from "./problems.ts";
import { decodeText, ReadError, readBytes } from "./read-text.ts";
import { TestsFileSpec } from "./spec-tests.ts";
import { toTests } from "./to-tests.ts";

export type LoadTestsResult =
  { readonly tests: readonly ChannelTest[] } | { readonly diagnostics: readonly Diagnostic[] };

/** Bytes of a file of tests. */
const MAX_FILE_BYTES = 1024 * 1024;

/** The name of the file of tests of a config: `tidewire.test.yaml` for `tidewire.yaml`. */
export function testsFileOf(configFile: string): string {
  return /\.ya?ml$/i.test(configFile)
    ? configFile.replace(/(\.ya?ml)$/i, ".test$1")
    : `${configFile}.test.yaml`;
}

/**
 * Loads the tests beside a config, and checks all of them.
 *
 * @param configFile The config's YAML file, as messages name it.
 * @returns The tests, none where there is no such file, or its mistakes.
 */
export function loadTests(configFile: string, config: Config, env: Environment): LoadTestsResult {
  const file = testsFileOf(configFile);
  if (!existsSync(file)) return { tests: [] };
  let text: string;
  try {
    text = decodeText(readBytes(file, MAX_FILE_BYTES));
  } catch (error) {
    if (!(error instanceof ReadError)) throw error;
    const message = `the file of tests ${error.message}`;
    return { diagnostics: [{ code: error.code, message, file, place: null, help: null }] };
  }
  const problems = new Problems(file, text);
  const root = parseYaml(problems, { env, directory: dirname(resolve(file)) });
  if (root) {
    const subject = {
      problems,
      root,
      place: null,
      keyNoun: "key",
      noun: "a file of tests",
    } as const;
    checkShape(TestsFileSpec, subject);
    const channels = new ChannelNames(config.channels.map(({ name }) => name));
    checkTests(nodeAt(root, "tests"), channels, problems);
  } else if (problems.isEmpty) {
    problems.report("empty", null, "the file of tests is empty", "it has tests:, as a config may");
  }
  if (!problems.isEmpty || !root) return { diagnostics: problems.diagnostics() };
  return { tests: toTests(nodeAt(root, "tests"), file, problems) };
}
