/** Checks what the shape of `broker:` and `store:` can't say: keys that mean nothing, paths of folders. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { showValue } from "./describe.ts";
import { textAt, type Node } from "./node.ts";
import type { Problems } from "./problems.ts";

/** Where something is kept: what `use` is when it is left out, and an example of a file. */
interface Place {
  readonly key: "broker" | "store";
  readonly use: "memory" | "sqlite";
  readonly example: string;
}

const PLACES: readonly Place[] = [
  { key: "broker", use: "memory", example: "tidewire.db" },
  { key: "store", use: "sqlite", example: "store.db" },
];

/** @param directory Absolute path of the folder that the config is in. */
export function checkStore(root: Node, directory: string, problems: Problems): void {
  for (const place of PLACES) checkPlace(place, root, directory, problems);
}

function checkPlace(
  { key, use, example }: Place,
  root: Node,
  directory: string,
  problems: Problems,
) {
  const isMemory = (textAt(root, key, "use")?.value ?? use) === "memory";
  for (const name of ["path", "durability"]) {
    const written = textAt(root, key, name);
    if (!isMemory || !written?.value) continue;
    const message = `"${name}" means nothing to a ${key} in memory`;
    problems.report("unused-path", written.span, message, `leave it out, or write "use: sqlite"`);
  }
  const path = textAt(root, key, "path");
  if (isMemory || !path?.value) return;
  const file = resolve(directory, path.value);
  if (!/[/\\]$/.test(path.value) && !statSync(file, { throwIfNoEntry: false })?.isDirectory()) {
    return;
  }
  const message = `${showValue(path)} is a folder, not a file`;
  problems.report("bad-path", path.span, message, `name the file, such as "${example}" in it`);
}
