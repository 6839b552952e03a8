/**
 * Collects the declarations that a plugin's author needs: those of `tidewire`, written by the compiler
 * from the source with their docstrings, and those of TypeBox, Bun and Node, as their packages ship them.
 */
import { dirname, join, relative } from "node:path";
import ts from "typescript";

/** Text of each file by its path below the folder of types, with `/`. */
export type TypeFiles = Readonly<Record<string, string>>;

const ROOT = import.meta.dir;
const PACKAGES = join(ROOT, "node_modules");

/** Packages that are carried whole: where their declarations go, and what does not come along. */
const CARRIED: readonly { readonly from: string; readonly to: string }[] = [
  { from: "bun-types", to: "bun" },
  { from: "@types/node", to: "node" },
  // Bun's and Node's declarations import it by its name: it is found as any package is.
  { from: "undici-types", to: "node_modules/undici-types" },
];

/** The folder of what the compiler writes, and of TypeBox, to which that refers. */
const TIDEWIRE = "tidewire";
const TYPEBOX = "typebox";

/**
 * @returns The files, and for each module that an author imports the file that declares it.
 * @throws {Error} When the source does not compile, or declares something by a package that is not carried.
 */
export async function collectTypes(): Promise<{ files: TypeFiles; modules: TypeFiles }> {
  const { modules, files: own } = emitOwn();
  const carried = await Promise.all(CARRIED.map(({ from, to }) => packageFiles(from, to)));
  const files = { ...own, ...(await typeBoxFiles()), ...Object.assign({}, ...carried) };
  return { files, modules };
}

let packed: Promise<Uint8Array> | null = null;

/** What `collectTypes` gives as JSON, compressed with zstd; made once in a process. */
export function packTypes(): Promise<Uint8Array> {
  return (packed ??= collectTypes().then((types) =>
    Bun.zstdCompress(JSON.stringify(types), { level: 19 }),
  ));
}

/** Lets the compiler declare what `paths` of tsconfig.json gives to plugins, and what that refers to. */
function emitOwn(): { files: TypeFiles; modules: TypeFiles } {
  const { config } = ts.readConfigFile(join(ROOT, "tsconfig.json"), ts.sys.readFile);
  const entries = Object.entries(config.compilerOptions.paths as Record<string, [string]>).map(
    ([module, [path]]) => [module, join(ROOT, path)] as const,
  );
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, ROOT);
  const program = ts.createProgram({
    rootNames: entries.map(([, file]) => file),
    options: {
      ...options,
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      stripInternal: true,
      rootDir: join(ROOT, "src"),
      outDir: join(ROOT, "src"),
    },
  });
  const files: Record<string, string> = {};
  // File by file: only what an author can come to has to be declared.
  const follow = (source: string): string => {
    const to = `${TIDEWIRE}/${relative(join(ROOT, "src"), source).replaceAll("\\", "/")}`;
    const declaration = to.replace(/\.ts$/, ".d.ts");
    if (files[declaration] !== undefined) return declaration;
    const text = declare(program, source);
    // By a path: plugins can't import TypeBox by its name, which the executable does not give them.
    const typeBox = relative(dirname(to), `${TYPEBOX}/index.js`).replaceAll("\\", "/");
    files[declaration] = text.replaceAll('"@sinclair/typebox"', `"${typeBox}"`);
    for (const { fileName } of ts.preProcessFile(text).importedFiles) {
      if (fileName.startsWith(".")) follow(join(dirname(source), fileName));
      else if (!/^(node:|bun(:|$)|@sinclair\/typebox$)/.test(fileName)) {
        throw new Error(`${declaration} refers to "${fileName}", which no author has`);
      }
    }
    return declaration;
  };
  const modules = entries.map(([module, source]) => [module, follow(source)]);
  return { files, modules: Object.fromEntries(modules) };
}

/** The declaration that the compiler writes for a source file, without what is `@internal`. */
function declare(program: ts.Program, source: string): string {
  const file = program.getSourceFile(source.replaceAll("\\", "/"));
  if (!file) throw new Error(`the compiler does not know ${source}`);
  let text = "";
  const { diagnostics } = program.emit(
    file,
    (_, written) => void (text = written),
    undefined,
    true,
  );
  if (diagnostics.length > 0) throw new Error(ts.formatDiagnostics(diagnostics, FORMAT));
  return text;
}

async function packageFiles(name: string, to: string): Promise<TypeFiles> {
  return readAll(join(PACKAGES, name), ["**/*.d.ts", "package.json", "LICENSE"], to);
}

/** TypeBox, of which its `Type` and what that refers to is declared in one folder. */
async function typeBoxFiles(): Promise<TypeFiles> {
  const folder = join(PACKAGES, "@sinclair/typebox/build/cjs");
  const files = await readAll(folder, ["index.d.ts", "type/**/*.d.ts"], TYPEBOX);
  const license = await readAll(join(folder, "../.."), ["license"], TYPEBOX);
  // Its declarations leave out the extensions, which only CommonJS may (in a package of type "module").
  return { ...files, ...license, [`${TYPEBOX}/package.json`]: '{ "type": "commonjs" }\n' };
}

async function readAll(folder: string, globs: readonly string[], to: string): Promise<TypeFiles> {
  const files: Record<string, string> = {};
  for (const glob of globs) {
    for await (const path of new Bun.Glob(glob).scan({ cwd: folder })) {
      files[`${to}/${path.replaceAll("\\", "/")}`] = await Bun.file(join(folder, path)).text();
    }
  }
  if (Object.keys(files).length === 0) throw new Error(`no declarations in ${folder}`);
  return files;
}

const FORMAT: ts.FormatDiagnosticsHost = {
  getCurrentDirectory: () => ROOT,
  getCanonicalFileName: (name) => name,
  getNewLine: () => "\n",
};
