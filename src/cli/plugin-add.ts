/** `tidewire plugin add <package>`: installs an npm package beside the config and says how to use it. */
import { resolve } from "node:path";
import {
  addPackages,
  InstallError,
  type AddedPackage,
  type Installed,
} from "../author/npm-install.ts";
import { configFolder } from "../author/project-root.ts";
import { manifestName, readPackage, useSnippet, type PackageKind } from "../author/npm-plugin.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const pluginAddCommand: Command = {
  name: "plugin add",
  usage: "<package>... [--dir <folder>] [--json]",
  summary: "install an npm package beside the config",
  operands: { min: 1, max: 100 },
  options: { dir: { type: "string" }, json: { type: "boolean" } },
  run: async ({ operands, options }) =>
    pluginAdd(operands, await directoryOf(options["dir"]), options["json"] === true),
};

/** The folder that the config is in: what `--dir` says, or this one, or the nearest above with a config. */
export async function directoryOf(option: string | boolean | undefined): Promise<string> {
  return typeof option === "string" ? resolve(option) : configFolder(process.cwd());
}

async function pluginAdd(
  specs: readonly string[],
  directory: string,
  isJson: boolean,
): Promise<number> {
  const added = await attempt("add", () => addPackages(specs, { directory, cwd: process.cwd() }));
  if (added === null) return EXIT.failed;
  const where = manifestName(added.folder, directory);
  const results: { readonly one: AddedPackage; readonly kind: PackageKind }[] = [];
  for (const one of added.packages) {
    results.push({ one, kind: await readPackage(one.name, directory) });
  }
  if (isJson) {
    const packages = results.map(({ one, kind }) => ({
      ...one,
      use: kind.plugin ? `npm:${one.name}` : null,
      plugin: kind.plugin && { name: kind.plugin.name, options: kind.plugin.options ?? null },
      error: kind.error?.message ?? null,
    }));
    process.stdout.write(`${JSON.stringify({ folder: added.folder, packages })}\n`);
  } else for (const { one, kind } of results) process.stdout.write(tell(one, kind, where));
  tellOfScripts([added]);
  for (const { one, kind } of results) {
    if (!kind.error) continue;
    const help = `"tidewire plugin remove ${one.name}" takes it away again`;
    process.stderr.write(
      `tidewire: ${one.name} was added and can't be loaded: ${shown(kind.error.message)}\n${help}\n`,
    );
  }
  return results.some(({ kind }) => kind.error) ? EXIT.failed : EXIT.fine;
}

function tell({ name, version }: AddedPackage, kind: PackageKind, where: string): string {
  const added = `added ${name} ${version} to ${where}`;
  if (kind.error) return `${added}\n`;
  if (name.startsWith("@types/")) {
    return `${added}\nIt declares the types of another package, for editors and "tidewire plugin check".\n`;
  }
  if (!kind.plugin) {
    return `${added}\nIt is no plugin; plugins can import it: import … from "${name}"\n`;
  }
  return `${added}\n\n${useSnippet(`npm:${name}`, kind.plugin.options)}`;
}

/** Says that an installation left scripts out, and how to let one run. */
export function tellOfScripts(installed: readonly Installed[]): void {
  if (!installed.some(({ hasBlockedScripts }) => hasBlockedScripts)) return;
  process.stderr.write(
    `tidewire: a package has an install script, which was not run; if it is needed, list the package under "trustedDependencies" in package.json and add it again\n`,
  );
}

/** What `work` gives, or null when it failed and stderr tells why. */
export async function attempt<T>(what: string, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof InstallError)) throw error;
    process.stderr.write(`tidewire: plugin ${what} failed: ${shown(error.message)}\n`);
    return null;
  }
}

function shown(message: string): string {
  return message.split("\n").map(visibleText).join("\n  ");
}
