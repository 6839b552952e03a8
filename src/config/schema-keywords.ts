/** Finds keywords that JSON Schema does not have, and broken regular expressions. */
import type { Ajv } from "ajv";
import type { Ajv2020 } from "ajv/dist/2020.js";
import { showValue } from "./describe.ts";
import { asText, locate, type Node, type TextNode } from "./node.ts";
import type { Problems, Span } from "./problems.ts";
import { suggest } from "../suggest.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

/** Keywords whose value is a map of names to schemas, and those whose value is a schema or a list of them. */
const MAPS = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const SCHEMAS = [
  ...["items", "prefixItems", "additionalItems", "additionalProperties", "unevaluatedItems"],
  ...["unevaluatedProperties", "contains", "propertyNames", "not", "if", "then", "else"],
  ...["allOf", "anyOf", "oneOf"],
];
/** Keywords without a rule of their own in Ajv. */
const PASSIVE = [
  "$schema",
  "$id",
  "$ref",
  "$anchor",
  "$defs",
  "$comment",
  "$vocabulary",
  "$dynamicRef",
];
const NAMES = [
  ...PASSIVE,
  ...[
    "$dynamicAnchor",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
  ],
  ...[
    "writeOnly",
    "contentMediaType",
    "contentEncoding",
    "contentSchema",
    "if",
    "then",
    "else",
    "type",
    "enum",
  ],
  ...[
    "const",
    "format",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
  ],
  ...[
    "exclusiveMaximum",
    "multipleOf",
    "required",
    "minProperties",
    "maxProperties",
    "dependentRequired",
  ],
  ...["minItems", "maxItems", "uniqueItems", "minContains", "maxContains", ...MAPS, ...SCHEMAS],
];

/** Unknown keywords and broken regular expressions: Ajv stops at the first, and does not say where it is. */
export function checkKeywords(
  schema: Node,
  root: Node,
  ajv: Ajv | Ajv2020,
  problems: Problems,
): void {
  if (schema.kind === "list") {
    for (const item of schema.items) checkKeywords(item, root, ajv, problems);
  }
  if (schema.kind !== "map") return;
  for (const [keyword, { key, value }] of schema.entries) {
    if (keyword === "$async" || (!NAMES.includes(keyword) && ajv.getKeyword(keyword) === false)) {
      const help = suggest(keyword, NAMES) ?? "a note of yours goes into $comment";
      problems.report(
        "bad-schema",
        key,
        `${quoteText(keyword)} is not a keyword of JSON Schema`,
        help,
      );
    }
    if (keyword === "pattern") {
      checkExpression(asText(value)?.value ?? "", value.span, showValue(value), problems);
    }
    if (keyword === "format") checkFormat(asText(value), ajv, problems);
    if (keyword === "$ref") checkReference(asText(value), root, problems);
    if (keyword === "patternProperties" && value.kind === "map") {
      for (const [name, entry] of value.entries)
        checkExpression(name, entry.key, quoteText(name), problems);
    }
    if (SCHEMAS.includes(keyword)) checkKeywords(value, root, ajv, problems);
    if (!MAPS.includes(keyword) || value.kind !== "map") continue;
    for (const named of value.entries.values()) checkKeywords(named.value, root, ajv, problems);
  }
}

function checkExpression(text: string, span: Span, shown: string, problems: Problems): void {
  try {
    new RegExp(text, "u");
  } catch {
    problems.report("bad-schema", span, `${shown} is not a regular expression`);
  }
}

function checkFormat(node: TextNode | null, ajv: Ajv | Ajv2020, problems: Problems): void {
  if (!node || Object.hasOwn(ajv.formats, node.value)) return;
  const help = node.origin ? null : suggest(node.value, Object.keys(ajv.formats));
  const message = `${showValue(node)} is not a format that this version knows`;
  problems.report("bad-schema", node.span, message, help);
}

/** A pointer within the schema itself (RFC 6901 §6). */
function checkReference(node: TextNode | null, root: Node, problems: Problems): void {
  if (!node?.value.startsWith("#/")) return;
  let pointer = node.value.slice(1);
  try {
    pointer = decodeURIComponent(pointer);
  } catch {
    // Then it leads nowhere as it is.
  }
  if (locate(root, pointer).missing.length === 0) return;
  problems.report("bad-schema", node.span, `${showValue(node)} leads to nothing in this schema`);
}
