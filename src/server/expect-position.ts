/** `Expect-Position`: a publish that may only come right after one position. */
import { parsePosition } from "../channel/position.ts";
import { RequestError } from "../transport/errors.ts";

/**
 * @returns null where the request has none; quotes, as an ETag has them, are taken off.
 * @throws {RequestError} 400 when it is no position.
 */
export function readExpectPosition(headers: Headers): string | null {
  const text = headers.get("expect-position");
  if (text === null) return null;
  return checkPosition(/^"(.*)"$/.exec(text)?.[1] ?? text, "Expect-Position");
}

/** @param what What it is, for the error. */
export function checkPosition(text: string, what: string): string {
  if (parsePosition(text)) return text;
  throw new RequestError(
    400,
    "bad-position",
    `${what} is ${JSON.stringify(text.slice(0, 80))}; it must be the id of the channel's newest message, such as "mfz3k9-42"`,
  );
}
