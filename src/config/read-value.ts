/** Turns nodes into plain values, in the light of the schema that they will be checked against. */
import { type TSchema } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { annotationsOf, MayBeEmpty } from "./kinds.ts";
import type { Node } from "./node.ts";
import {
  alternativeFor,
  propertiesOf,
  schemaOfItem,
  schemaOfKey,
  wantsText,
} from "./schema-walk.ts";

/**
 * The value that a node means. Keys with a default are filled in; where text is wanted, an
 * interpolation is text even if it looks like a number; a broken node is `undefined`.
 */
export function readValue(node: Node, schema: TSchema | null = null): unknown {
  if (node.kind === "broken") return undefined;
  if (node.kind === "scalar") {
    if (schema && node.value === null && !node.isFilled && annotationsOf(schema)[MayBeEmpty]) {
      return fillDefaults({}, schema);
    }
    return node.isFilled && schema && wantsText(schema) ? node.text : node.value;
  }
  const inner = schema && alternativeFor(schema, node);
  if (node.kind === "list") {
    return node.items.map((item, i) => readValue(item, inner && schemaOfItem(inner, i)));
  }
  const value: Record<string, unknown> = {};
  for (const [key, entry] of node.entries) {
    setOwn(value, key, readValue(entry.value, inner && schemaOfKey(inner, key)));
  }
  return inner ? fillDefaults(value, inner) : value;
}

// `Value.Default` leaves the values of a Record alone unless their schema has a default itself,
// so each map is filled in as it is read.
function fillDefaults(value: Record<string, unknown>, schema: TSchema): Record<string, unknown> {
  for (const [key, property] of Object.entries(propertiesOf(schema))) {
    if (Object.hasOwn(value, key) || !("default" in property)) continue;
    setOwn(value, key, Value.Default(property, Value.Clone(property.default)));
  }
  return value;
}

/** Assigning to `__proto__` would change what the object is. */
function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}
