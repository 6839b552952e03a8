/** What the store of plugins needs of a database: small texts by key. A broker implements it. */

/** Bytes that one use may keep: its keys and values in UTF-8. */
export const MAX_USE_BYTES = 1024 ** 2;

/**
 * Keeps texts by use and key. A use is one plugin in one channel: what others keep is not seen.
 *
 * What is called first happens first. An entry whose time is over is not there any more. Every promise
 * may reject with a `KeyValuesError`; what others ask for goes on then.
 */
export interface KeyValues {
  get(use: string, key: string): Promise<string | undefined>;
  /**
   * Resolves after the commit. MUST refuse, with `full`, what makes a use larger than `MAX_USE_BYTES`.
   *
   * @param expiresAt Milliseconds since the epoch (1970), or null for never.
   */
  set(use: string, key: string, text: string, expiresAt: number | null): Promise<void>;
  /** @returns Whether there was one. */
  delete(use: string, key: string): Promise<boolean>;
  /** Those whose key starts with `prefix`, in order of the keys' UTF-8 bytes. */
  entries(use: string, prefix: string): Promise<[key: string, text: string][]>;
  /** Writes what waits. What is asked for later is refused with `closed`. Never rejects. */
  close(): Promise<void>;
}

/**
 * `full`: the use, or the disk, has no room. `busy`: another process holds the file for too long, or too
 * much waits for it. `damaged`, `newer`: the file is none that this version can read. `refused`: the system lets
 * nobody open or write it. `closed`: the server has stopped.
 */
export type KeyValuesErrorCode = "full" | "busy" | "damaged" | "newer" | "refused" | "closed";

export class KeyValuesError extends Error {
  readonly code: KeyValuesErrorCode;
  constructor(code: KeyValuesErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "KeyValuesError";
    this.code = code;
  }
}

/** The server has stopped: nothing is read or written any more. */
export function storeClosed(): KeyValuesError {
  return new KeyValuesError("closed", "the store is closed: the server has stopped");
}

/** @throws {KeyValuesError} With `full`, when a use may not have so many bytes. */
export function checkUseBytes(bytes: number): void {
  if (bytes <= MAX_USE_BYTES) return;
  throw new KeyValuesError(
    "full",
    `the store of this plugin in this channel would have ${bytes} bytes of keys and values; at most ${MAX_USE_BYTES} (1 MiB) are allowed: delete what is no longer needed, or set it with a ttl`,
  );
}
