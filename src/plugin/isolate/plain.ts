/** Values that JSON carries from one thread to another just as a structured clone would. */

/** Nested deeper than this, a value is not looked through. */
const MAX_DEPTH = 100;

/**
 * Whether a value is the same after `JSON.stringify` and `JSON.parse`: it then goes between threads as
 * text, for a fifth of what a structured clone costs.
 */
export function isPlain(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0);
    case "object":
      return value === null || (depth < MAX_DEPTH && isPlainObject(value, depth + 1));
    default:
      return false;
  }
}

function isPlainObject(object: object, depth: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (Array.isArray(object)) {
    if (prototype !== Array.prototype) return false;
    // Not `every`, which leaves out holes.
    for (let i = 0; i < object.length; i++) if (!isPlain(object[i], depth)) return false;
    return true;
  }
  if (prototype !== Object.prototype) return false;
  for (const key of Object.keys(object)) {
    if (!isPlain((object as Record<string, unknown>)[key], depth)) return false;
  }
  return true;
}

/** The JSON text of a value that is plain; null where it is not. */
export function plainText(value: unknown): string | null {
  return isPlain(value) ? JSON.stringify(value) : null;
}

/** The JSON text of any value; undefined where there is none. Never throws. */
export function anyText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
