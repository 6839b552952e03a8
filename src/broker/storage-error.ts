/** Says what SQLite's errors mean for the operator of a server whose history is in a file. */

/** What is wrong with the broker's file. */
export type StorageProblem =
  | "no-folder"
  | "locked"
  | "read-only"
  | "damaged"
  | "newer"
  | "foreign"
  | "full"
  | "removed"
  | "failed";

/** The broker's file can't be used; the message says which file it is, why, and what would be right. */
export class StorageError extends Error {
  readonly problem: StorageProblem;
  constructor(problem: StorageProblem, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "StorageError";
    this.problem = problem;
  }
}

const ELSEWHERE = `name another file with "path:" of "broker:" in the config`;

/** @param path The file, as messages call it. */
export function explainStorage(error: unknown, path: string): StorageError {
  if (error instanceof StorageError) return error;
  const { name, message, code: given } = error as { name: string; message: string; code?: unknown };
  const code = typeof given === "string" ? given : "";
  const why = `(${code || name}: ${message})`;
  const file = `the broker's file ${path}`;
  const explained = (problem: StorageProblem, text: string) =>
    new StorageError(problem, text, error);
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return explained(
      "locked",
      `${file} is in use by another process ${why}: stop that one, or give each server a file of its own; ${ELSEWHERE}`,
    );
  }
  if (/^SQLITE_(NOTADB|CORRUPT|FORMAT)/.test(code)) {
    return explained(
      "damaged",
      `${file} is no readable database ${why}: put back a copy of it, or move it away and a new one is made, whose channels start anew`,
    );
  }
  if (/^SQLITE_FULL/.test(code) || /^(ENOSPC|EDQUOT)$/.test(code)) {
    return explained("full", `the disk of ${file} is full ${why}: make room`);
  }
  if (/^SQLITE_(READONLY|PERM|AUTH)/.test(code) || /^(EACCES|EPERM|EROFS)$/.test(code)) {
    return explained(
      "read-only",
      `${file} can't be written ${why}: the server's user needs to write the file and its folder`,
    );
  }
  if (/^SQLITE_CANTOPEN/.test(code) || code === "EISDIR") {
    return explained(
      "read-only",
      `${file} can't be opened ${why}: the server's user needs to read and write the file and its folder`,
    );
  }
  return explained("failed", `${file} failed ${why}`);
}

export function noFolder(path: string, folder: string): StorageError {
  return new StorageError(
    "no-folder",
    `the folder ${folder} of the broker's file ${path} does not exist: make it, or ${ELSEWHERE}`,
  );
}

export function newerSchema(path: string, schema: number, known: number): StorageError {
  return new StorageError(
    "newer",
    `the broker's file ${path} was written by a newer Tidewire (its schema is ${schema}, this version knows ${known}): run that version, or ${ELSEWHERE}`,
  );
}

export function foreignFile(path: string): StorageError {
  return new StorageError(
    "foreign",
    `the broker's file ${path} is the database of another program: ${ELSEWHERE}`,
  );
}

export function fileRemoved(path: string): StorageError {
  return new StorageError(
    "removed",
    `the broker's file ${path} was removed or replaced while the server runs: put it back, or start the server again`,
  );
}
