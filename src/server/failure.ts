/** What the log says of an error that stopped a start, or that nobody caught. */
import { StorageError } from "../broker/storage-error.ts";
import { failureFields } from "../plugin/error-fields.ts";
import { ListenError } from "./listen-error.ts";

/** The fields of the line: with the author's own line of source, where a plugin is to blame. */
export function startFailureFields(error: unknown, directory: string): Record<string, unknown> {
  // A stack is of use where a plugin failed, not where a port is taken or a disk is full.
  const isPlain = error instanceof ListenError || error instanceof StorageError;
  return isPlain ? {} : failureFields(error, directory);
}

export { failureFields as strayFields } from "../plugin/error-fields.ts";
