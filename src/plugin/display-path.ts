/** How a file is named to a person. */
import { realpathSync } from "node:fs";
import { isAbsolute, relative } from "node:path";

/** A file's path relative to the folder of the config where it is below that, else the absolute path. */
export function displayPath(file: string, directory: string): string {
  return below(file, directory) ?? below(file, realPath(directory)) ?? file;
}

function below(file: string, directory: string): string | null {
  if (!isAbsolute(file)) return file;
  const path = relative(directory, file);
  return path === "" || path.startsWith("..") || isAbsolute(path) ? null : path;
}

/** Bun tells where a file really is; the config may be reached through a link. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
