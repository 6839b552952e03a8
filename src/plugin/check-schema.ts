/** Finds what was put into a plugin's options and is no schema: `t.Object({ decimals: Number })`. */
import { Kind, type TSchema } from "@sinclair/typebox";
import { kindOf } from "./kind-of.ts";

export interface NoSchema {
  /** The option's own name. */
  readonly option: string;
  readonly message: string;
}

/** Schemas within schemas that are looked into. */
const MAX_DEPTH = 16;

/** The first option that is no schema, or is made of one, or null. */
export function findNoSchema(schema: TSchema, path = "", depth = 0): NoSchema | null {
  const properties = schema["properties"] as Readonly<Record<string, unknown>> | undefined;
  for (const [option, part] of Object.entries(properties ?? {})) {
    const name = `${path}${option}`;
    if (!isSchema(part)) return { option, message: `option "${name}" is ${kindOf(part)}` };
    const inner = depth < MAX_DEPTH ? findWithin(part, option, name, depth + 1) : null;
    if (inner) return inner;
  }
  return null;
}

function findWithin(schema: TSchema, option: string, name: string, depth: number): NoSchema | null {
  const { items, anyOf, allOf } = schema as Readonly<Record<string, unknown>>;
  const parts = [items, anyOf, allOf].flatMap((each) => (each === undefined ? [] : each));
  for (const part of parts) {
    if (!isSchema(part)) return { option, message: `option "${name}" is made of ${kindOf(part)}` };
    const inner = depth < MAX_DEPTH ? findWithin(part, option, name, depth + 1) : null;
    if (inner) return inner;
  }
  return findNoSchema(schema, `${name}.`, depth);
}

/** `Kind` is in the symbol registry: a schema made by another copy of TypeBox has it too. */
export function isSchema(value: unknown): value is TSchema {
  return typeof value === "object" && value !== null && Kind in value;
}
