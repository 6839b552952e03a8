/** `tidewire init [dir]`: writes a config that runs, a plugin with its test, and what an editor needs. */
import { join, relative, resolve } from "node:path";
import { AROUND, CONFIG_FILE, SAMPLE } from "../author/init-template.ts";
import { writeNewFiles } from "../author/new-files.ts";
import { exists } from "../author/project-root.ts";
import { BASE_TSCONFIG, TYPES_FOLDER, writeTypes } from "../author/types-folder.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const initCommand: Command = {
  name: "init",
  usage: "[dir]",
  summary: "write a config that runs, and a plugin with its test",
  operands: { min: 0, max: 1 },
  options: {},
  run: ({ operands }) => init(operands[0] ?? "."),
};

/**
 * Never changes a file that is there.
 *
 * @returns The exit code: 0, or 1 when something can't be written.
 */
export async function init(dir: string): Promise<number> {
  const cwd = process.cwd();
  const root = resolve(dir);
  try {
    // Without the config that uses them, a plugin and a page would only be in the way.
    const hasConfig = await exists(join(root, CONFIG_FILE));
    const { created, kept } = await writeNewFiles(
      root,
      hasConfig ? AROUND : { ...SAMPLE, ...AROUND },
    );
    await writeTypes(root);
    const place = (path: string) => visibleText(relative(cwd, join(root, path)) || ".");
    const lines = [
      ...created.map((path) => `created ${place(path)}`),
      `created ${place(TYPES_FOLDER)} (types for editors; Git ignores it)`,
      ...[...(hasConfig ? [CONFIG_FILE] : []), ...kept].map(
        (path) => `kept    ${place(path)}, which was there${HINTS[path] ?? ""}`,
      ),
    ];
    process.stdout.write(`${lines.join("\n")}\n\n${nextCommands(place("."))}`);
    return EXIT.fine;
  } catch (error) {
    process.stderr.write(`tidewire: ${visibleText((error as Error).message)}\n`);
    return EXIT.failed;
  }
}

const HINTS: Readonly<Record<string, string>> = {
  "tsconfig.json": `; it knows "tidewire" when it has "extends": "${BASE_TSCONFIG}"`,
};

function nextCommands(folder: string): string {
  const next: [command: string, what: string][] = [
    ["tidewire", "runs it: see http://127.0.0.1:8080"],
    ["tidewire plugin check", "checks the types of the plugins"],
    ["tidewire plugin test", "runs their tests"],
    ["tidewire check --tests", "checks the config, and runs its tests"],
    ["tidewire plugin new <name>", "writes another one"],
  ];
  const lines = next.map(([command, what]) => `  ${command.padEnd(28)}${what}`);
  if (folder !== ".")
    lines.unshift(`  cd ${/^[\w./@+\\-]+$/.test(folder) ? folder : `"${folder}"`}`);
  return `Next:\n${lines.join("\n")}\n`;
}
