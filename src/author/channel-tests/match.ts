/** Whether a value is what a test expects, and how either is written in a difference. */
import { isDeepStrictEqual } from "node:util";
import type { Expected, ValueType } from "../../config/expected.ts";

/** Equality is by depth; keys of maps may be in any order. */
export function matches(expected: Expected, value: unknown): boolean {
  switch (expected.kind) {
    case "any":
      return true;
    case "value":
      return isDeepStrictEqual(plain(expected.value), plain(value));
    case "type":
      return hasType(expected.type, value);
    case "regex":
      return typeof value === "string" && expected.regex.test(value);
    case "list":
      return (
        Array.isArray(value) &&
        value.length === expected.items.length &&
        expected.items.every((item, i) => matches(item, value[i]))
      );
    case "map":
    case "partial": {
      if (!isMap(value)) return false;
      const isWhole =
        expected.kind === "partial" || Object.keys(value).length === expected.entries.size;
      const { entries } = expected;
      return (
        isWhole &&
        [...entries].every(([key, one]) => Object.hasOwn(value, key) && matches(one, value[key]))
      );
    }
  }
}

/** -0 is 0: YAML and JSON are read as either. */
function plain(value: unknown): unknown {
  return value === 0 ? 0 : value;
}

function hasType(type: ValueType, value: unknown): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isMap(value);
    default:
      return typeof value === type;
  }
}

/** A JSON object: bytes are none. */
export function isMap(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

/** Lines of JSON, without the commas at their ends; bytes as base64. */
export function writeValue(value: unknown): readonly string[] {
  const text: string | undefined = JSON.stringify(
    value,
    (_key, item: unknown) => writable(item),
    2,
  );
  // Within a string there is no line end: a comma that ends a line is between two values.
  return (text ?? String(value)).split("\n").map((line) => line.replace(/,$/, ""));
}

// `JSON.stringify` makes a map with a key for each byte of an array of bytes.
function writable(item: unknown): unknown {
  return item instanceof Uint8Array ? { $base64: item.toBase64() } : item;
}

/** What is expected, as lines of JSON with the matchers as a test has them. */
export function writeExpected(expected: Expected): readonly string[] {
  const { kind } = expected;
  const isShort = kind === "any" || kind === "type" || kind === "regex";
  return isShort ? [JSON.stringify(toValue(expected))] : writeValue(toValue(expected));
}

function toValue(expected: Expected): unknown {
  switch (expected.kind) {
    case "value":
      return expected.value;
    case "any":
      return { $any: true };
    case "type":
      return { $type: expected.type };
    case "regex":
      return { $regex: expected.regex.source };
    case "list":
      return expected.items.map(toValue);
    case "map":
      return toMap(expected.entries);
    case "partial":
      return { $partial: toMap(expected.entries) };
  }
}

function toMap(entries: ReadonlyMap<string, Expected>): Record<string, unknown> {
  return Object.fromEntries(Array.from(entries, ([key, one]) => [key, toValue(one)]));
}
