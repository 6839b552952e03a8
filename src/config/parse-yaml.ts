/** Reads YAML text into a tree with places; what is no YAML is reported. */
import { LineCounter, parseDocument } from "yaml";
import { Composer } from "./compose.ts";
import type { Environment } from "./interpolate.ts";
import { maskInterpolations } from "./mask.ts";
import { findExcess } from "./nesting.ts";
import type { Node } from "./node.ts";
import type { Problems, Span } from "./problems.ts";
import { reportYamlErrors } from "./yaml-errors.ts";

/** Collections within collections: more than any config needs, less than the stack of the parser. */
const MAX_DEPTH = 100;
/** About 40,000 lines. The parser needs seconds for more, when it has an error to tell of each. */
const MAX_TOKENS = 300_000;
/** What YAML 1.2 §5.1 does not let into a file, and noncharacters. */
const NOT_PRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufdd0-\ufdef\ufffe\uffff]/;

/** @returns The root, or null when the text is no YAML or holds nothing. */
export function parseYaml(
  problems: Problems,
  context: {
    readonly env: Environment;
    readonly directory: string;
    readonly onFile?: ((file: string) => void) | undefined;
  },
): Node | null {
  const { text } = problems;
  const control = NOT_PRINTABLE.exec(text);
  if (control) {
    const code = text.charCodeAt(control.index).toString(16).toUpperCase().padStart(4, "0");
    const message = `the character U+${code} can't stand in a YAML file`;
    problems.report("bad-yaml", { start: control.index, end: control.index + 1 }, message);
    return null;
  }
  const masked = maskInterpolations(text);
  const excess = findExcess(masked.text, { depth: MAX_DEPTH, tokens: MAX_TOKENS });
  if (excess) {
    const span = { start: excess.offset, end: excess.offset + 1 };
    if (excess.what === "tokens") problems.report("too-large", span, "no config is this long");
    else problems.report("too-deep", span, `the file nests more than ${MAX_DEPTH} levels deep`);
    return null;
  }
  const lines = new LineCounter();
  const document = parseDocument(masked.text, {
    // Its own check compares each key with each other, and its errors lack the first place.
    uniqueKeys: false,
    stringKeys: true,
    merge: false,
    resolveKnownTags: false,
    prettyErrors: false,
    logLevel: "error",
    lineCounter: lines,
  });
  reportYamlErrors(document, lines, problems);
  if (!problems.isEmpty || document.contents === null) return null;
  return new Composer({ problems, masked, ...context }).compose(document.contents, START);
}

const START: Span = { start: 0, end: 0 };
