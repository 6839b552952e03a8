/** `tidewire plugin new <name>`: writes a plugin with its test, and tells how a config uses it. */
import { join, relative } from "node:path";
import { TSCONFIG } from "../author/init-template.ts";
import { writeNewFiles } from "../author/new-files.ts";
import { nameProblem } from "../author/plugin-name.ts";
import { newPlugin, TEMPLATE_HOOKS, type TemplateHook } from "../author/plugin-templates.ts";
import { exists, nearest, projectRoot } from "../author/project-root.ts";
import { refreshTypes } from "../author/types-folder.ts";
import { visibleText } from "../diagnostic/visible-text.ts";
import { DEFAULT_CONFIG, type Command } from "./command.ts";
import { EXIT } from "./exit.ts";

export const pluginNewCommand: Command = {
  name: "plugin new",
  usage: `<name> [${TEMPLATE_HOOKS.map((hook) => `--${hook}`).join("|")}]`,
  summary: `write a plugin and its test (${TEMPLATE_HOOKS[0]} when not said)`,
  operands: { min: 1, max: 1 },
  options: Object.fromEntries(TEMPLATE_HOOKS.map((hook) => [hook, { type: "boolean" }])),
  run: ({ operands, options }) =>
    pluginNew(
      operands[0]!,
      TEMPLATE_HOOKS.filter((hook) => options[hook] === true),
    ),
};

/**
 * Never changes a file that is there, nor the config.
 *
 * @returns The exit code: 0, 1 when it can't be written, 2 when the name or the options are wrong.
 */
async function pluginNew(name: string, hooks: readonly TemplateHook[]): Promise<number> {
  const problem =
    hooks.length > 1
      ? `one of ${hooks.map((hook) => `--${hook}`).join(", ")}: a plugin starts with one hook, and may get more`
      : nameProblem(name);
  if (problem !== null) return fail(problem, EXIT.usage);
  const cwd = process.cwd();
  try {
    const root = await projectRoot(cwd);
    const place = (path: string) => visibleText(relative(cwd, join(root, path)));
    const { files, use } = newPlugin(name, hooks[0] ?? TEMPLATE_HOOKS[0]);
    for (const path of Object.keys(files)) {
      if (await exists(join(root, path))) {
        return fail(`${place(path)} is there already; nothing was written`, EXIT.failed);
      }
    }
    const isKnown = (await nearest(root, "tsconfig.json")) !== null;
    const { created } = await writeNewFiles(root, { ...files, ...(isKnown ? {} : TSCONFIG) });
    await refreshTypes(root);
    process.stdout.write(`${created.map((path) => `created ${place(path)}\n`).join("")}
${await usage(root, place(DEFAULT_CONFIG), use)}
Next:
  tidewire plugin check   checks its types
  tidewire plugin test    runs its test
`);
    return EXIT.fine;
  } catch (error) {
    return fail((error as Error).message, EXIT.failed);
  }
}

/** How a config uses it, to be pasted: one that is there has its `channels:` already. */
async function usage(root: string, config: string, use: string): Promise<string> {
  if (!(await exists(join(root, DEFAULT_CONFIG)))) return `Use it in ${config}, such as:\n\n${use}`;
  return `Use it in ${config}, such as, below its "channels:":\n\n${use.replace(/^channels:\n/, "")}`;
}

function fail(message: string, code: number): number {
  process.stderr.write(`tidewire: ${visibleText(message)}\n`);
  return code;
}
