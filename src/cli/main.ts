/** Finds the command that the arguments name and runs it. */
import { parseArgs } from "node:util";
import { VERSION } from "../version.ts";
import { check } from "./check.ts";
import { EXIT } from "./exit.ts";
import { run } from "./run.ts";
import { schema } from "./schema.ts";

const DEFAULT_CONFIG = "tidewire.yaml";

const HELP = `Tidewire ${VERSION}: one binary, one YAML file, every realtime transport.

  tidewire [run] [config]      run the server (config: ${DEFAULT_CONFIG} when not given)
  tidewire check [config]      say what is wrong with a config and its plugins  [--json]
  tidewire schema              print the config's JSON Schema, for editors
  tidewire version             print the version
  tidewire help                print this

Exit codes: 0 fine, 1 failed, 2 wrong usage, 78 wrong config.
`;

/** The options of each command, for \`parseArgs\`. */
const COMMANDS = {
  run: { operands: 1, options: {} },
  check: { operands: 1, options: { json: { type: "boolean" } } },
  schema: { operands: 0, options: {} },
  version: { operands: 0, options: {} },
  help: { operands: 0, options: {} },
} as const;

type Command = keyof typeof COMMANDS;

/** @returns The exit code. Results go to stdout, diagnostics to stderr. */
export async function main(args: readonly string[]): Promise<number> {
  const parsed = parse(args);
  if ("wrong" in parsed) {
    process.stderr.write(`tidewire: ${parsed.wrong}\n\n${HELP}`);
    return EXIT.usage;
  }
  const file = parsed.operand ?? DEFAULT_CONFIG;
  switch (parsed.command) {
    case "run":
      return run(file);
    case "check":
      return check(file, { json: parsed.json });
    case "schema":
      return schema();
    case "version":
      process.stdout.write(`${VERSION}\n`);
      return EXIT.fine;
    case "help":
      process.stdout.write(HELP);
      return EXIT.fine;
  }
}

interface Parsed {
  readonly command: Command;
  readonly operand: string | undefined;
  readonly json: boolean;
}

function parse(args: readonly string[]): Parsed | { readonly wrong: string } {
  const [first, ...rest] = args;
  if (first === "--help" || first === "-h")
    return { command: "help", operand: undefined, json: false };
  if (first === "--version" || first === "-v") {
    return { command: "version", operand: undefined, json: false };
  }
  const isCommand = first !== undefined && Object.hasOwn(COMMANDS, first);
  // A config by its name alone: "run" is what one does with it. Other words are mistyped commands.
  if (first !== undefined && !isCommand && !first.startsWith("-") && !/[./\\]/.test(first)) {
    return { wrong: `there is no command "${first}"` };
  }
  const command = isCommand ? (first as Command) : "run";
  const { operands, options } = COMMANDS[command];
  try {
    const { values, positionals } = parseArgs({
      args: isCommand ? rest : [...args],
      options: options as Record<string, { type: "boolean" }>,
      allowPositionals: true,
    });
    if (positionals.length > operands) {
      return { wrong: `"${command}" takes ${operands === 0 ? "no argument" : "one argument"}` };
    }
    return { command, operand: positionals[0], json: values["json"] === true };
  } catch (error) {
    return { wrong: (error as Error).message };
  }
}
