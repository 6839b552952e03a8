/** Makes unknown keys errors in a plugin's options, also in maps within them. */
import { Kind, type TObject, type TSchema } from "@sinclair/typebox";

/** @returns A copy; maps that say something of other keys themselves stay as they are. */
export function strict(options: TObject): TObject {
  return strictSchema(options) as TObject;
}

function strictSchema(schema: TSchema): TSchema {
  switch (schema[Kind]) {
    case "Object": {
      const properties = mapValues(schema["properties"] as Record<string, TSchema>);
      return { additionalProperties: false, ...schema, properties };
    }
    case "Record":
      return {
        ...schema,
        patternProperties: mapValues(schema["patternProperties"] as Record<string, TSchema>),
      };
    case "Array":
      return { ...schema, items: strictSchema(schema["items"] as TSchema) };
    case "Union":
      return { ...schema, anyOf: (schema["anyOf"] as TSchema[]).map(strictSchema) };
    // In an intersection each part would refuse the keys of the others.
    default:
      return schema;
  }
}

function mapValues(schemas: Record<string, TSchema>): Record<string, TSchema> {
  return Object.fromEntries(
    Object.entries(schemas).map(([key, inner]) => [key, strictSchema(inner)]),
  );
}
