import { expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "./project-root.ts";

/** Where the root is for `a/b/c`, below a folder with these files; "" for the folder itself. */
async function rootOf(...files: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-root-"));
  try {
    await mkdir(join(folder, "a/b/c"), { recursive: true });
    await Bun.write(join(folder, ".git/config"), "");
    for (const file of files) await Bun.write(join(folder, file), "");
    return (await projectRoot(join(folder, "a/b/c"))).slice(folder.length + 1);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("projectRoot() is the folder of the config, though there is a package.json nearer", async () => {
  expect(await rootOf("a/tidewire.yaml", "a/b/package.json", "a/b/c/tsconfig.json")).toBe("a");
  expect(await rootOf("a/b/.tidewire/version", "tidewire.yaml")).toBe("a/b");
});

test("projectRoot() is the nearest project where there is no config", async () => {
  expect(await rootOf("a/b/tsconfig.json", "a/package.json")).toBe("a/b");
  expect(await rootOf()).toBe("a/b/c");
});

test("projectRoot() passes a folder that only has packages of plugins", async () => {
  const packages = ["a/b/package.json", "a/b/.tidewire/sdk/package.json"];
  expect(await rootOf("tidewire.yaml", ...packages)).toBe("");
});

test("projectRoot() does not leave the Git repository", async () => {
  expect(await rootOf("tidewire.yaml", "a/.git", "a/b/package.json")).toBe("a/b");
  expect(await rootOf("tidewire.yaml", "a/.git")).toBe("a/b/c");
});
