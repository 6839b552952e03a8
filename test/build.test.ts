/** The build: what the executable carries, and what `--all` promises. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { build, checksums, PLATFORMS } from "../build.ts";

const root = join(import.meta.dir, "..");
let directory: string;
let executable: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidewire-build-"));
  const entry = join(directory, "entry.ts");
  // A main program of its own: what is under test is how it is built, not what it does.
  await Bun.write(
    entry,
    `import { VERSION } from ${JSON.stringify(join(root, "src/version.ts"))};
import { definePlugin } from ${JSON.stringify(join(root, "src/plugin/sdk.ts"))};
const name: string = await Promise.resolve(process.argv[2] ?? "none");
function giveUp(reason: string): never {
  throw new Error(reason);
}
if (name === "throw") giveUp("on purpose");
const plugin = definePlugin({ name, setup: () => ({}) });
console.log(JSON.stringify({ VERSION, name: plugin.name, secret: process.env["FROM_DOTENV"] }));
`,
  );
  await Bun.write(join(directory, ".env"), "FROM_DOTENV=leaked\n");
  await Bun.write(join(directory, "bunfig.toml"), 'preload = ["./missing.ts"]\n');
  executable = await build({ entry, outDir: join(directory, "out") });
}, 120_000);

afterAll(() => rm(directory, { recursive: true, force: true }));

function run(command: string[], cwd = directory) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test("build() leaves the executable alone in its folder", () => {
  expect(readdirSync(dirname(executable))).toEqual([basename(executable)]);
});

test("build() carries the version of package.json", async () => {
  const { version } = await Bun.file(join(root, "package.json")).json();
  const { stdout } = run([executable, "first"]);
  expect(JSON.parse(stdout)).toMatchObject({ VERSION: version, name: "first" });
});

test("VERSION is that of package.json when run from source", async () => {
  const { version } = await Bun.file(join(root, "package.json")).json();
  expect((await import("../src/version.ts")).VERSION).toBe(version);
});

test("build() makes an executable that ignores .env and bunfig.toml where it is run", () => {
  const { exitCode, stdout } = run([executable, "second"]);
  expect(exitCode).toBe(0);
  expect(stdout).not.toContain("leaked");
});

test("build() keeps names and lines of the source in a stack trace", () => {
  const { exitCode, stderr } = run([executable, "throw"]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/at giveUp \(.*entry\.ts:5:/);
});

test("build() leaves nothing but the executable in its folder", async () => {
  const files = await Array.fromAsync(new Bun.Glob("*").scan(join(directory, "out")));
  expect(files).toEqual(["tidewire"]);
});

test("build() names the file and line of source that does not bundle", async () => {
  const entry = join(directory, "broken.ts");
  await Bun.write(entry, "const fine = 1;\nimport './nowhere.ts';\nfine;\n");
  const error = await build({ entry, outDir: join(directory, "never") }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(AggregateError);
  expect(Bun.inspect((error as AggregateError).errors[0])).toMatch(/broken\.ts:2:\d+/);
});

test("checksums() is read by sha256sum -c, which notices a changed file", async () => {
  await Bun.write(join(directory, "sums/tidewire-a"), "a".repeat(300_000));
  await Bun.write(join(directory, "sums/tidewire-b.exe"), "");
  const files = ["a", "b.exe"].map((end) => join(directory, `sums/tidewire-${end}`));
  await Bun.write(join(directory, "sums/SHA256SUMS"), await checksums(files));
  const check = ["sha256sum", "--strict", "-c", "SHA256SUMS"];
  expect(run(check, join(directory, "sums"))).toMatchObject({
    exitCode: 0,
    stdout: "tidewire-a: OK\ntidewire-b.exe: OK\n",
  });
  await Bun.write(files[0]!, "b");
  expect(run(check, join(directory, "sums")).exitCode).toBe(1);
});

test("PLATFORMS has linux with both C libraries, macOS and Windows, each for x64 and arm64", () => {
  expect(Object.keys(PLATFORMS).sort()).toEqual(
    ["darwin", "linux", "windows"]
      .flatMap((os) => [`${os}-x64`, `${os}-arm64`])
      .concat("linux-x64-musl", "linux-arm64-musl")
      .sort(),
  );
});

test("npm run build refuses an unknown option with its usage and exit code 2", () => {
  const { exitCode, stderr } = run([process.execPath, join(root, "build.ts"), "--al"], root);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('"--al" is not an option of the build\nusage: npm run build');
});
