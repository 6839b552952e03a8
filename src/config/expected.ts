/** A value as a test expects it: written as it is, or described by a matcher such as `{ $type: number }`. */
import { suggest } from "../suggest.ts";
import { quoteText } from "../diagnostic/visible-text.ts";
import { asText, type MapNode, type Node } from "./node.ts";
import type { Problems } from "./problems.ts";
import { readValue } from "./read-value.ts";

/** What a value has to be. */
export type Expected =
  /** Equal, by depth. */
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "map"; readonly entries: ReadonlyMap<string, Expected> }
  | { readonly kind: "list"; readonly items: readonly Expected[] }
  /** A map that has these, and maybe others. */
  | { readonly kind: "partial"; readonly entries: ReadonlyMap<string, Expected> }
  | { readonly kind: "any" }
  | { readonly kind: "type"; readonly type: ValueType }
  | { readonly kind: "regex"; readonly regex: RegExp };

const VALUE_TYPES = ["string", "number", "integer", "boolean", "null", "object", "array"] as const;

export type ValueType = (typeof VALUE_TYPES)[number];

/** What a map with one key may say in place of a value, and what stands behind it. */
const MATCHERS: Readonly<Record<string, string>> = {
  $any: `"{ $any: true }" is any value`,
  $type: `"{ $type: number }" is any value of a type`,
  $regex: `"{ $regex: ^a }" is text that the expression finds something in`,
  $partial: `"{ $partial: { a: 1 } }" is a map that may have other keys too`,
  $literal: `"{ $literal: … }" is what stands there, with no matcher in it`,
};

const ANY: Expected = { kind: "any" };

/** @returns The expectation; what is wrong with it is reported, and is then any value. */
export function readExpected(node: Node, problems: Problems): Expected {
  if (node.kind === "broken") return ANY;
  if (node.kind === "scalar") return { kind: "value", value: node.value };
  if (node.kind === "list") {
    return { kind: "list", items: node.items.map((item) => readExpected(item, problems)) };
  }
  const [first] = [...node.entries.keys()].filter((key) => key.startsWith("$"));
  if (first === undefined) return { kind: "map", entries: readEntries(node, problems) };
  return readMatcher(first, node, problems);
}

function readEntries(node: MapNode, problems: Problems): ReadonlyMap<string, Expected> {
  return new Map(
    Array.from(node.entries, ([key, { value }]) => [key, readExpected(value, problems)]),
  );
}

function readMatcher(name: string, node: MapNode, problems: Problems): Expected {
  const { key, value } = node.entries.get(name)!;
  const names = Object.keys(MATCHERS);
  if (!names.includes(name)) {
    const help =
      suggest(name, names) ??
      `they are ${names.join(", ")}; data that has such a key stands in $literal`;
    problems.report("bad-matcher", key, `${quoteText(name)} is not a matcher`, help);
    return ANY;
  }
  const other = [...node.entries].find(([key]) => key !== name);
  if (other) {
    const message = `a matcher stands alone: ${quoteText(other[0])} is beside ${name}`;
    problems.report(
      "bad-matcher",
      other[1].key,
      message,
      `put it into the map of $partial, or into $literal`,
    );
    return ANY;
  }
  return read(name, value) ?? refuse();

  function read(matcher: string, value: Node): Expected | null {
    switch (matcher) {
      case "$any":
        return value.kind === "scalar" && value.value === true ? ANY : null;
      case "$type": {
        const type = VALUE_TYPES.find((type) => type === typeText(value));
        return type ? { kind: "type", type } : null;
      }
      case "$regex":
        return readRegex(value, problems);
      case "$partial":
        return value.kind === "map" && ![...value.entries.keys()].some((key) => key in MATCHERS)
          ? { kind: "partial", entries: readEntries(value, problems) }
          : null;
      default:
        return { kind: "value", value: readValue(value) };
    }
  }

  function refuse(): Expected {
    if (value.kind === "broken") return ANY;
    const types = name === "$type" ? `; the types are ${VALUE_TYPES.join(", ")}` : "";
    problems.report(
      "bad-matcher",
      value.span,
      `this is not what ${name} takes`,
      `${MATCHERS[name]}${types}`,
    );
    return ANY;
  }
}

/** `null` is the type of that name, though YAML reads nothing. */
function typeText(node: Node): string | null {
  return node.kind === "scalar" && node.value === null ? node.text : (asText(node)?.value ?? null);
}

function readRegex(node: Node, problems: Problems): Expected | null {
  const text = asText(node);
  if (!text) return null;
  try {
    return { kind: "regex", regex: new RegExp(text.value, "u") };
  } catch (error) {
    const reason = (error as Error).message.replace(/^Invalid regular expression: /, "");
    problems.report("bad-matcher", node.span, `this is no regular expression: ${reason}`);
    return ANY;
  }
}
