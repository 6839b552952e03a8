/** Reports what a plugin's own check has against its options, at the option that it means. */
import { showValue } from "./describe.ts";
import { partOf } from "./explain-value.ts";
import { locate, type Node, type ScalarNode, type TextNode } from "./node.ts";
import type { Problems } from "./problems.ts";
import type { Diagnostic } from "../diagnostic/diagnostic.ts";
import { visibleText } from "../diagnostic/visible-text.ts";

/** Lines of a plugin's message that are shown. */
const MAX_LINES = 6;

/** Stands for what is taken out of a message: a noncharacter, which no message has. */
const MARK = "\ufdd0";

export interface Place {
  /** The options, as the file has them. */
  readonly root: Node;
  /** The plugin's name or path: the place of what no option is to blame for. */
  readonly use: TextNode;
  readonly problems: Problems;
}

interface Complaint {
  readonly message: string;
  /** A name, or a JSON Pointer. */
  readonly option: string | null;
  readonly part: { readonly index: number; readonly length: number } | null;
}

/**
 * An error that carries `diagnostics` is a mistake in the check itself, in a file of the plugin.
 *
 * @param options Fit the plugin's schema. They stay as they are, whatever `check` does.
 */
export async function checkOptionValues(
  check: (options: unknown) => void,
  options: unknown,
  { root, use, problems }: Place,
): Promise<void> {
  try {
    // Awaited, because a rejection that nobody awaits would end the process.
    await check(structuredClone(options));
  } catch (error) {
    const { diagnostics } = (error ?? {}) as { diagnostics?: unknown };
    if (Array.isArray(diagnostics)) {
      for (const each of diagnostics as Diagnostic[]) {
        const message = `check: ${withoutSecrets(each.message, root)}`;
        problems.reportElsewhere({ ...each, message }, use.span);
      }
      return;
    }
    const { message, option, part } = readComplaint(error);
    const pointer = option === null || option.startsWith("/") ? option : `/${option}`;
    const found = pointer === null ? null : locate(root, pointer);
    const node = found?.missing.length === 0 ? found.node : null;
    const span = node?.span ?? use.span;
    const exact = node?.kind === "scalar" && part ? partOf(problems, node, part) : span;
    const lines = withoutSecrets(message, root)
      .trimEnd()
      .split(/\r\n|\r|\n/, MAX_LINES);
    // The caret in the file shows what further lines would, and text from outside is not shown at all.
    const isOneLine = exact !== span || (node?.kind === "scalar" && node.origin !== null);
    problems.report("bad-option", exact, (isOneLine ? lines.slice(0, 1) : lines).join("\n"));
  }
}

/** The error's class may be of another copy of the sdk: its members tell. */
function readComplaint(error: unknown): Complaint {
  const { message, option, part } = (error ?? {}) as Partial<Complaint>;
  const isPart = typeof part?.index === "number" && typeof part.length === "number";
  return {
    message: typeof message === "string" && message !== "" ? message : String(error),
    option: typeof option === "string" ? option : null,
    part: isPart ? part : null,
  };
}

/** Takes what came from outside the file out of a message, also where only a part of it is quoted. */
function withoutSecrets(message: string, root: Node): string {
  let shown = message;
  for (const node of filledIn(root)) {
    shown = shown.replaceAll(`"${node.text}"`, MARK);
    for (const piece of [node.text, ...node.text.split(/\r\n|\r|\n/)]) {
      // What is shorter is no secret, and may stand in any word.
      if (piece.length > 2) shown = shown.replaceAll(piece, MARK);
    }
    shown = shown.replace(/"([^"]+)"/g, (quoted, inner: string) =>
      node.text.includes(inner) ? `"…"` : quoted,
    );
    shown = shown.replaceAll(MARK, () => visibleText(showValue(node)));
  }
  return shown;
}

function filledIn(node: Node): readonly ScalarNode[] {
  if (node.kind === "scalar") return node.origin === null ? [] : [node];
  if (node.kind === "list") return node.items.flatMap(filledIn);
  if (node.kind === "map")
    return [...node.entries.values()].flatMap(({ value }) => filledIn(value));
  return [];
}
