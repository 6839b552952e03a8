/** A channel's `schema:` as a check of each message's data. */
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { SchemaError } from "../channel/errors.ts";

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
  return (channel, data) => {
    if (validate(data)) return;
    const errors = (validate.errors ?? []).map(
      ({ instancePath, message }) =>
        `${instancePath === "" ? "the data" : instancePath} ${message}`,
    );
    throw new SchemaError(channel, errors);
  };
}
