/** Finds the file that a URL path means, and nothing outside the folder that is served. */
import { realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";

export interface StaticFile {
  /** Absolute, with symbolic links resolved. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** The media type. */
  readonly type: string;
  /** Of size and modification time, so weak. */
  readonly etag: string;
}

/**
 * Resolves a URL path below `root`. A folder's own path (`/docs/`) means its `index.html`.
 *
 * @param pathname Percent-encoded. Segments that are empty, or start with a dot, or hold a slash, a
 *   backslash or a NUL once they are decoded, name no file.
 * @returns `"folder"` when the path lacks the slash of a folder that has an `index.html`; null when there
 *   is no such file, or a symbolic link leads out of `root`.
 */
export async function resolveFile(
  root: string,
  pathname: string,
): Promise<StaticFile | "folder" | null> {
  const names = decodePath(pathname);
  if (names === null) return null;
  const file = await findFile(root, join(root, ...names));
  if (file !== "folder") return pathname.endsWith("/") ? null : file;
  const index = await findFile(root, join(root, ...names, "index.html"));
  if (index === null || index === "folder") return null;
  return pathname.endsWith("/") ? index : "folder";
}

/** The names along a path, or null when one is not allowed. A last slash leaves no name. */
function decodePath(pathname: string): string[] | null {
  if (!pathname.startsWith("/")) return null;
  const parts = pathname.slice(1).split("/");
  if (parts.at(-1) === "") parts.pop();
  const names: string[] = [];
  for (const part of parts) {
    let name: string;
    try {
      name = decodeURIComponent(part);
    } catch {
      return null;
    }
    if (name === "" || name.startsWith(".") || /[/\\\0]/.test(name)) return null;
    names.push(name);
  }
  return names;
}

async function findFile(root: string, path: string): Promise<StaticFile | "folder" | null> {
  try {
    const [realRoot, real] = await Promise.all([realpath(root), realpath(path)]);
    if (real !== realRoot && !real.startsWith(realRoot + sep)) return null;
    const stats = await stat(real);
    if (stats.isDirectory()) return "folder";
    // Not a socket, a pipe or a device: reading one might never end.
    if (!stats.isFile()) return null;
    const { size, mtimeMs } = stats;
    const etag = `W/"${size.toString(36)}-${Math.floor(mtimeMs * 1000).toString(36)}"`;
    return { path: real, size, type: Bun.file(path).type, etag };
  } catch {
    return null;
  }
}
