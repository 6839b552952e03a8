/** `tidewire check --tests`: runs the tests of a config and tells which failed, and why. */
import { formatOutcome, hasFailed, outcomeJson, sumUp } from "../author/channel-tests/report.ts";
import { runTests } from "../author/channel-tests/run-tests.ts";
import type { ChannelTest } from "../config/tests.ts";
import type { Config } from "../config/config.ts";
import { testsFileOf } from "../config/load-tests.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import { EXIT } from "./exit.ts";

export interface CheckTestsOptions {
  /** Takes results. */
  readonly stdout: (text: string) => void;
  /** Takes diagnostics. */
  readonly stderr: (text: string) => void;
  readonly color: boolean;
}

/**
 * Runs tests and writes a line of each when it has ended.
 *
 * @param file The config, as the user named it.
 * @returns The exit code: 0, or 1 when a test failed or there is none.
 */
export async function checkTests(
  file: string,
  { config, tests }: { readonly config: Config; readonly tests: readonly ChannelTest[] },
  { stdout, stderr, color }: CheckTestsOptions,
): Promise<number> {
  if (tests.length === 0) {
    const other = visibleText(testsFileOf(file));
    stderr(`tidewire: ${visibleText(file)} has no tests: nor is there a ${other} that has\n`);
    return EXIT.failed;
  }
  const outcomes = await runTests(tests, config, (outcome) =>
    stdout(formatOutcome(outcome, { color })),
  );
  stdout(sumUp(outcomes));
  return outcomes.some(hasFailed) ? EXIT.failed : EXIT.fine;
}

/** What came of the tests, for scripts. */
export async function reportTests(config: Config, tests: readonly ChannelTest[]) {
  const outcomes = (await runTests(tests, config)).map(outcomeJson);
  const failed = outcomes.filter(({ ok }) => !ok).length;
  return { passed: outcomes.length - failed, failed, outcomes };
}
