/** Runs the tests of plugins with the test runner that the executable carries. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { runBun } from "./bun-command.ts";

/** Put in place by build.ts. */
declare const TIDEWIRE_CARRIES_TYPES: boolean | undefined;

export interface RunTestsOptions {
  /** Absolute path of the folder that the tests run in. */
  readonly root: string;
  /** Absolute paths of test files, and of folders to look for them in; none looks in all of `root`. */
  readonly paths: readonly string[];
  /** Runs them again whenever they, or what they import, are changed. */
  readonly watch: boolean;
  /** Only the tests whose name matches this regular expression. */
  readonly name: string | null;
}

/** There is nothing to run; the message says where was looked. */
export class NoTestsError extends Error {
  override readonly name = "NoTestsError";
}

/** What is a test's file. */
const PATTERN = "**/*.test.{ts,tsx}";

/**
 * Runs tests to their end, showing what the runner writes.
 *
 * @returns The runner's exit code: 0, or 1 when a test failed.
 * @throws {NoTestsError}
 */
export async function runTests({ root, paths, watch, name }: RunTestsOptions): Promise<number> {
  const files = await findTests(root, paths);
  await using folder = await runnerFolder();
  // A plugin runs in a server, which reads no `.env` and no bunfig.toml: nor do its tests.
  const args = ["test", `--config=${folder.bunfig}`, "--no-env-file", "--preload", folder.preload];
  if (watch) args.push("--watch");
  if (name !== null) args.push("--test-name-pattern", name);
  // A path that starts with a dot is that file alone; any other word would be part of a name.
  args.push(...files.map((file) => `./${file}`));
  return (await runBun(args, { cwd: root, stdio: "inherit" })).code;
}

/**
 * @returns Paths relative to `root`, with `/`, sorted.
 * @throws {NoTestsError} When a path is not there, or there is no test.
 */
async function findTests(root: string, paths: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const at of paths.length > 0 ? paths : [root]) {
    const stats = await stat(at).catch(() => null);
    if (!stats) throw new NoTestsError(`there is no file or folder ${at}`);
    if (stats.isFile()) found.add(at);
    else for await (const file of new Bun.Glob(PATTERN).scan(at)) found.add(join(at, file));
  }
  const files = [...found]
    .map((file) => relative(root, file).replaceAll("\\", "/"))
    .filter((file) => !file.split("/").includes("node_modules"))
    .toSorted();
  if (files.length > 0) return files;
  const where = paths.length > 0 ? paths.join(", ") : root;
  throw new NoTestsError(
    `no tests in ${where}; a test is a file such as plugins/round.test.ts, which imports { test, expect } from "bun:test" and { start } from "tidewire/testing"`,
  );
}

interface RunnerFolder extends AsyncDisposable {
  readonly preload: string;
  /** Says nothing: given to the runner, it reads no other. */
  readonly bunfig: string;
}

/** What the runner needs on disk; it goes when the tests have ended. */
async function runnerFolder(): Promise<RunnerFolder> {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-test-"));
  const bunfig = join(folder, "bunfig.toml");
  await Bun.write(bunfig, "");
  return {
    preload: await preloadFile(folder),
    bunfig,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** From source the file itself; in the executable a copy on disk. */
async function preloadFile(folder: string): Promise<string> {
  if (typeof TIDEWIRE_CARRIES_TYPES !== "boolean") {
    return join(import.meta.dir, "harness/preload.ts");
  }
  const { default: carried } = await import("./harness/preload.archive", {
    with: { type: "file" },
  });
  const path = join(folder, "tidewire-testing.js");
  await Bun.write(path, Bun.file(carried));
  return path;
}
