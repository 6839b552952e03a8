/** Bounds what the stores of all plugins take together. */
import { KeyValuesError } from "../channel/key-values.ts";

/**
 * Clients name the channels of a pattern, and the plugins of each may keep 1 MiB: without a bound over all
 * of them, who asks for ever new channels fills the memory or the disk.
 *
 * @param before Bytes that are kept now: what takes no more than that is never refused.
 * @param after Bytes that would be kept.
 * @throws {KeyValuesError} With `full`, when they are too many.
 */
export function checkTotalBytes(before: number, after: number, max: number): void {
  if (after <= max || after <= before) return;
  throw new KeyValuesError(
    "full",
    `the stores of all plugins together would have ${after} bytes; at most ${max} are allowed: have plugins of pattern channels set what they keep with a ttl`,
  );
}
