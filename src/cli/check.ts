/** `tidewire check [config]`: tells everything that is wrong with a config and the plugins it uses. */
import type { ResolvePlugin } from "../config/check-plugins.ts";
import type { Config } from "../config/config.ts";
import { count, formatDiagnostics, type Diagnostic } from "../diagnostic/diagnostic.ts";
import { loadTests } from "../config/load-tests.ts";
import { loadConfig, type LoadOptions, type LoadResult } from "../config/load.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import { checkTests, reportTests } from "./check-tests.ts";
import { DEFAULT_CONFIG, type Command } from "./command.ts";
import { EXIT } from "./exit.ts";
import { guardedResolve, LoadWatch } from "../server/plugins.ts";

export const checkCommand: Command = {
  name: "check",
  usage: "[config] [--tests] [--json]",
  summary: "say what is wrong with a config and its plugins",
  operands: { min: 0, max: 1 },
  options: { json: { type: "boolean" }, tests: { type: "boolean" } },
  run: ({ operands, options }) =>
    check(operands[0] ?? DEFAULT_CONFIG, {
      json: options["json"] === true,
      tests: options["tests"] === true,
    }),
};

export interface CheckOptions {
  /** One JSON object on stdout, whatever the outcome. */
  readonly json?: boolean;
  /** Run the tests of the channels, in the config and beside it. */
  readonly tests?: boolean;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly resolvePlugin?: ResolvePlugin;
  /** Takes results. */
  readonly stdout?: (text: string) => void;
  /** Takes diagnostics. */
  readonly stderr?: (text: string) => void;
  /** Whether diagnostics are coloured; default: when stderr is a terminal. */
  readonly color?: boolean;
}

/** @returns The exit code: 0, 78 when the config is wrong, 1 when one of its tests failed. */
export async function check(file: string, options: CheckOptions = {}): Promise<number> {
  const {
    json = false,
    tests = false,
    env = process.env,
    resolvePlugin,
    stdout = (text) => void process.stdout.write(text),
    stderr = (text) => void process.stderr.write(text),
    color = process.stderr.isTTY && !env["NO_COLOR"],
  } = options;
  const result = await load(file, env, resolvePlugin);
  if ("diagnostics" in result) {
    const { diagnostics } = result;
    if (json) stdout(`${JSON.stringify(reportWrong(file, diagnostics))}\n`);
    else stderr(formatDiagnostics(diagnostics, { color }));
    return EXIT.config;
  }
  if (json) {
    const fine = reportFine(file, result.config);
    const ran = tests ? await reportTests(result.config, result.tests) : null;
    const ok = ran === null || (ran.failed === 0 && ran.passed > 0);
    stdout(`${JSON.stringify(ran ? { ...fine, ok, tests: ran } : fine)}\n`);
    return ok ? EXIT.fine : EXIT.failed;
  }
  if (tests) return checkTests(file, result, { stdout, stderr, color });
  stdout(`${sumUp(file, result)}\n`);
  return EXIT.fine;
}

/** The config and all its tests, in itself and beside it. */
async function load(
  file: string,
  env: LoadOptions["env"],
  given: ResolvePlugin | undefined,
): Promise<LoadResult> {
  // One that hangs when it is loaded ends the process, with a word about it.
  using watch = new LoadWatch();
  const resolvePlugin = given ?? guardedResolve(watch.guard);
  const result = await loadConfig(file, { env, resolvePlugin });
  if ("diagnostics" in result) return result;
  const beside = loadTests(file, result.config, env);
  if ("diagnostics" in beside) return beside;
  return { ...result, tests: [...result.tests, ...beside.tests] };
}

function sumUp(file: string, { config, tests }: Extract<LoadResult, { config: Config }>): string {
  const { channels } = config;
  const plugins = channels.flatMap((channel) => channel.plugins).length;
  const parts = [count(channels.length, "channel"), count(plugins, "plugin")];
  if (tests.length > 0) parts.push(count(tests.length, "test"));
  return `${visibleText(file)} is fine: ${parts.join(", ")}`;
}

function reportFine(file: string, { channels }: Config) {
  return {
    ok: true,
    file,
    channels: channels.map(({ name, path, transports, plugins }) => ({
      name,
      path: path.text,
      transports,
      plugins: plugins.map(({ use }) => use),
    })),
    errors: [],
  };
}

function reportWrong(file: string, diagnostics: readonly Diagnostic[]) {
  return {
    ok: false,
    file,
    errors: diagnostics.map(({ code, message, file: at, place, help, notes }) => ({
      code,
      message,
      // A plugin's mistake is in a file of the plugin, named relative to the config's folder.
      file: at,
      line: place?.line ?? null,
      column: place?.column ?? null,
      help,
      ...(notes && { notes }),
    })),
  };
}
