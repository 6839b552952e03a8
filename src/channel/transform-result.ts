/** What a transform gave: whether it is what it may give, and taken into the drafts of its run. */
import { ResultError } from "./errors.ts";
import type { Draft } from "./message.ts";

/** @throws {ResultError} When what a transform gave is no draft, no several, and not null. */
export function checkResult(result: unknown): Draft | readonly Draft[] | null {
  if (result === undefined) {
    throw new ResultError(
      "transform returned nothing",
      `return the draft, several, or null to drop it; did you forget "return"?`,
    );
  }
  if (result === null) return null;
  const isList = Array.isArray(result);
  const list: readonly unknown[] = isList ? result : [result];
  for (const item of list) {
    if (item !== null && typeof item === "object" && "data" in item) continue;
    const what = nameOf(item);
    throw new ResultError(
      `transform returned ${isList ? `an array with ${what} in it` : what}`,
      `a draft is an object with "data"${item === null ? "; to drop one, leave it out of the array" : ""}`,
    );
  }
  return result as Draft | readonly Draft[] | null;
}

/** Adds what a transform gave to the drafts that it has given so far. */
export function collect(out: Draft[], result: Draft | readonly Draft[] | null): void {
  if (result === null) return;
  // Not `push(...result)`: a transform that splits into very many would overflow the stack.
  if (Array.isArray(result)) for (const draft of result as readonly Draft[]) out.push(draft);
  else out.push(result as Draft);
}

function nameOf(item: unknown): string {
  if (item === null || item === undefined) return String(item);
  if (typeof item !== "object") return `a ${typeof item}`;
  if (Array.isArray(item)) return "an array";
  return item instanceof Promise ? "a promise" : `an object without "data"`;
}
