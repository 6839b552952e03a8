/** Checks a node against a TypeBox schema and reports everything that does not fit. */
import type { TSchema } from "@sinclair/typebox";
import { ValueErrorType, type ValueError } from "@sinclair/typebox/errors";
import { Value } from "@sinclair/typebox/value";
import { explain, type Subject } from "./explain.ts";
import { readValue } from "./read-value.ts";

/** @returns The value with its defaults. It is right only if nothing was reported. */
export function checkShape(schema: TSchema, subject: Subject): unknown {
  const value = readValue(subject.root, schema);
  const told = new Set<string>();
  for (const error of Value.Errors(schema, value)) {
    if (told.has(error.path) && !isKeyError(error)) continue;
    told.add(error.path);
    explain(error, subject);
  }
  return value;
}

/** The first error of a value is enough; of a map's keys all are told. */
function isKeyError({ type }: ValueError): boolean {
  return (
    type === ValueErrorType.ObjectAdditionalProperties ||
    type === ValueErrorType.ObjectRequiredProperty
  );
}
