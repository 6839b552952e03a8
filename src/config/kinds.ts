/** Kinds of value that a config has beside those of TypeBox: choices, and text that means something. */
import {
  Kind,
  Type as t,
  TypeRegistry,
  type TSchema,
  type TTransform,
  type TUnsafe,
} from "@sinclair/typebox";
import { PatternError } from "../channel/directory.ts";

/** Text that a function turns into a value, or refuses. */
export const PARSED = "Tidewire:Parsed";
/** One of a few words. */
export const CHOICE = "Tidewire:Choice";

/** What messages call a value of this schema: `a channel`, `a duration such as "10m"`. */
export const Noun: unique symbol = Symbol("noun");
/** The function behind a `PARSED` schema. */
export const Parse: unique symbol = Symbol("parse");
/** The code of a mistake in it. */
export const Code: unique symbol = Symbol("code");
/** A map that may be left empty: `lobby:` is `lobby: {}`. */
export const MayBeEmpty: unique symbol = Symbol("may be empty");

/** The keys above are symbols, so that the JSON Schema that is printed does not have them. */
export interface Annotated {
  readonly [Noun]?: string;
  readonly [Parse]?: (text: string) => unknown;
  readonly [Code]?: string;
  readonly [MayBeEmpty]?: boolean;
}

// TypeBox's own way to add kinds. The names are ours, so nobody else's schemas change.
TypeRegistry.Set(PARSED, (schema: Annotated, value) => {
  if (typeof value !== "string") return false;
  try {
    schema[Parse]!(value);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof PatternError) return false;
    throw error;
  }
});
TypeRegistry.Set(CHOICE, (schema: { readonly enum: readonly unknown[] }, value) =>
  schema.enum.includes(value),
);

export interface ParsedOptions {
  readonly noun: string;
  readonly code: string;
  readonly description: string;
  /** For editors: accepts all that `parse` accepts. */
  readonly pattern: string;
  readonly examples: readonly string[];
  readonly default?: string;
}

/** @param parse Throws a `SyntaxError`, `Refusal` or `PatternError` for text that it refuses. */
export function parsed<T>(
  parse: (text: string) => T,
  { noun, code, ...options }: ParsedOptions,
): TTransform<TUnsafe<string>, T> {
  const schema = { [Kind]: PARSED, type: "string", [Parse]: parse, [Noun]: noun, [Code]: code };
  return t
    .Transform(t.Unsafe<string>({ ...schema, ...options }))
    .Decode(parse)
    .Encode(String);
}

export interface ChoiceOptions<T extends string> {
  readonly noun: string;
  readonly description: string;
  readonly default?: NoInfer<T>;
}

export function choice<const T extends string>(
  values: readonly T[],
  { noun, ...options }: ChoiceOptions<T>,
): TUnsafe<T> {
  return t.Unsafe<T>({ [Kind]: CHOICE, type: "string", enum: values, [Noun]: noun, ...options });
}

/** What `schema` carries for messages. */
export function annotationsOf(schema: TSchema): Annotated {
  return schema as Annotated;
}
