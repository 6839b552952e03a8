/** Every command, in the order of the help. A new one is its file and one line here. */
import { checkCommand } from "./check.ts";
import type { Command } from "./command.ts";
import { initCommand } from "./init.ts";
import { pluginAddCommand } from "./plugin-add.ts";
import { pluginCheckCommand } from "./plugin-check.ts";
import { pluginInstallCommand } from "./plugin-install.ts";
import { pluginNewCommand } from "./plugin-new.ts";
import { pluginRemoveCommand } from "./plugin-remove.ts";
import { runCommand } from "./run.ts";
import { schemaCommand } from "./schema.ts";
import { versionCommand } from "./show-version.ts";
import { pluginTestCommand } from "./test-plugins.ts";
import { typesCommand } from "./types.ts";

export const COMMANDS: readonly Command[] = [
  runCommand,
  checkCommand,
  initCommand,
  pluginNewCommand,
  pluginCheckCommand,
  pluginTestCommand,
  pluginAddCommand,
  pluginInstallCommand,
  pluginRemoveCommand,
  typesCommand,
  schemaCommand,
  versionCommand,
];
