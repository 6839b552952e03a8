/** The help: what the commands are, or how one of them is called. */
import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";

/** Column at which the summaries start. */
const SUMMARY_AT = 38;

/** @param commands All of them, or those that somebody asks about. */
export function formatHelp(commands: readonly Command[], isAll = true): string {
  const lines = commands.map((command) => {
    const call = `  tidewire ${callOf(command)}`;
    const gap =
      call.length < SUMMARY_AT ? call.padEnd(SUMMARY_AT) : `${call}\n${" ".repeat(SUMMARY_AT)}`;
    return `${gap}${command.summary}`;
  });
  return `Tidewire ${VERSION}: one binary, one YAML file, every realtime transport.

${lines.join("\n")}
  ${"tidewire help".padEnd(SUMMARY_AT - 2)}${isAll ? "print this" : "list all commands"}

Exit codes: 0 fine, 1 failed, 2 wrong usage, 78 wrong config.
`;
}

/** Running is what one does with a config: its command need not be named. */
export function callOf({ name, usage }: Command): string {
  const shown = name === "run" ? "[run]" : name;
  return usage === "" ? shown : `${shown} ${usage}`;
}
