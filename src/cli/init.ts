/** `tidewire init [dir]`: writes a config that runs, a plugin with its test, and what an editor needs. */
import { readFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { AROUND, CONFIG_FILE, SAMPLE } from "../author/init-template.ts";
import { writeNewFiles } from "../author/new-files.ts";
import { exists } from "../author/project-root.ts";
import { PLUGINS_TSCONFIG, TYPES_FOLDER, writeTypes } from "../author/types-folder.ts";
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
async function init(dir: string): Promise<number> {
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
    const hints = await hintsOf(root);
    const lines = [
      ...created.map((path) => `created ${place(path)}`),
      `created ${place(TYPES_FOLDER)} (types for editors; Git ignores it)`,
      ...[...(hasConfig ? [CONFIG_FILE] : []), ...kept].map(
        (path) => `kept    ${place(path)}, which was there${hints[path] ?? ""}`,
      ),
    ];
    process.stdout.write(`${lines.join("\n")}\n\n${nextCommands(place("."))}`);
    return EXIT.fine;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isFile = code === "EEXIST" || code === "ENOTDIR";
    const why = isFile ? `${dir} can't be a folder: there is a file in its place` : message;
    process.stderr.write(`tidewire: ${visibleText(why)}\n`);
    return EXIT.failed;
  }
}

/** What to do about files that were there. */
async function hintsOf(root: string): Promise<Readonly<Record<string, string>>> {
  const tsconfig = await readFile(join(root, "tsconfig.json"), "utf8").catch(() => "");
  if (tsconfig.includes(`${TYPES_FOLDER}/tsconfig.json"`)) return {};
  const { file, text } = PLUGINS_TSCONFIG;
  if (await exists(join(root, file))) return {};
  const hint = `; for editors to know "tidewire", write ${file} with ${text}`;
  return { "tsconfig.json": hint };
}

function nextCommands(folder: string): string {
  const next: [command: string, what: string][] = [
    ["tidewire", "runs it: see http://127.0.0.1:8080"],
    ["tidewire plugin check", "checks the types of the plugins"],
    ["tidewire plugin test", "runs their tests"],
    ["tidewire check --tests", "checks the config, and runs its tests"],
    ["tidewire plugin new <name>", "writes another one"],
  ];
  const lines = next.map(([command, what]) => `  ${command.padEnd(28)}${what}`);
  if (folder !== ".") lines.unshift(`  cd ${shellWord(folder)}`);
  return `Next:\n${lines.join("\n")}\n`;
}

/** A path as it has to be typed: within double quotes, which every shell knows, where they are enough. */
function shellWord(path: string): string {
  if (/^[\w./@+\\-]+$/.test(path)) return path;
  return /["$`!]/.test(path) ? `'${path.replaceAll("'", `'\\''`)}'` : `"${path}"`;
}
