/** Finds the command that the arguments name and runs it. */
import { parseArgs } from "node:util";
import { suggest } from "../suggest.ts";
import type { Call, Command } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT } from "./exit.ts";
import { callOf, formatHelp } from "./help.ts";

/** @returns The exit code. Results go to stdout, diagnostics to stderr. */
export async function main(args: readonly string[]): Promise<number> {
  const [first] = args;
  if (first === "help" || args.includes("--help") || args.includes("-h")) {
    const words = first === "help" ? args.slice(1) : args;
    process.stdout.write(helpFor(words.filter((word) => word !== "--help" && word !== "-h")));
    return EXIT.fine;
  }
  const parsed = parse(first === "--version" || first === "-v" ? ["version"] : args);
  if ("wrong" in parsed) {
    process.stderr.write(`tidewire: ${parsed.wrong}\n\n${helpFor(args)}`);
    return EXIT.usage;
  }
  return parsed.command.run(parsed.call);
}

/** Of the command that arguments name, so that what is wrong does not scroll away; else of all. */
function helpFor(args: readonly string[]): string {
  const [first, second] = args;
  const named = byName(`${first} ${second}`) ?? byName(first ?? "");
  const group = COMMANDS.filter(({ name }) => named === undefined && name.startsWith(`${first} `));
  const about = named ? [named] : group;
  return about.length > 0 ? formatHelp(about, false) : formatHelp(COMMANDS);
}

type Parsed = { readonly command: Command; readonly call: Call } | { readonly wrong: string };

function parse(args: readonly string[]): Parsed {
  const found = findCommand(args);
  if ("wrong" in found) return found;
  const { command, rest } = found;
  try {
    const { values, positionals } = parseArgs({
      args: [...rest],
      options: { ...command.options },
      allowPositionals: true,
    });
    const { min, max } = command.operands;
    const { length } = positionals;
    if (length < min || length > max) {
      const many = max === 0 ? "no argument" : max === 1 ? "one argument" : `${max} arguments`;
      const takes = length < min ? "takes an argument more" : `takes ${many}`;
      return { wrong: `"${command.name}" ${takes}: tidewire ${callOf(command)}` };
    }
    return { command, call: { operands: positionals, options: values } };
  } catch (error) {
    return { wrong: (error as Error).message };
  }
}

type Found = { readonly command: Command; readonly rest: readonly string[] };

function findCommand(args: readonly string[]): Found | { readonly wrong: string } {
  const [first, second] = args;
  const two = byName(`${first} ${second}`);
  if (two) return { command: two, rest: args.slice(2) };
  const one = first === undefined ? undefined : byName(first);
  if (one) return { command: one, rest: args.slice(1) };
  const parts = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (parts.length > 0) {
    const names = parts.map(({ name }) => name.split(" ")[1]!);
    const help = second === undefined ? null : suggest(second, names);
    return {
      wrong: `"${first}" is followed by one of ${names.join(", ")}${help ? `; ${help}` : ""}`,
    };
  }
  // A config by its name alone: "run" is what one does with it. Other words are mistyped commands.
  if (first !== undefined && !first.startsWith("-") && !/[./\\]/.test(first)) {
    const help = suggest(
      first,
      COMMANDS.map(({ name }) => name),
    );
    return { wrong: `there is no command "${first}"${help ? `; ${help}` : ""}` };
  }
  return { command: byName("run")!, rest: args };
}

function byName(name: string): Command | undefined {
  return COMMANDS.find((command) => command.name === name);
}
