/** Writes `dist/tidewire`, one executable; with `--all` one for each platform, and their SHA-256 sums. */
import { mkdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { packTypes } from "./build-types.ts";

const USAGE = `usage: npm run build [-- --all]
  (nothing)  writes dist/tidewire for this machine
  --all      writes dist/tidewire-<platform> for every platform, and dist/SHA256SUMS`;

/** Each platform that Bun runs on: our name for the file to Bun's name for the target. */
export const PLATFORMS = {
  "linux-x64": "bun-linux-x64",
  "linux-arm64": "bun-linux-arm64",
  "linux-x64-musl": "bun-linux-x64-musl",
  "linux-arm64-musl": "bun-linux-arm64-musl",
  "darwin-x64": "bun-darwin-x64",
  "darwin-arm64": "bun-darwin-arm64",
  "windows-x64": "bun-windows-x64",
  "windows-arm64": "bun-windows-arm64",
} as const satisfies Record<string, Bun.Build.CompileTarget>;

export type Platform = keyof typeof PLATFORMS;

export interface BuildOptions {
  /** The file that the executable runs. Default: `src/main.ts`. */
  readonly entry?: string;
  /** Default: `dist`, beside this file. */
  readonly outDir?: string;
  /** Default: the machine's own, in a file with no platform in its name. */
  readonly platform?: Platform;
}

/**
 * What the worker threads of isolated plugins run. Its path from the folder that both entrypoints share
 * is its name in the executable: see src/plugin/isolate/worker-url.ts.
 */
const WORKER = join(import.meta.dir, "src/plugin/isolate/worker.ts");

/**
 * Compiles one executable. For another platform Bun fetches its own executable of the same version
 * from the npm registry, once, and keeps it in its cache.
 *
 * @returns Absolute path of the executable.
 * @throws {AggregateError} When the source does not bundle; its `errors` say where.
 */
export async function build(options: BuildOptions = {}): Promise<string> {
  const { entry = join(import.meta.dir, "src/main.ts"), platform } = options;
  const outDir = options.outDir ?? join(import.meta.dir, "dist");
  const isWindows = platform ? platform.startsWith("windows") : process.platform === "win32";
  const file = join(outDir, `tidewire${platform ? `-${platform}` : ""}${isWindows ? ".exe" : ""}`);
  const { version } = await Bun.file(join(import.meta.dir, "package.json")).json();
  await mkdir(outDir, { recursive: true });
  await Bun.build({
    entrypoints: options.entry === undefined ? [entry, WORKER] : [entry],
    compile: {
      outfile: file,
      // The executable runs in other people's folders: their .env and bunfig.toml are not meant for it.
      autoloadDotenv: false,
      autoloadBunfig: false,
      // Without it no package.json is read: `main` and `exports` of the npm packages that a plugin has
      // beside it would count for nothing, and most would not be found.
      autoloadPackageJson: true,
      ...(platform && { target: PLATFORMS[platform] }),
    },
    // Halves the time to the first request. Top-level await in bytecode needs ESM.
    bytecode: true,
    format: "esm",
    // Names stay: they are what a stack trace and a profile of a user's machine show.
    minify: { whitespace: true, syntax: true, identifiers: false },
    sourcemap: "inline",
    define: { TIDEWIRE_VERSION: JSON.stringify(version), TIDEWIRE_CARRIES_TYPES: "true" },
    // What src/author/carried-types.ts imports in an executable; it is on no disk.
    files: {
      [join(import.meta.dir, "src/author/types.archive")]: await packTypes(),
      [join(import.meta.dir, "src/author/harness/preload.archive")]: await bundlePreload(version),
    },
  });
  // Bun writes the map a second time beside the executable, which already carries it.
  await rm(file.replace(/\.exe$/, "") + ".map", { force: true });
  await rm(join(outDir, "worker.js.map"), { force: true });
  return file;
}

/** One file of all that tests of plugins import: `tidewire plugin test` gives it to the test runner. */
async function bundlePreload(version: string): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(import.meta.dir, "src/author/harness/preload.ts")],
    target: "bun",
    minify: { whitespace: true, syntax: true, identifiers: false },
    define: { TIDEWIRE_VERSION: JSON.stringify(version) },
  });
  return outputs[0]!.text();
}

/**
 * Hashes files in the format of `sha256sum -c`, with names relative to the folder they are in.
 *
 * @returns One line a file, each with its newline.
 */
export async function checksums(files: readonly string[]): Promise<string> {
  const lines = files.map(async (file) => {
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const chunk of Bun.file(file).stream()) hasher.update(chunk);
    return `${hasher.digest("hex")}  ${basename(file)}\n`;
  });
  return (await Promise.all(lines)).join("");
}

async function report(file: string, startedMs: number): Promise<void> {
  const { size } = await stat(file);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${basename(file).padEnd(28)} ${(size / 1e6).toFixed(1)} MB  ${seconds} s`);
}

async function buildAll(): Promise<void> {
  const files: string[] = [];
  for (const platform of Object.keys(PLATFORMS) as Platform[]) {
    const startedMs = performance.now();
    const file = await build({ platform });
    files.push(file);
    await report(file, startedMs);
  }
  await Bun.write(join(import.meta.dir, "dist/SHA256SUMS"), await checksums(files));
}

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== "--all");
  if (unknown !== undefined) {
    console.error(`build: "${unknown}" is not an option of the build\n${USAGE}`);
    return 2;
  }
  try {
    if (args.includes("--all")) await buildAll();
    else {
      const startedMs = performance.now();
      await report(await build(), startedMs);
    }
    return 0;
  } catch (error) {
    const causes = error instanceof AggregateError ? error.errors : [error];
    for (const cause of causes) console.error(Bun.inspect(cause));
    return 1;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
