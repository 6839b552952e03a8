/** A tsconfig.json of an author's own that does not know Tidewire, joined with what makes it know. */
import { readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { TYPES_FOLDER } from "./types-folder.ts";

interface Tsconfig {
  readonly compilerOptions?: {
    readonly paths?: Readonly<Record<string, readonly string[]>>;
    readonly types?: readonly string[];
  };
}

const AS_IT_IS_RUN = {
  module: "Preserve",
  moduleResolution: "bundler",
  moduleDetection: "force",
  allowImportingTsExtensions: true,
  rewriteRelativeImportExtensions: false,
  noEmit: true,
  // What would be emitted is nothing, and what it asks for would be of no use.
  composite: false,
  incremental: false,
  tsBuildInfoFile: null,
  declaration: false,
  declarationMap: false,
  emitDeclarationOnly: false,
  isolatedDeclarations: false,
  rootDir: null,
  outDir: null,
  declarationDir: null,
};

/**
 * Writes it into `.tidewire`: the author's options hold, but for how the executable reads a plugin's
 * modules, whatever compiles the rest of the project; of `paths` and `types` there are both.
 *
 * @param theirs Absolute path of the author's; `own` that of Tidewire's.
 * @returns Its absolute path.
 */
export async function writeJoinedTsconfig(
  root: string,
  theirs: string,
  own: string,
): Promise<string> {
  const [mine, ours] = await Promise.all([read(theirs), read(own)]);
  const folder = join(root, TYPES_FOLDER);
  const fromFolder = (path: string) => `./${relative(folder, path).replaceAll("\\", "/")}`;
  const paths = Object.entries(mine.compilerOptions?.paths ?? {}).map(
    ([name, places]) =>
      [name, places.map((place) => fromFolder(join(dirname(theirs), place)))] as const,
  );
  const joined = {
    extends: [fromFolder(own), fromFolder(theirs)],
    compilerOptions: {
      types: [...new Set([...(mine.compilerOptions?.types ?? []), "bun"])],
      typeRoots: ["./types", fromFolder(join(dirname(theirs), "node_modules/@types"))],
      paths: { ...Object.fromEntries(paths), ...ours.compilerOptions?.paths },
      ...AS_IT_IS_RUN,
    },
  };
  const file = join(folder, "joined.tsconfig.json");
  await Bun.write(file, `${JSON.stringify(joined, null, 2)}\n`);
  return file;
}

async function read(file: string): Promise<Tsconfig> {
  try {
    return (Bun.JSONC.parse(await readFile(file, "utf8")) ?? {}) as Tsconfig;
  } catch {
    // The type checker says what is wrong with it.
    return {};
  }
}
