/** What a plugin gave that can't leave its worker. */
import { HookResultError } from "../errors.ts";
import { kindOf } from "../kind-of.ts";

/** What is said of what posting a message threw: for anything but a value that can't be cloned, that itself. */
export function uncloneable(error: unknown, hook?: string, value?: unknown): unknown {
  if (!(error instanceof DOMException && error.name === "DataCloneError")) return error;
  return new HookResultError(
    hook === undefined
      ? `what the plugin gave can't leave its worker: ${error.message}`
      : `${hook} gave ${kindOf(value)} that can't leave its worker: ${error.message}`,
    "give JSON, text or bytes: no functions, and no objects with a life of their own",
  );
}
