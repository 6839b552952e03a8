/** Prints the config's spec as JSON Schema, which gives an editor completion, descriptions and checks. */
import { Kind, type TSchema } from "@sinclair/typebox";
import { literalsOf } from "./describe.ts";
import { annotationsOf, MayBeEmpty } from "./kinds.ts";
import { alternativesOf, propertiesOf } from "./schema-walk.ts";
import { PluginSpec } from "./spec-plugin.ts";
import { ConfigSpec } from "./spec.ts";
import { TestsFileSpec } from "./spec-tests.ts";
import { strict } from "./strict.ts";

export type JsonSchema = { readonly [keyword: string]: unknown };

/** An interpolation may stand for any scalar: what it becomes is known when the server starts. */
const INTERPOLATION: JsonSchema = { type: "string", pattern: "\\$\\{" };
/** Draft 07 is what editors know best (yaml-language-server reads no later one in full). */
const DRAFT = "http://json-schema.org/draft-07/schema#";
const A_PACKAGE = "^npm:(@[^@/\\s]+/)?[^@/\\s]+(/[^\\s]+)?$";
const A_PATH = "^(\\.{0,2}/|\\.{1,2}\\\\|[A-Za-z]:\\\\)";

/**
 * @param plugins Options of the plugins that ship, by name. With them, other bare names are refused and
 *   the options under `with:` are checked.
 */
export function configJsonSchema(
  plugins: Readonly<Record<string, TSchema | null>> = {},
): JsonSchema {
  const schema = emit(ConfigSpec, (part) => (part === PluginSpec ? emitPlugin(plugins) : null));
  return { $schema: DRAFT, ...schema };
}

/** Of the file of tests beside a config. */
export function testsJsonSchema(): JsonSchema {
  return { $schema: DRAFT, ...emit(TestsFileSpec, () => null) };
}

/** Writes something else in place of a part, or leaves it (null). */
type Replace = (part: TSchema) => JsonSchema | null;

function emit(schema: TSchema, replace: Replace): JsonSchema {
  const replaced = replace(schema);
  if (replaced) return replaced;
  // Without the symbols of TypeBox and of ours.
  const plain: Record<string, unknown> = Object.fromEntries(Object.entries(schema));
  switch (schema[Kind]) {
    case "Object":
      return orNothing(schema, emitObject(plain, schema, replace));
    case "Record": {
      const [inner] = Object.values(plain["patternProperties"] as Record<string, TSchema>);
      const { patternProperties: _, ...rest } = plain;
      return orNothing(schema, { ...rest, additionalProperties: emit(inner!, replace) });
    }
    case "Array":
      return { ...plain, items: emit(plain["items"] as TSchema, replace) };
    case "Union": {
      const literals = literalsOf(schema);
      const { anyOf: _, ...notes } = plain;
      if (literals) return emitScalar({ ...notes, enum: literals });
      const alternatives = alternativesOf(schema).map((one) => emit(one, replace));
      return { ...plain, anyOf: alternatives };
    }
    case "Intersect":
    case "Unknown":
    case "Any":
      return plain;
    default:
      return emitScalar(plain);
  }
}

function orNothing(schema: TSchema, emitted: JsonSchema): JsonSchema {
  return annotationsOf(schema)[MayBeEmpty] ? { ...emitted, type: ["object", "null"] } : emitted;
}

function emitObject(plain: Record<string, unknown>, schema: TSchema, replace: Replace): JsonSchema {
  const properties = propertiesOf(schema);
  const required = ((plain["required"] ?? []) as string[]).filter(
    (key) => !("default" in properties[key]!),
  );
  const { required: _, ...rest } = plain;
  return {
    ...rest,
    properties: Object.fromEntries(
      Object.entries(properties).map(([key, inner]) => [key, emit(inner, replace)]),
    ),
    ...(required.length > 0 ? { required } : {}),
  };
}

/** Text without rules takes an interpolation as it is. */
function emitScalar(plain: Record<string, unknown>): JsonSchema {
  const isFreeText =
    plain["type"] === "string" && !plain["pattern"] && !plain["enum"] && !plain["const"];
  if (isFreeText && !plain["maxLength"]) return plain;
  const { description, default: fallback, examples, title, ...rules } = plain;
  const notes = { description, default: fallback, examples, title };
  const given = Object.entries(notes).filter(([, note]) => note !== undefined);
  return { ...Object.fromEntries(given), anyOf: [rules, INTERPOLATION] };
}

function emitPlugin(plugins: Readonly<Record<string, TSchema | null>>): JsonSchema {
  const plugin = emit(PluginSpec, () => null);
  const names = Object.keys(plugins);
  if (names.length === 0) return plugin;
  const { use, ...others } = plugin["properties"] as Record<string, JsonSchema>;
  const shipped = { enum: names, description: "The name of a plugin that ships." };
  const aPath = {
    type: "string",
    pattern: A_PATH,
    description: "The path of a file, relative to this one.",
  };
  const aPackage = {
    type: "string",
    pattern: A_PACKAGE,
    description: "An npm package that `tidewire plugin add` installed.",
  };
  return {
    ...plugin,
    properties: {
      use: { ...use, anyOf: [shipped, aPath, aPackage, INTERPOLATION] },
      ...others,
    },
    allOf: names.map((name) => ({
      if: { properties: { use: { const: name } }, required: ["use"] },
      then: optionsOf(plugins[name] ?? null),
    })),
  };
}

function optionsOf(options: TSchema | null): JsonSchema {
  if (!options) return { properties: { with: { type: ["object", "null"], maxProperties: 0 } } };
  const emitted = emit(strict(options as Parameters<typeof strict>[0]), () => null);
  const isNeeded = Array.isArray(emitted["required"]);
  return {
    properties: { with: isNeeded ? emitted : { ...emitted, type: ["object", "null"] } },
    ...(isNeeded ? { required: ["with"] } : {}),
  };
}
