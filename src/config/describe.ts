/** Words for what a schema wants and for what stands in the file. */
import { Kind, type TSchema } from "@sinclair/typebox";
import { DURATION_PATTERN } from "../units.ts";
import { annotationsOf, CHOICE, Noun } from "./kinds.ts";
import type { Node } from "./node.ts";
import { alternativesOf } from "./schema-walk.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

/** `a whole number`, `text`, `one of "a", "b"`. */
export function describeSchema(schema: TSchema): string {
  if (schema[Kind] === CHOICE) return oneOf(schema["enum"] as string[]);
  const noun = annotationsOf(schema)[Noun];
  if (noun && schema[Kind] !== "Object") return noun;
  switch (schema[Kind]) {
    case "Object":
    case "Record":
      return "a map";
    case "Array":
    case "Tuple":
      return "a list";
    case "String":
      if (schema["pattern"] === DURATION_PATTERN) return `a duration such as "10s"`;
      return "text";
    case "TemplateLiteral":
      return "text";
    case "Number":
      return "a number";
    case "Integer":
      return "a whole number";
    case "Boolean":
      return "true or false";
    case "Null":
      return "nothing";
    case "Literal":
      return describeLiteral(schema["const"]);
    case "Union": {
      const literals = literalsOf(schema);
      if (literals) return oneOf(literals);
      return alternativesOf(schema).map(describeSchema).join(" or ");
    }
    default:
      return schema.description ?? "another value";
  }
}

/** The values of a union of literals, or of a choice; null for other schemas. */
export function literalsOf(schema: TSchema): readonly unknown[] | null {
  if (schema[Kind] === CHOICE) return schema["enum"] as string[];
  const alternatives = alternativesOf(schema);
  const areLiterals = alternatives.every((alternative) => alternative[Kind] === "Literal");
  return areLiterals ? alternatives.map((literal): unknown => literal["const"]) : null;
}

function oneOf(values: readonly unknown[]): string {
  const words = values.map(describeLiteral);
  return words.length === 1 ? words[0]! : `one of ${words.join(", ")}`;
}

function describeLiteral(value: unknown): string {
  return typeof value === "string" ? quoteText(value) : String(value);
}

/** `the text "abc"`, `the number 5`, `a list`. What came from outside is named, not shown. */
export function describeNode(node: Node): string {
  if (node.kind === "map" || node.kind === "list") return `a ${node.kind}`;
  if (node.kind === "broken") return "nothing";
  const { value, origin } = node;
  if (value === null) return origin ? `nothing: ${origin} is empty` : "nothing";
  const type = typeof value === "string" ? "text" : typeof value;
  if (origin) return `the ${type} of ${origin}`;
  if (typeof value === "string") return `the text ${quoteText(value)}`;
  return typeof value === "number" ? `the number ${node.text}` : String(value);
}

/** The value for a message, text in quotes; what came from outside the file is named instead. */
export function showValue(node: Node): string {
  if (node.kind !== "scalar") return describeNode(node);
  if (node.origin) return `the value of ${node.origin}`;
  return typeof node.value === "string" ? quoteText(node.text) : node.text || "nothing";
}
