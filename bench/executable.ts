/** The executable that is measured: `dist/tidewire`, built anew when the source is newer. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { build } from "../build.ts";

const root = join(import.meta.dir, "..");
let built: Promise<string> | undefined;

/** @returns Absolute path of an executable that is as new as the source. */
export function executable(): Promise<string> {
  return (built ??= upToDate());
}

async function upToDate(): Promise<string> {
  const file = join(root, "dist", process.platform === "win32" ? "tidewire.exe" : "tidewire");
  const builtMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  for (const path of new Bun.Glob("{src,plugins}/**/*").scanSync({ cwd: root, absolute: true })) {
    if (statSync(path).mtimeMs > builtMs) return build();
  }
  for (const name of ["package.json", "build.ts"]) {
    if (statSync(join(root, name)).mtimeMs > builtMs) return build();
  }
  return file;
}
