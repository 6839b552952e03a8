import { Kind } from "@sinclair/typebox";

/** What a value is, in words, as part of a sentence: `an array`, `a t.String`, `missing`. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (value === "") return "empty";
  if (Array.isArray(value)) return "an array";
  if (value instanceof Promise) return "a promise";
  const schema = typeof value === "object" ? (value as { [Kind]?: unknown })[Kind] : undefined;
  if (typeof schema === "string") return `a t.${schema}`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
