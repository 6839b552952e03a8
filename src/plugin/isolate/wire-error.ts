/** Errors on their way from one thread to the other: what arrives is what would have been thrown there. */
import { ResultError } from "../../channel/errors.ts";
import { describe, HookResultError, PluginError, type PluginErrorCode } from "../errors.ts";
import { RefusedError } from "../refused-error.ts";

/** An error as plain data. */
export interface WireError {
  readonly kind: "error" | "result" | "refused" | "plugin" | "timeout" | "value";
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly cause: WireError | null;
  /** Own fields that are strings, numbers or booleans, such as `code`. */
  readonly fields: Readonly<Record<string, string | number | boolean>>;
  /** Of a `HookResultError`. */
  readonly result?: { problem: string; help: string | null; property: string | null };
  /** What was thrown, where it is no error but a simple value. */
  readonly value?: string | number | boolean | null | undefined;
}

export interface Where {
  readonly plugin: string;
  readonly hook: string;
  readonly channel: string;
}

/** Causes of causes that are taken along. */
const MAX_CAUSES = 5;

/** Says that a hook did not end in its time. */
export function timeoutError(message: string): WireError {
  return { kind: "timeout", name: "Error", message, stack: "", cause: null, fields: {} };
}

/** Never throws, whatever was thrown. */
export function toWireError(thrown: unknown, depth = 0): WireError {
  try {
    return thrown instanceof Error ? ofError(thrown, depth) : ofValue(thrown);
  } catch {
    // Such as an error whose own name throws when it is read.
    return { ...timeoutError("an error was thrown that can't be read"), kind: "error" };
  }
}

function ofError(thrown: Error, depth: number): WireError {
  const { cause } = thrown;
  const common = {
    name: textOf(thrown.name),
    message: describe(thrown),
    stack: textOf(thrown.stack),
    cause: cause === undefined || depth >= MAX_CAUSES ? null : toWireError(cause, depth + 1),
    fields: fieldsOf(thrown),
  };
  if (thrown instanceof ResultError) {
    const property = thrown instanceof HookResultError ? thrown.property : null;
    const { problem, help } = thrown;
    return { ...common, kind: "result", result: { problem, help, property } };
  }
  if (thrown instanceof RefusedError) return { ...common, kind: "refused" };
  return { ...common, kind: thrown instanceof PluginError ? "plugin" : "error" };
}

/** Makes the error again; `where` is for those that have to say it. */
export function fromWireError(wire: WireError, where: Where): unknown {
  const { kind, name, message, stack, cause, fields, result } = wire;
  if (kind === "value") return wire.value;
  if (kind === "timeout") return new PluginError("timeout", where, message);
  const from = cause === null ? undefined : fromWireError(cause, where);
  if (kind === "plugin") return new PluginError(fields["code"] as PluginErrorCode, where, from);
  const error =
    kind === "result"
      ? new HookResultError(result!.problem, result!.help, result!.property)
      : kind === "refused"
        ? new RefusedError(message)
        : new (ERRORS.get(name) ?? Error)(message);
  if (error.name !== name) define(error, "name", name);
  define(error, "stack", stack);
  if (cause !== null) define(error, "cause", from);
  for (const [key, value] of Object.entries(fields)) {
    if (!(key in error)) Object.assign(error, { [key]: value });
  }
  return error;
}

const ERRORS: ReadonlyMap<string, new (message: string) => Error> = new Map(
  [TypeError, RangeError, SyntaxError, ReferenceError, URIError, EvalError].map((each) => [
    each.name,
    each,
  ]),
);

function ofValue(value: unknown): WireError {
  const isSimple =
    value === null || !["object", "function", "symbol", "bigint"].includes(typeof value);
  return {
    kind: isSimple ? "value" : "error",
    name: "Error",
    message: describe(value),
    stack: "",
    cause: null,
    fields: {},
    ...(isSimple && { value: value as string | number | boolean | null | undefined }),
  };
}

function fieldsOf(error: Error): Record<string, string | number | boolean> {
  const fields: Record<string, string | number | boolean> = {};
  for (const key of Object.keys(error)) {
    const value: unknown = Reflect.get(error, key);
    if (["string", "number", "boolean"].includes(typeof value)) fields[key] = value as string;
  }
  return fields;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function define(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, {
    value,
    configurable: true,
    writable: true,
    enumerable: false,
  });
}
