/** A channel's `schema:` as a check of each message's data. */
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { SchemaError } from "../channel/errors.ts";

const TOO_DEEP = "the data is nested too deeply to be checked";

/**
 * Compiles a JSON Schema: draft-07 where `$schema` says so, else 2020-12.
 *
 * @returns A check that throws `SchemaError` with one sentence for each mistake.
 */
export function compileSchema(
  schema: Readonly<Record<string, unknown>>,
): (channel: string, data: unknown) => void {
  const isDraft7 = String(schema["$schema"] ?? "").includes("draft-07");
  const ajv = new (isDraft7 ? Ajv : Ajv2020)({ allErrors: false, strict: false });
  (addFormats as unknown as (ajv: unknown) => void)(ajv);
  const validate = ajv.compile(schema);
  const check = (channel: string, data: unknown): boolean => {
    try {
      return validate(data) as boolean;
    } catch (error) {
      // A schema that refers to itself goes as deep as the data does.
      if (error instanceof RangeError) throw new SchemaError(channel, [TOO_DEEP]);
      throw error;
    }
  };
  return (channel, data) => {
    if (check(channel, data)) return;
    const errors = (validate.errors ?? []).map(
      ({ instancePath, message }) =>
        `${instancePath === "" ? "the data" : instancePath} ${message}`,
    );
    throw new SchemaError(channel, errors);
  };
}
