/** The arrows of DESIGN.md §2: which folder of the house may import which. */
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path";

/** Folders of `src/`, and the other folders that each may import. */
const HOUSE: Readonly<Record<string, readonly string[]>> = {
  diagnostic: [],
  channel: [],
  broker: ["channel"],
  transport: ["channel"],
  plugin: ["channel", "diagnostic"],
  config: ["channel", "diagnostic"],
  client: [],
  console: [],
  server: ["channel", "broker", "transport", "plugin", "config", "client", "console", "diagnostic"],
  author: ["channel", "broker", "plugin", "config", "server", "diagnostic"],
  cli: ["server", "config", "author", "diagnostic"],
  "main.ts": ["cli"],
};

/** Files that everything in `src/` may import, and that import nothing of ours. */
const LEAVES: readonly string[] = ["log.ts", "suggest.ts", "units.ts", "version.ts"];

/** Files that are written for authors as they are: imported as text, tests and all, and run by none of ours. */
const TEMPLATES = "src/author/templates/";

/** The one file that names the plugins that ship. */
const REGISTRY = "src/plugin/shipped.ts";

/** Tests, what they share, and suites that run over several implementations: they may cross. */
const TEST = /(^|[/.-])(test|testing|contract)\.tsx?$|\/fake-[^/]+\.ts$/;

/** What a name that is no path is looked up in. */
export interface Packages {
  /** npm packages that the program itself may use, not its tests alone. */
  readonly dependencies: readonly string[];
}

/** One line for each import under `root` that points the wrong way: file, line, what it may import. */
export async function wrongArrows(root: string, packages: Packages): Promise<string[]> {
  const wrong: string[] = [];
  const files = new Bun.Glob("{src,plugins}/**/*.{ts,tsx,js,mjs}").scan({ cwd: root });
  for (const file of (await Array.fromAsync(files)).toSorted()) {
    if (TEST.test(file)) continue;
    const source = await Bun.file(join(root, file)).text();
    const home = homeOf(file);
    if (file.startsWith("src/") && !LEAVES.includes(home) && !HOUSE[home]) {
      const rooms = Object.keys(HOUSE).join(", ");
      wrong.push(`${file}: "${home}" is no part of src; it has ${rooms}, ${LEAVES.join(", ")}`);
      continue;
    }
    for (const specifier of importsOf(source, file)) {
      const reason = refusal(file, specifier, packages);
      if (reason)
        wrong.push(`${file}:${lineOf(source, specifier)} imports "${specifier}": ${reason}`);
    }
  }
  return wrong;
}

/** Everything that a source imports: values and types, re-exports, `import()`, `require()`, workers. */
export function importsOf(source: string, file = "source.ts"): readonly string[] {
  // The transpiler forgets what only types are imported from, so types are made to look like values.
  const values = source
    .replace(/\bimport\s+type(?=\s+[\w$]+\s+from\b|\s*[{*])/g, "import")
    .replace(/\bexport\s+type(?=\s*[{*])/g, "export")
    .replace(/\b(import|export)\b[^;"'`()=]*\{[^}]*\}/g, (clause) =>
      clause.replace(/(?<=[{,]\s*)type\s+(?!as\b)/g, ""),
    );
  const all = new Set<string>();
  try {
    for (const { path } of transpilerOf(file).scanImports(values)) all.add(path);
  } catch (error) {
    throw new Error(`${file} can't be parsed`, { cause: error });
  }
  for (const pattern of [
    // A type such as `import("./x.ts").X`, which leaves no trace in what is run.
    /\bimport\(\s*["'`]([^"'`$]+)["'`]\s*\)/g,
    /\bnew\s+URL\(\s*["'`]([^"'`$]+\.tsx?)["'`]\s*,\s*import\.meta\.url/g,
  ]) {
    for (const [, path] of source.matchAll(pattern)) all.add(path!);
  }
  return [...all];
}

/** As TypeScript reads it: `<T>(value: T) => value` is no JSX in a .ts file. */
function transpilerOf(file: string): Bun.Transpiler {
  return new Bun.Transpiler({
    loader: file.endsWith(".ts") ? "ts" : "tsx",
    tsconfig: JSON.stringify({ compilerOptions: { verbatimModuleSyntax: true } }),
  });
}

/** Why `file` may not import `specifier`, or null when it may. */
function refusal(file: string, specifier: string, packages: Packages): string | null {
  const isPlugin = file.startsWith("plugins/") || file.startsWith(TEMPLATES);
  if (isPlugin && specifier === "tidewire") return null;
  const isPath = /^[./]/.test(specifier);
  if (!isPath && specifier !== "tidewire") return packageRefusal(specifier, packages);
  if (specifier.startsWith("/")) return "a path is relative";
  const target = isPath ? normalize(join(dirname(file), specifier)) : "src/plugin/sdk.ts";
  if (isPlugin) return `a plugin may import "tidewire", npm packages and what is built in`;
  if (target.startsWith(TEMPLATES)) {
    return homeOf(file) === "author" ? null : `only src/author may import ${TEMPLATES}`;
  }
  if (TEST.test(target)) return "only tests may import what is for tests";
  if (target.startsWith("plugins/")) {
    return file === REGISTRY ? null : `only ${REGISTRY} may import plugins`;
  }
  const home = homeOf(file);
  if (!target.startsWith("src/")) {
    // Such as package.json: data, which has no arrows of its own.
    return /\.[jt]sx?$|\.mjs$/.test(target) ? "it is outside of src" : null;
  }
  if (LEAVES.includes(home)) return `${home} is a leaf: it imports nothing of ours`;
  const other = homeOf(target);
  const allowed = [...HOUSE[home]!, ...LEAVES];
  if (other === home || allowed.includes(other)) return null;
  return `${home} may import ${allowed.join(", ")}`;
}

function packageRefusal(specifier: string, { dependencies }: Packages): string | null {
  if (/^(node|bun):/.test(specifier) || specifier === "bun") return null;
  const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  if (builtinModules.includes(name) || dependencies.includes(name)) return null;
  return `"${name}" is not in the dependencies of package.json`;
}

/** The folder of `src/`, or the file that stands in it. */
function homeOf(file: string): string {
  return file.split("/")[1]!;
}

function lineOf(source: string, specifier: string): number {
  const lines = source.split("\n");
  const quoted = new RegExp(`["'\`]${RegExp.escape(specifier)}["'\`]`);
  return (
    Math.max(
      0,
      lines.findIndex((line) => quoted.test(line) && !/^\s*(\*|\/\/)/.test(line)),
    ) + 1
  );
}
