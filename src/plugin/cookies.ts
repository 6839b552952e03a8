/** The `Cookie` header, read. */

/** RFC 6265 §4.1.1: a cookie's name is a token (RFC 9110 §5.6.2). */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Reads a `Cookie` header: pairs with semicolons between them, values percent-decoded and without the
 * quotes around them. A pair that is none, has a name that no cookie can have, or is badly encoded is
 * left out; of two with one name the first counts, which is the one with the longer path (RFC 6265 §5.4).
 *
 * @param header The header's value; null where there is none.
 * @see https://www.rfc-editor.org/rfc/rfc6265#section-4.2.1
 */
export function parseCookies(header: string | null): Map<string, string> {
  const cookies = new Map<string, string>();
  if (header === null) return cookies;
  for (const pair of header.split(";")) {
    const at = pair.indexOf("=");
    if (at < 0) continue;
    const name = trim(pair.slice(0, at));
    if (!NAME.test(name) || cookies.has(name)) continue;
    const value = decode(trim(pair.slice(at + 1)));
    if (value !== null) cookies.set(name, value);
  }
  return cookies;
}

/**
 * Without the spaces and tabs at both ends. `String.trim` takes others too, such as the byte 0xa0, which
 * would let a cookie pass for one of another name, and shorten a value that ends with it.
 */
function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text[start]!)) start++;
  while (end > start && isBlank(text[end - 1]!)) end--;
  return text.slice(start, end);
}

function isBlank(character: string): boolean {
  return character === " " || character === "\t";
}

/** Null for what is badly encoded: to hand it on as it is would let one text pass for two values. */
function decode(text: string): string | null {
  const isQuoted = text.length > 1 && text.startsWith(`"`) && text.endsWith(`"`);
  const value = isQuoted ? text.slice(1, -1) : text;
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}
