/** `tidewire types [dir]`: writes the declarations that an editor and `plugin check` read. */
import { relative, resolve } from "node:path";
import { projectRoot } from "../author/project-root.ts";
import { writeTypes } from "../author/types-folder.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const typesCommand: Command = {
  name: "types",
  usage: "[dir]",
  summary: "write the types of plugins into .tidewire, for editors",
  operands: { min: 0, max: 1 },
  options: {},
  run: ({ operands }) => types(operands[0]),
};

/** @returns The exit code: 0, or 1 when they can't be written. */
async function types(dir?: string): Promise<number> {
  const root = dir === undefined ? await projectRoot(process.cwd()) : resolve(dir);
  try {
    const folder = await writeTypes(root);
    const shown = visibleText(relative(process.cwd(), folder) || ".");
    process.stdout.write(`${shown}: the types of tidewire ${VERSION}\n`);
    return EXIT.fine;
  } catch (error) {
    process.stderr.write(`tidewire: the types were not written: ${(error as Error).message}\n`);
    return EXIT.failed;
  }
}
