/** Measures a YAML text before the parser, which recurses and is slow to complain, has to find out. */
import { Lexer } from "yaml";

export interface Excess {
  readonly what: "depth" | "tokens";
  /** Where in the text the limit is passed. */
  readonly offset: number;
}

/** @param limits Collections within collections, and lexical tokens (indents, keys, marks …). */
export function findExcess(
  text: string,
  limits: { readonly depth: number; readonly tokens: number },
): Excess | null {
  let tokens = 0;
  /** Columns at which the open block collections stand. */
  const columns: number[] = [];
  let [flow, offset, lineStart, isFresh] = [0, 0, 0, true];
  for (const token of new Lexer().lex(text)) {
    if (++tokens > limits.tokens) return { what: "tokens", offset };
    const isMark = token === "\u0002" || token === "\u001f" || token === "\u0018";
    if (!isMark && token !== "" && !/^[\s\ufeff]+$/.test(token) && !token.startsWith("#")) {
      if (token === "[" || token === "{") flow++;
      else if (token === "]" || token === "}") flow = Math.max(0, flow - 1);
      const opens = isFresh || token === "-" || token === "?";
      if (opens && flow <= 1) {
        const column = offset - lineStart;
        while (columns.length > 0 && columns.at(-1)! >= column) columns.pop();
        columns.push(column);
      }
      if (columns.length + flow > limits.depth) return { what: "depth", offset };
      // After "- " and "? " another collection may start on the same line.
      isFresh = token === "-" || token === "?";
    }
    // Lexemes that only mark what comes next are not in the text.
    if (!isMark) offset += token.length;
    const newline = isMark ? -1 : token.lastIndexOf("\n");
    if (newline !== -1) {
      lineStart = offset - token.length + newline + 1;
      isFresh = true;
    }
  }
  return null;
}
