/** Runs the tests of a config, one after the other. */
import type { ChannelTest } from "../../config/tests.ts";
import type { Config } from "../../config/config.ts";
import { loadPlugins } from "../../server/plugins.ts";
import { runTest, type Outcome } from "./run-one.ts";

/**
 * Each test has channels of its own: nothing listens, history and stores are in memory, plugins run in
 * this thread, and sources and sinks do not run unless a test says so.
 *
 * @param onOutcome Called when a test has ended.
 */
export async function runTests(
  tests: readonly ChannelTest[],
  config: Config,
  onOutcome: (outcome: Outcome) => void = () => {},
): Promise<readonly Outcome[]> {
  const plugins = await loadPlugins(config);
  const trial = forTests(config);
  const outcomes: Outcome[] = [];
  for (const test of tests) {
    const outcome = await runTest(test, { config: trial, plugins });
    outcomes.push(outcome);
    onOutcome(outcome);
  }
  return outcomes;
}

/** A thread of its own would have a clock of its own. */
function forTests(config: Config): Config {
  const channels = config.channels.map((channel) => ({
    ...channel,
    plugins: channel.plugins.map((plugin) => ({ ...plugin, isolate: null })),
  }));
  return { ...config, store: { use: "memory" }, channels };
}
