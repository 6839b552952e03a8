/** Tells the code of a TypeScript source from its comments and texts. */

/** After these words a slash starts a regular expression, not a division. */
const BEFORE_REGEX =
  /(?:^|[^\w$.])(?:return|typeof|case|in|of|void|yield|await|delete|do|else)\s*$/;

/**
 * Replaces comments, and what is within quotes and regular expressions, by spaces. Offsets and lines stay;
 * so do the quotes themselves, and the code within `${ }`.
 */
export function codeOnly(source: string): string {
  const out = source.split("");
  const blank = (from: number, to: number) => {
    for (let i = from; i < to && i < out.length; i++) if (out[i] !== "\n") out[i] = " ";
  };
  /** For each template that is open: the braces that are open in its `${`. */
  const templates: number[] = [];
  let at = 0;
  const template = () => {
    const from = at;
    for (; at < source.length; at++) {
      if (source[at] === "\\") at++;
      else if (source[at] === "`") break;
      else if (source.startsWith("${", at)) {
        blank(from, at);
        templates.push(0);
        at += 2;
        return;
      }
    }
    blank(from, at);
    at++;
  };
  while (at < source.length) {
    const char = source[at]!;
    const start = at;
    if (source.startsWith("//", at)) {
      at = endOf(source, "\n", at);
      blank(start, at);
    } else if (source.startsWith("/*", at)) {
      at = endOf(source, "*/", at + 2) + 2;
      blank(start, at);
    } else if (char === '"' || char === "'") {
      for (at++; at < source.length && source[at] !== char && source[at] !== "\n"; at++) {
        if (source[at] === "\\") at++;
      }
      blank(start + 1, at);
      at++;
    } else if (char === "`") {
      at++;
      template();
    } else if (char === "/" && startsRegex(out, at)) {
      let isInClass = false;
      for (at++; at < source.length && source[at] !== "\n"; at++) {
        if (source[at] === "\\") at++;
        else if (source[at] === "[") isInClass = true;
        else if (source[at] === "]") isInClass = false;
        else if (source[at] === "/" && !isInClass) break;
      }
      blank(start + 1, at);
      at++;
    } else {
      at++;
      const last = templates.length - 1;
      if (last < 0) continue;
      if (char === "{") templates[last]!++;
      else if (char === "}" && templates[last]!-- === 0) {
        templates.pop();
        template();
      }
    }
  }
  return out.join("");
}

function endOf(source: string, what: string, from: number): number {
  const found = source.indexOf(what, from);
  return found === -1 ? source.length : found;
}

function startsRegex(out: readonly string[], at: number): boolean {
  const before = out
    .slice(Math.max(0, at - 40), at)
    .join("")
    .trimEnd();
  return before === "" || /[(,=:[!&|?{};+*%<>~^-]$/.test(before) || BEFORE_REGEX.test(before);
}
