/** Checks that the defaults of a plugin's options fit their own schema. */
import type { TObject, TSchema } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";

export interface BadDefault {
  /** The option's own name. */
  readonly option: string;
  readonly message: string;
  readonly help: string;
}

/** Objects within objects that are looked into. */
const MAX_DEPTH = 16;

/** The first default that does not fit, or null. */
export function checkDefaults(schema: TObject, path = "", depth = 0): BadDefault | null {
  for (const [option, part] of Object.entries(schema.properties ?? {})) {
    const name = `${path}${option}`;
    const first = part.default === undefined ? null : firstError(part);
    if (first) {
      const where = first.path === "" ? "" : ` at ${first.path}`;
      return {
        option,
        message: `the default of option "${name}" does not fit its own schema`,
        help: `${first.message}${where}`.replace(/^E/, "e"),
      };
    }
    const isObject = part.type === "object" && part.properties !== undefined;
    const inner =
      isObject && depth < MAX_DEPTH
        ? checkDefaults(part as unknown as TObject, `${name}.`, depth + 1)
        : null;
    if (inner) return inner;
  }
  return null;
}

function firstError(schema: TSchema): { readonly path: string; readonly message: string } | null {
  try {
    // What the default leaves open may have defaults of its own.
    const value = Value.Default(schema, structuredClone(schema.default));
    return Value.Errors(schema, value).First() ?? null;
  } catch {
    // A kind of schema that is not known here: the check of the config's options tells that.
    return null;
  }
}
