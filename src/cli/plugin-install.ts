/** `tidewire plugin install`: installs what the lock file beside the config says, such as after a checkout. */
import { installPackages } from "../author/npm-install.ts";
import { manifestName } from "../author/npm-plugin.ts";
import { count } from "../diagnostic/diagnostic.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";
import { attempt, directoryOf, tellOfScripts } from "./plugin-add.ts";

export const pluginInstallCommand: Command = {
  name: "plugin install",
  usage: "[--dir <folder>]",
  summary: "install what the lock file says, in a fresh checkout",
  operands: { min: 0, max: 0 },
  options: { dir: { type: "string" } },
  run: async ({ options }) => pluginInstall(await directoryOf(options["dir"])),
};

async function pluginInstall(directory: string): Promise<number> {
  const installed = await attempt("install", () => installPackages(directory));
  if (installed === null) return EXIT.failed;
  for (const { folder, packages } of installed) {
    const names = packages.map(({ name, version }) => `${name} ${version}`);
    process.stdout.write(
      `installed ${count(names.length, "package")} of ${manifestName(folder, directory)}: ${names.join(", ")}\n`,
    );
  }
  tellOfScripts(installed);
  return EXIT.fine;
}
