/**
 * Finds which declared channel a path means: static names first, then patterns with parameters.
 *
 * Paths are percent-encoded, segment by segment (RFC 3986 §2.1, §3.3): a parameter's value may hold an
 * encoded slash, and `%41` is the same as `A`.
 */

/** A path template such as `chat/{room}`, split into its segments. */
export interface Pattern {
  readonly text: string;
  readonly segments: readonly Segment[];
  readonly params: readonly string[];
}

type Segment = { readonly literal: string } | { readonly param: string };

/** Thrown by `parsePattern`; `index` is where in the text the mistake is. */
export class PatternError extends Error {
  readonly index: number;
  readonly length: number;
  constructor(message: string, index: number, length = 1) {
    super(message);
    this.name = "PatternError";
    this.index = index;
    this.length = length;
  }
}

const PARAM = /^\{([A-Za-z_][A-Za-z0-9_]*)\}$/;

/**
 * Parses a channel name or pattern: segments separated by `/`, each a literal or one `{param}`.
 *
 * @throws {PatternError} For an empty segment, a brace that is not a whole segment, a bad or repeated
 *   parameter name, or a control character.
 */
export function parsePattern(text: string): Pattern {
  const segments: Segment[] = [];
  const params: string[] = [];
  if (text === "") throw new PatternError("a channel name is empty", 0, 0);
  let index = 0;
  for (const part of text.split("/")) {
    const match = PARAM.exec(part);
    if (part === "") throw new PatternError("a segment between slashes is empty", index);
    if (part === "." || part === "..") {
      throw new PatternError(
        `a segment can't be "${part}": URLs resolve it away`,
        index,
        part.length,
      );
    }
    if (match) {
      const param = match[1]!;
      if (params.includes(param)) {
        throw new PatternError(`parameter "${param}" stands twice`, index, part.length);
      }
      params.push(param);
      segments.push({ param });
    } else if (/[{}]/.test(part)) {
      throw new PatternError(
        `a parameter is a whole segment, such as "{room}", and its name has letters, digits and "_"`,
        index,
        part.length,
      );
    } else if (/[\u0000-\u0020\u007f?#%\\]/.test(part)) {
      throw new PatternError(
        `a segment has a space, a control character, or one of ? # % \\`,
        index,
        part.length,
      );
    } else {
      segments.push({ literal: part });
    }
    index += part.length + 1;
  }
  return { text, segments, params };
}

/**
 * Parses a URL path that a channel is served at: `/`, `/events`, `/rooms/{room}`.
 *
 * @throws {PatternError} As `parsePattern`, or when the leading slash is missing.
 */
export function parsePath(text: string): Pattern {
  if (text === "/") return { text, segments: [], params: [] };
  if (!text.startsWith("/")) throw new PatternError(`a path starts with "/"`, 0, text.length);
  try {
    return { ...parsePattern(text.slice(1)), text };
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    throw new PatternError(error.message, error.index + 1, error.length);
  }
}

export type Params = Readonly<Record<string, string>>;

/**
 * Writes the name of one channel of a pattern. What would change the name's meaning (`/ % ? #`, spaces and
 * control characters) is percent-encoded; other letters stay readable.
 */
export function formatName(pattern: Pattern, params: Params): string {
  return pattern.segments
    .map((segment) =>
      "literal" in segment
        ? segment.literal
        : params[segment.param]!.replace(/[\u0000-\u0020\u007f%/?#\\]/g, encodeURIComponent),
    )
    .join("/");
}

interface Node<T> {
  readonly literals: Map<string, Node<T>>;
  param: Node<T> | null;
  leaf: { readonly pattern: Pattern; readonly value: T } | null;
}

export interface Match<T> {
  readonly value: T;
  readonly params: Params;
}

/** The longest parameter value taken, in characters, decoded. */
export const MAX_PARAM = 256;

export class Directory<T> {
  readonly #root: Node<T> = { literals: new Map(), param: null, leaf: null };

  /**
   * Adds a pattern.
   *
   * @returns The pattern already there that matches exactly the same paths, or null when it was added.
   */
  add(pattern: Pattern, value: T): Pattern | null {
    let node = this.#root;
    for (const segment of pattern.segments) {
      let next = "literal" in segment ? (node.literals.get(segment.literal) ?? null) : node.param;
      if (!next) {
        next = { literals: new Map(), param: null, leaf: null };
        if ("literal" in segment) node.literals.set(segment.literal, next);
        else node.param = next;
      }
      node = next;
    }
    if (node.leaf) return node.leaf.pattern;
    node.leaf = { pattern, value };
    return null;
  }

  /**
   * Finds the value for a percent-encoded path without its leading slash. A literal segment wins over a
   * parameter, from left to right. A parameter is 1 to `MAX_PARAM` characters, and not `.` or `..`.
   *
   * @throws {URIError} When the percent-encoding is broken (`%zz`) or is not UTF-8.
   */
  find(path: string): Match<T> | null {
    const parts = path === "" ? [] : path.split("/").map(decode);
    return search(this.#root, parts, 0, []);
  }
}

/** Most segments have nothing to decode, and are done with in a tenth of the time. */
function decode(part: string): string {
  return part.includes("%") ? decodeURIComponent(part) : part;
}

function search<T>(
  node: Node<T>,
  parts: readonly string[],
  at: number,
  values: readonly string[],
): Match<T> | null {
  if (at === parts.length) {
    if (!node.leaf) return null;
    const { pattern, value } = node.leaf;
    return {
      value,
      params: Object.fromEntries(pattern.params.map((name, i) => [name, values[i]!])),
    };
  }
  const part = parts[at]!;
  const literal = node.literals.get(part);
  const found = literal && search(literal, parts, at + 1, values);
  if (found) return found;
  // Not "." or "..": no URL can say them (RFC 3986 §5.2.4), encoded or not.
  if (!node.param || part === "" || part === "." || part === "..") return null;
  if (part.length > MAX_PARAM) return null;
  return search(node.param, parts, at + 1, [...values, part]);
}
