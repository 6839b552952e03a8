/** Says what SQLite's errors mean for somebody who keeps values in a file. */
import { KeyValuesError } from "../channel/key-values.ts";

/** Another process writes. */
export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error));
}

/** The open database is of no use any more, whatever is done about the file. */
export function isBroken(error: unknown): boolean {
  return /^SQLITE_(NOTADB|CORRUPT|IOERR|CANTOPEN|READONLY)/.test(codeOf(error));
}

/**
 * @param file What messages call the database.
 * @param busyMs How long was waited for another process.
 */
export function explainSqlite(error: unknown, file: string, busyMs: number): unknown {
  if (error instanceof KeyValuesError || !(error instanceof Error)) return error;
  const code = codeOf(error);
  const why = `(${code || error.name}: ${error.message})`;
  const explained = (kind: KeyValuesError["code"], message: string) =>
    new KeyValuesError(kind, message, error);
  if (isBusy(error)) {
    return explained(
      "busy",
      `the store ${file} was locked by another process for ${busyMs / 1000} s; try again, or give each server a store of its own`,
    );
  }
  if (/^SQLITE_(NOTADB|CORRUPT)/.test(code)) {
    return explained(
      "damaged",
      `the store ${file} is no readable database ${why}: put back a copy of it, or move it away and a new one is made`,
    );
  }
  if (code === "SQLITE_FULL" || code === "ENOSPC" || code === "EDQUOT") {
    return explained("full", `the disk of the store ${file} is full ${why}: make room`);
  }
  if (/^SQLITE_(READONLY|PERM|AUTH)/.test(code) || /^(EACCES|EPERM|EROFS)$/.test(code)) {
    return explained(
      "refused",
      `the store ${file} can't be written ${why}: the server's user needs to write the file and its folder`,
    );
  }
  if (/^SQLITE_CANTOPEN/.test(code) || /^E[A-Z]+$/.test(code)) {
    return explained(
      "refused",
      `the store ${file} can't be opened ${why}: its folder has to be one that the server's user can write`,
    );
  }
  return explained("refused", `the store ${file} failed ${why}`);
}

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as { code?: unknown }).code : null;
  return typeof code === "string" ? code : "";
}
