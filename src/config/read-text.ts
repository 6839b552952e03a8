/** Reads a small text file, and tells in words why it can't be read. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** Thrown by `readText` and `decodeText`: `message` goes on after the file's name. */
export class ReadError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "ReadError";
    this.code = code;
  }
}

/**
 * Reads a file of at most `maxBytes`. Pipes work too; an endless one is given up at the limit.
 *
 * @throws {ReadError} When there is no such file, it is a folder, too large, or can't be read.
 */
export function readBytes(path: string, maxBytes: number): Uint8Array {
  try {
    const fd = openSync(path, "r");
    try {
      const stat = fstatSync(fd);
      if (stat.isDirectory()) throw new ReadError("not-a-file", "is a folder, not a file");
      if (stat.size > maxBytes) throw tooLarge(maxBytes);
      const chunks: Uint8Array[] = [];
      let total = 0;
      for (;;) {
        const chunk = new Uint8Array(64 * 1024);
        const read = readSync(fd, chunk);
        if (read === 0) return Buffer.concat(chunks);
        chunks.push(chunk.subarray(0, read));
        total += read;
        if (total > maxBytes) throw tooLarge(maxBytes);
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof ReadError) throw error;
    throw explain(error as NodeJS.ErrnoException);
  }
}

function tooLarge(maxBytes: number): ReadError {
  const mebibytes = maxBytes / 1024 ** 2;
  return new ReadError("too-large", `is larger than ${mebibytes} MiB`);
}

function explain(error: NodeJS.ErrnoException): ReadError {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") {
    return new ReadError("no-such-file", "does not exist");
  }
  const reasons: Record<string, string> = {
    EACCES: "this user may not read it",
    EPERM: "this user may not read it",
    EISDIR: "it is a folder",
    ELOOP: "its symbolic links go in a circle",
    ENAMETOOLONG: "its name is too long",
  };
  const reason = reasons[error.code ?? ""] ?? error.code ?? error.message;
  return new ReadError("unreadable", `can't be read: ${reason}`);
}

/**
 * Decodes UTF-8, without its byte order mark.
 *
 * @throws {ReadError} When the bytes are no text.
 */
export function decodeText(bytes: Uint8Array): string {
  if (bytes.length >= 2 && (bytes[0]! ^ bytes[1]!) === 1 && bytes[0]! >= 0xfe) {
    throw new ReadError("not-text", "is UTF-16 text; save it as UTF-8");
  }
  const nul = bytes.indexOf(0);
  if (nul !== -1) throw new ReadError("not-text", `is not a text file: byte ${nul + 1} is NUL`);
  const text = new TextDecoder("utf-8").decode(bytes);
  const bad = findBadByte(text, bytes);
  if (bad === null) return text;
  throw new ReadError("not-text", `is not UTF-8 text: byte ${bad + 1} is wrong`);
}

/** Offset of the first byte that is not UTF-8: where the decoder put a U+FFFD that was not there. */
function findBadByte(text: string, bytes: Uint8Array): number | null {
  let offset = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  let from = 0;
  for (;;) {
    const at = text.indexOf("\ufffd", from);
    if (at === -1) return null;
    offset += Buffer.byteLength(text.slice(from, at));
    const isReal =
      bytes[offset] === 0xef && bytes[offset + 1] === 0xbf && bytes[offset + 2] === 0xbd;
    if (!isReal) return offset;
    offset += 3;
    from = at + 1;
  }
}
