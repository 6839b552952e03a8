/** Finds parameters as other routers write them, which would be plain letters here: `:room`, `*`. */
import { Refusal } from "./refusal.ts";

/**
 * Lets a name or a path pass, unless a segment starts with `:` or has a `*`.
 *
 * @throws {Refusal} With the segment as its part.
 */
export function refuseForeignParameter(text: string): string {
  let index = 0;
  for (const segment of text.split("/")) {
    const isForeign =
      segment.startsWith(":") || (segment.includes("*") && !/^\{.*\}$/.test(segment));
    if (isForeign) {
      const name = /^:[A-Za-z_]\w*$/.test(segment) ? segment.slice(1) : null;
      const meant = `${text.slice(0, index)}{${name ?? "room"}}${text.slice(index + segment.length)}`;
      throw new Refusal(
        `a parameter is written {${name ?? "room"}}, not ${segment}`,
        // What is wrong further on would still be wrong in a suggestion.
        /[*]|(?:^|\/):/.test(meant) ? null : `did you mean "${meant}"?`,
        { index, length: segment.length },
      );
    }
    index += segment.length + 1;
  }
  return text;
}
