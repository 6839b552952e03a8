/** `tidewire plugin check [files…]`: checks the types of plugins, with nothing installed. */
import { resolve } from "node:path";
import { exists, projectRoot } from "../author/project-root.ts";
import { checkTypes, pluginFiles, type TypeCheck } from "../author/type-check.ts";
import { refreshTypes } from "../author/types-folder.ts";
import { count, formatDiagnostic, MAX_PRINTED } from "../diagnostic/diagnostic.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import type { Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const pluginCheckCommand: Command = {
  name: "plugin check",
  usage: "[files…] [--json]",
  summary: "check the types of plugins",
  operands: { min: 0, max: Infinity },
  options: { json: { type: "boolean" } },
  run: ({ operands, options }) => pluginCheck(operands, options["json"] === true),
};

/** @returns The exit code: 0, or 1 when there are type errors or nothing could be checked. */
async function pluginCheck(operands: readonly string[], json: boolean): Promise<number> {
  const cwd = process.cwd();
  try {
    const root = await projectRoot(cwd);
    const files = operands.map((operand) => resolve(cwd, operand));
    for (const [index, file] of files.entries()) {
      if (!(await exists(file))) throw new Error(`there is no ${operands[index]}`);
    }
    if (files.length === 0) files.push(...(await pluginFiles(root)));
    if (files.length === 0) {
      throw new Error(
        `there is no plugin in ${root}: "tidewire plugin new <name>" writes one, or name the files`,
      );
    }
    await refreshTypes(root);
    const result = await checkTypes(root, files, cwd);
    if (json) process.stdout.write(`${JSON.stringify(report(result))}\n`);
    else show(result);
    return result.errors.length === 0 ? EXIT.fine : EXIT.failed;
  } catch (error) {
    const { message } = error as Error;
    if (json)
      process.stdout.write(`${JSON.stringify({ ok: false, reason: message, errors: [] })}\n`);
    else process.stderr.write(`tidewire: ${message.split("\n").map(visibleText).join("\n")}\n`);
    return EXIT.failed;
  }
}

function show({ errors, files, note }: TypeCheck): void {
  const color = process.stderr.isTTY && !process.env["NO_COLOR"];
  const parts = errors.slice(0, MAX_PRINTED).map((error) => formatDiagnostic(error, { color }));
  const more = errors.length - parts.length;
  if (more > 0) parts.push(`… and ${count(more, "more error")}, not shown`);
  if (note !== null) parts.push(`note: ${visibleText(note)}`);
  if (errors.length > 0) {
    const wrong = new Set(errors.map(({ file }) => file)).size;
    parts.push(`${count(errors.length, "error")} in ${count(wrong, "file")}`);
  }
  if (parts.length > 0) process.stderr.write(`${parts.join("\n\n")}\n`);
  if (errors.length === 0) process.stdout.write(`no type errors in ${count(files, "file")}\n`);
}

function report({ errors, files, note }: TypeCheck) {
  return {
    ok: errors.length === 0,
    files,
    note,
    errors: errors.map(({ code, message, file, place, help }) => ({
      code,
      message,
      file,
      line: place?.line ?? null,
      column: place?.column ?? null,
      help,
    })),
  };
}
