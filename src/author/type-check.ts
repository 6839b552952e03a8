/** Checks the types of plugins with the type checker that Bun carries. */
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { parseAllDocuments, visit } from "yaml";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import { runBun } from "./bun-command.ts";
import { exists, nearest } from "./project-root.ts";
import { readTypeErrors } from "./type-errors.ts";
import { PLUGINS_TSCONFIG, TYPES_FOLDER } from "./types-folder.ts";
import { writeJoinedTsconfig } from "./joined-tsconfig.ts";

export interface TypeCheck {
  readonly errors: readonly Diagnostic[];
  /** Files that were checked, without those of the declarations. */
  readonly files: number;
  /** What an author should know beside the errors; null for nothing. */
  readonly note: string | null;
}

/**
 * @param root Absolute path of the folder with `.tidewire`, whose declarations are fresh.
 * @param files Absolute paths of files and folders; none checks those of `pluginFiles`.
 * @param cwd Absolute path of the folder that paths in errors start from.
 * @throws {Error} When the type checker can't be run or says something that is not understood.
 */
export async function checkTypes(
  root: string,
  files: readonly string[],
  cwd: string,
): Promise<TypeCheck> {
  // That of the plugins alone comes before the project's, as it does for an editor.
  const folder = await nearest(join(root, "plugins"), "tsconfig.json");
  const own = join(root, TYPES_FOLDER, "tsconfig.json");
  if (folder === null) return run(["-p", own, ...files], cwd, null);
  const theirs = join(folder, "tsconfig.json");
  const first = await run(["-p", theirs, ...files], cwd, null);
  if (!first.errors.some(isTidewireUnknown)) return first;
  const joined = await writeJoinedTsconfig(root, theirs, own);
  const note =
    `${relative(cwd, theirs)} does not know "tidewire", so an editor does not: ` +
    `write ${relative(cwd, join(root, PLUGINS_TSCONFIG.file))} with ${PLUGINS_TSCONFIG.text}`;
  return run(["-p", joined, ...files], cwd, note);
}

function isTidewireUnknown({ code, message }: Diagnostic): boolean {
  return code === "TS2307" && /^Cannot find module 'tidewire(\/testing)?'/.test(message);
}

async function run(args: readonly string[], cwd: string, note: string | null): Promise<TypeCheck> {
  const { code, stdout, stderr } = await runBun(["check", "--no-script", "--no-pretty", ...args], {
    cwd,
    // With these it writes for a model or for GitHub, which is not what is read here.
    env: {
      AGENT: undefined,
      CLAUDECODE: undefined,
      REPL_ID: undefined,
      GITHUB_ACTIONS: undefined,
      FORCE_COLOR: undefined,
      NO_COLOR: "1",
    },
  });
  const errors = await readTypeErrors(stdout, cwd);
  if (code !== 0 && errors.length === 0) {
    const said = `${stdout}${stderr}`.trim();
    throw new Error(
      /^error: (.*)$/m.exec(said)?.[1] ?? `the type checker failed (${code})\n${said}`,
    );
  }
  const files = /(?:checked|errors in) (\d+) files?\b/.exec(stderr)?.[1];
  return { errors, files: Number(files ?? 0), note };
}

/**
 * What there is to check: the folder `plugins` beside the config, and the files that its `use:` names.
 *
 * @returns Absolute paths; none where there is no plugin.
 */
export async function pluginFiles(root: string): Promise<string[]> {
  const folder = join(root, "plugins");
  const found = (await hasTypeScript(folder)) ? [folder] : [];
  const config = join(root, "tidewire.yaml");
  for (const use of usesOf(await readFile(config, "utf8").catch(() => ""))) {
    const file = resolve(dirname(config), use);
    const isListed = found.includes(file) || (found[0] === folder && isWithin(folder, file));
    if (!isListed && (await exists(file))) found.push(file);
  }
  return found;
}

async function hasTypeScript(folder: string): Promise<boolean> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  return names.some((name) => /\.[cm]?tsx?$/.test(name));
}

function isWithin(folder: string, file: string): boolean {
  return !relative(folder, file).startsWith("..");
}

/** The TypeScript files that a config names. Its mistakes are for `tidewire check` to tell. */
function usesOf(text: string): string[] {
  const uses = new Set<string>();
  for (const document of parseAllDocuments(text)) {
    visit(document as never, {
      Pair(_, pair) {
        const { key, value } = pair as {
          key: { value?: unknown };
          value: { value?: unknown } | null;
        };
        const use = value?.value;
        if (key.value !== "use" || typeof use !== "string") return;
        if (/^\.?\.?[/\\].*\.[cm]?tsx?$/.test(use)) uses.add(use);
      },
    });
  }
  return [...uses];
}
