/** Checks what the shape of `store:` can't say: a path where nothing is written, or that is a folder. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { showValue } from "./describe.ts";
import { textAt, type Node } from "./node.ts";
import type { Problems } from "./problems.ts";

/** @param directory Absolute path of the folder that the config is in. */
export function checkStore(root: Node, directory: string, problems: Problems): void {
  const path = textAt(root, "store", "path");
  if (!path?.value) return;
  if (textAt(root, "store", "use")?.value === "memory") {
    const message = `"path" means nothing to a store in memory`;
    problems.report("unused-path", path.span, message, `leave it out, or write "use: sqlite"`);
    return;
  }
  const file = resolve(directory, path.value);
  if (!/[/\\]$/.test(path.value) && !statSync(file, { throwIfNoEntry: false })?.isDirectory()) {
    return;
  }
  const message = `${showValue(path)} is a folder, not a file`;
  problems.report("bad-path", path.span, message, `name the file, such as "store.db" in it`);
}
