/** `tidewire check [config]`: tells everything that is wrong with a config and the plugins it uses. */
import type { ResolvePlugin } from "../config/check-plugins.ts";
import type { Config } from "../config/config.ts";
import { count, formatDiagnostics, type Diagnostic } from "../diagnostic/diagnostic.ts";
import { loadConfig } from "../config/load.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import { DEFAULT_CONFIG, type Command } from "./command.ts";
import { EXIT } from "./exit.ts";
import { resolvePlugin as resolveWithPlugins } from "../server/plugins.ts";

export const checkCommand: Command = {
  name: "check",
  usage: "[config] [--json]",
  summary: "say what is wrong with a config and its plugins",
  operands: { min: 0, max: 1 },
  options: { json: { type: "boolean" } },
  run: ({ operands, options }) =>
    check(operands[0] ?? DEFAULT_CONFIG, { json: options["json"] === true }),
};

export interface CheckOptions {
  /** One JSON object on stdout, whatever the outcome. */
  readonly json?: boolean;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly resolvePlugin?: ResolvePlugin;
  /** Takes results. */
  readonly stdout?: (text: string) => void;
  /** Takes diagnostics. */
  readonly stderr?: (text: string) => void;
  /** Whether diagnostics are coloured; default: when stderr is a terminal. */
  readonly color?: boolean;
}

/** @returns The exit code: 0, or 78 when the config is wrong. */
export async function check(file: string, options: CheckOptions = {}): Promise<number> {
  const {
    json = false,
    env = process.env,
    resolvePlugin = resolveWithPlugins,
    stdout = (text) => void process.stdout.write(text),
    stderr = (text) => void process.stderr.write(text),
    color = process.stderr.isTTY && !env["NO_COLOR"],
  } = options;
  const result = await loadConfig(file, { env, resolvePlugin });
  const isFine = "config" in result;
  if (json)
    stdout(
      `${JSON.stringify(isFine ? reportFine(file, result.config) : reportWrong(file, result.diagnostics))}\n`,
    );
  else if (isFine) stdout(`${sumUp(file, result.config)}\n`);
  else stderr(formatDiagnostics(result.diagnostics, { color }));
  return isFine ? EXIT.fine : EXIT.config;
}

function sumUp(file: string, { channels }: Config): string {
  const plugins = channels.flatMap((channel) => channel.plugins).length;
  return `${visibleText(file)} is fine: ${count(channels.length, "channel")}, ${count(plugins, "plugin")}`;
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
    errors: diagnostics.map(({ code, message, place, help }) => ({
      code,
      message,
      line: place?.line ?? null,
      column: place?.column ?? null,
      help,
    })),
  };
}
