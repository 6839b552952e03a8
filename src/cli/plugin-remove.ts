/** `tidewire plugin remove <package>`: takes an npm package away again. */
import { removePackages } from "../author/npm-install.ts";
import { manifestName } from "../author/npm-plugin.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";
import { attempt, directoryOf } from "./plugin-add.ts";

export const pluginRemoveCommand: Command = {
  name: "plugin remove",
  usage: "<package>... [--dir <folder>]",
  summary: "take an npm package away again",
  operands: { min: 1, max: 100 },
  options: { dir: { type: "string" } },
  run: async ({ operands, options }) => pluginRemove(operands, await directoryOf(options["dir"])),
};

async function pluginRemove(names: readonly string[], directory: string): Promise<number> {
  const folder = await attempt("remove", () => removePackages(names, directory));
  if (folder === null) return EXIT.failed;
  for (const name of names) {
    process.stdout.write(`removed ${name} from ${manifestName(folder, directory)}\n`);
  }
  return EXIT.fine;
}
