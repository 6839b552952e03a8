/** Puts the errors of the YAML parser into words of someone who writes a config. */
import { visit, type Document, type LineCounter, type YAMLError } from "yaml";
import type { Problems, Span } from "./problems.ts";

/** Reports the parser's errors and warnings, one for each line. */
export function reportYamlErrors(document: Document, lines: LineCounter, problems: Problems): void {
  const { explicit, version } = document.directives?.yaml ?? {};
  if (explicit && version !== "1.2") {
    const message = `this is YAML ${version}; a config is YAML 1.2`;
    problems.report("bad-yaml", { start: 0, end: problems.text.search(/\r?\n|$/) }, message);
  }
  // One mistake often leads the parser to several errors on its line: the first is the one to mend.
  const reported = new Set<number>();
  let hasTab = false;
  for (const error of [...document.errors, ...document.warnings].toSorted(byPlace)) {
    const { line } = lines.linePos(error.pos[0]);
    if (reported.has(line)) continue;
    // After a tab the parser has lost its columns: it finds all that follows in the wrong one.
    if (hasTab && error.code === "BAD_INDENT") continue;
    hasTab ||= error.code === "TAB_AS_INDENT";
    reported.add(line);
    const { code, span, message, help } = explain(error, document, problems.text);
    problems.report(code, span, message, help);
  }
}

function byPlace(a: YAMLError, b: YAMLError): number {
  return a.pos[0] - b.pos[0];
}

interface Explanation {
  readonly code: string;
  readonly span: Span;
  readonly message: string;
  readonly help: string | null;
}

function explain(error: YAMLError, document: Document, text: string): Explanation {
  const [start, end] = error.pos;
  const line = text.slice(text.lastIndexOf("\n", start - 1) + 1).split("\n", 1)[0]!;
  const as = (message: string, help: string | null = null, span: Span = { start, end }) => ({
    code: "bad-yaml",
    span,
    message,
    help,
  });
  switch (error.code) {
    case "TAB_AS_INDENT":
      return { ...as("a tab can't indent YAML", "use spaces"), code: "tab" };
    case "MULTIPLE_DOCS":
      return as("a second document starts here", "a config is one document: remove it");
    case "BAD_ALIAS":
      return as("an alias needs a name after *", `for the sign itself write "*" in quotes`);
    case "BAD_SCALAR_START":
      return as(
        `a value can't start with ${text.charAt(start)} unless it is in quotes`,
        `put the value in quotes`,
      );
    case "BAD_INDENT": {
      if (/same column/.test(error.message)) {
        const indent = /^[ \t]*/.exec(text.slice(start))![0].length;
        const word = { start: start + indent, end: start + indent + 1 };
        return as(
          "this line is indented like no line above it",
          "align it with the keys beside it",
          word,
        );
      }
      const open = unclosedCollection(document, start);
      if (!open) return as(lowerFirst(error.message));
      const sign = text.charAt(open.start) === "[" ? "]" : "}";
      return as(
        `this ${sign === "]" ? "list" : "map"} is not closed`,
        `"${sign}" is missing`,
        open,
      );
    }
    case "MISSING_CHAR": {
      const quoted = /quote/.test(error.message) ? unclosedScalar(document, start) : null;
      if (quoted) return as("this quote is not closed", null, quoted);
      return as(lowerFirst(error.message));
    }
    case "BLOCK_AS_IMPLICIT_KEY":
      return as(
        "a second key can't start on this line",
        /^\s+/.test(line) || !line.includes(": ")
          ? `put it on a line of its own, or put the value in quotes if ":" belongs to it`
          : `put the value in quotes if ":" belongs to it; check the indentation of the next line`,
      );
    case "MULTILINE_IMPLICIT_KEY":
      return as(`a line has no ":" after its key`, "write key: value");
    case "NON_STRING_KEY":
      return as("a key has to be text");
    case "BAD_DQ_ESCAPE":
      return as(
        `"\\${text.charAt(start + 1)}" is no escape sequence`,
        `write \\\\ for a backslash, or use single quotes`,
        { start, end: start + 2 },
      );
    case "TAG_RESOLVE_FAILED":
      return as(`the tag ${text.slice(start, end)} has no meaning here`, "remove it");
    case "UNEXPECTED_TOKEN":
      if (/\[[0-9a-fA-F:.]+\]:\d+/.test(line)) {
        return as("an IPv6 address starts like a list", `put it in quotes: "[::1]:8080"`);
      }
      if (/scalar at node end/.test(error.message) && /['"]/.test(text.charAt(start - 1))) {
        const quote = text.charAt(start - 1);
        const help = `within the text write ${quote === "'" ? "''" : '\\"'}`;
        return as(`the text ends at the ${quote} before this`, help);
      }
      return as(unexpected(error.message));
    default:
      return as(lowerFirst(error.message));
  }
}

/** "Unexpected flow-map-end token in YAML stream" in words of someone who writes YAML. */
function unexpected(message: string): string {
  const words: readonly (readonly [RegExp, string])[] = [
    [/flow-map-end/, `a "}" has no "{" before it`],
    [/flow-seq-end/, `a "]" has no "[" before it`],
    [/flow-(?:map|seq)-start/, "the value before this has ended already"],
    [/block-seq-ind/, `a list that starts with "-" has to start on a line of its own`],
    [/scalar at node end/, "the value before this has ended already"],
    [/map-value-ind/, `a ":" is not expected here`],
  ];
  return words.find(([pattern]) => pattern.test(message))?.[1] ?? lowerFirst(message);
}

/** The innermost "[" or "{" that is open at an offset. */
function unclosedCollection(document: Document, offset: number): Span | null {
  let span: Span | null = null;
  visit(document, {
    Collection(_key, node) {
      if (node.flow && node.range && node.range[0] < offset) {
        span = { start: node.range[0], end: node.range[0] + 1 };
      }
    },
  });
  return span;
}

/** The quoted text that goes on up to an offset. */
function unclosedScalar(document: Document, offset: number): Span | null {
  let span: Span | null = null;
  visit(document, {
    Scalar(_key, node) {
      const isQuoted = node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE";
      if (isQuoted && node.range && node.range[0] < offset) {
        span = { start: node.range[0], end: node.range[0] + 1 };
      }
    },
  });
  return span;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
