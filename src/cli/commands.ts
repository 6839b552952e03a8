/** Every command, in the order of the help. A new one is its file and one line here. */
import { checkCommand } from "./check.ts";
import type { Command } from "./command.ts";
import { runCommand } from "./run.ts";
import { schemaCommand } from "./schema.ts";
import { versionCommand } from "./show-version.ts";

export const COMMANDS: readonly Command[] = [
  runCommand,
  checkCommand,
  schemaCommand,
  versionCommand,
];
