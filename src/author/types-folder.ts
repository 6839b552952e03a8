/** The `.tidewire` folder: declarations and options for the type checker, and the config's schema. */
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { configJsonSchema, testsJsonSchema } from "../config/json-schema.ts";
import { shippedOptions } from "../server/plugins.ts";
import { carriedTypes, type Files } from "./carried-types.ts";

/** Stands beside the config. All that is in it can be written again, so Git is told to ignore it. */
export const TYPES_FOLDER = ".tidewire";

/**
 * What makes an editor know `import … from "tidewire"` in a project with a tsconfig.json of its own: that
 * one may be for a program which is compiled in another way, and need not be changed.
 */
export const PLUGINS_TSCONFIG = {
  file: "plugins/tsconfig.json",
  text: `{ "extends": "../${TYPES_FOLDER}/tsconfig.json" }`,
};

/** Tells which Tidewire wrote the folder. */
const STAMP = "version";

export type TypesState = "fresh" | "stale" | "missing";

/** Whether a folder's declarations are those of this Tidewire. */
export async function typesState(root: string): Promise<TypesState> {
  const stamp = await readFile(join(root, TYPES_FOLDER, STAMP), "utf8").catch(() => null);
  if (stamp === null) return "missing";
  return stamp.trim() === (await carriedTypes()).stamp ? "fresh" : "stale";
}

/**
 * Writes the declarations where they are missing or of another version.
 *
 * @returns What was found.
 */
export async function refreshTypes(root: string): Promise<TypesState> {
  const state = await typesState(root);
  if (state !== "fresh") await writeTypes(root);
  return state;
}

/**
 * Writes the folder anew. Nothing else is touched.
 *
 * @param root Absolute path of the folder that it is written into.
 * @returns Absolute path of the folder of declarations.
 * @throws {Error} When it can't be written; its code is that of the system: `EACCES`, `ENOSPC` …
 */
export async function writeTypes(root: string): Promise<string> {
  const { stamp, unpack } = await carriedTypes();
  const { files, modules } = await unpack();
  const folder = join(root, TYPES_FOLDER);
  const types = join(folder, "types");
  await mkdir(folder, { recursive: true });
  await Bun.write(join(folder, ".gitignore"), "# Written by `tidewire types`.\n*\n");
  await Bun.write(join(folder, "tsconfig.json"), toJson(baseTsconfig(modules)));
  await Bun.write(join(folder, "schema.json"), toJson(configJsonSchema(await shippedOptions())));
  await Bun.write(join(folder, "tests.schema.json"), toJson(testsJsonSchema()));
  // Beside, and then moved: an editor never sees half of them, and what is no longer declared goes.
  const fresh = `${types}.${process.pid}-${crypto.randomUUID()}`;
  try {
    await new Bun.Archive({ ...files }).extract(fresh);
    await rm(types, { recursive: true, force: true });
    await rename(fresh, types).catch(async (error: NodeJS.ErrnoException) => {
      // Another process has just moved its own there: they are the same.
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  // Last: a folder with a stamp is whole.
  await Bun.write(join(folder, STAMP), `${stamp}\n`);
  return types;
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** How Bun reads TypeScript, and how to find what it knows without a `node_modules`. */
function baseTsconfig(modules: Files) {
  return {
    compilerOptions: {
      lib: ["ESNext"],
      target: "ESNext",
      module: "Preserve",
      moduleDetection: "force",
      moduleResolution: "bundler",
      allowImportingTsExtensions: true,
      verbatimModuleSyntax: true,
      resolveJsonModule: true,
      noEmit: true,
      strict: true,
      skipLibCheck: true,
      noUncheckedIndexedAccess: true,
      noImplicitOverride: true,
      noFallthroughCasesInSwitch: true,
      types: ["bun"],
      typeRoots: ["./types", "../node_modules/@types"],
      paths: Object.fromEntries(
        Object.entries(modules).map(([module, file]) => [module, [`./types/${file}`]]),
      ),
    },
    include: ["../**/*.ts"],
    exclude: ["../**/node_modules"],
  };
}
