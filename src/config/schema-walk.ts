/** Which part of a TypeBox schema a node is checked against. */
import { Kind, type TSchema } from "@sinclair/typebox";
import type { Node } from "./node.ts";

type Shape = "map" | "list" | "scalar" | "any";

/** The alternatives of a union, of unions within it too; of anything else the schema itself. */
export function alternativesOf(schema: TSchema): readonly TSchema[] {
  return schema[Kind] === "Union"
    ? (schema["anyOf"] as TSchema[]).flatMap(alternativesOf)
    : [schema];
}

/** The alternative that a node was probably meant for: of its shape, with the most of its keys. */
export function alternativeFor(schema: TSchema, node: Node): TSchema | null {
  let [best, most] = [null as TSchema | null, -1];
  for (const alternative of alternativesOf(schema)) {
    const shape = shapeOf(alternative);
    if (shape !== "any" && shape !== node.kind) continue;
    const known = node.kind === "map" ? countKnownKeys(alternative, [...node.entries.keys()]) : 0;
    if (known > most) [best, most] = [alternative, known];
  }
  return best;
}

function shapeOf(schema: TSchema): Shape {
  switch (schema[Kind]) {
    case "Object":
    case "Record":
      return "map";
    case "Array":
    case "Tuple":
      return "list";
    case "Unknown":
    case "Any":
    case "Intersect":
    case "Ref":
    case "This":
    case "Import":
      return "any";
    default:
      return "scalar";
  }
}

function countKnownKeys(schema: TSchema, keys: readonly string[]): number {
  const known = propertiesOf(schema);
  return keys.filter((key) => Object.hasOwn(known, key)).length;
}

export function propertiesOf(schema: TSchema): Readonly<Record<string, TSchema>> {
  return (schema["properties"] as Record<string, TSchema> | undefined) ?? {};
}

/** The schema of one key of a map, or null when nothing is said of it. */
export function schemaOfKey(schema: TSchema, key: string): TSchema | null {
  const properties = propertiesOf(schema);
  if (Object.hasOwn(properties, key)) return properties[key]!;
  for (const [pattern, inner] of Object.entries((schema["patternProperties"] ?? {}) as object)) {
    if (new RegExp(pattern).test(key)) return inner as TSchema;
  }
  const rest: unknown = schema["additionalProperties"];
  return typeof rest === "object" && rest !== null ? (rest as TSchema) : null;
}

/** The schema of one item of a list, or null. */
export function schemaOfItem(schema: TSchema, index: number): TSchema | null {
  const items: unknown = schema["items"];
  if (Array.isArray(items)) return (items[index] as TSchema | undefined) ?? null;
  return (items as TSchema | undefined) ?? null;
}

/** Whether only text can be right: a number that was filled in is then its letters. */
export function wantsText(schema: TSchema): boolean {
  const scalars = alternativesOf(schema).filter(
    (alternative) => shapeOf(alternative) !== "map" && shapeOf(alternative) !== "list",
  );
  return scalars.length > 0 && scalars.every(isText);
}

function isText(schema: TSchema): boolean {
  return schema["type"] === "string";
}
