/** Tells in words what is wrong with one value: its type, its text, its place in a range. */
import { Kind, type TSchema } from "@sinclair/typebox";
import { ValueErrorType as Type, type ValueError } from "@sinclair/typebox/errors";
import { Value } from "@sinclair/typebox/value";
import { DURATION_PATTERN } from "../units.ts";
import { durationHelp } from "./amount.ts";
import { coreScalar } from "./core-scalar.ts";
import { describeNode, describeSchema, literalsOf, showValue } from "./describe.ts";
import { annotationsOf, CHOICE, Code, Noun, Parse, PARSED } from "./kinds.ts";
import type { Node, ScalarNode } from "./node.ts";
import type { Problems, Span } from "./problems.ts";
import { Refusal } from "./refusal.ts";
import { alternativesOf, propertiesOf } from "./schema-walk.ts";
import { closestWord, suggest } from "../suggest.ts";
import { quoteText, visibleText } from "../diagnostic/visible-text.ts";

export interface Explanation {
  readonly code: string;
  readonly message: string;
  readonly help?: string | null;
  /** Other than the node's own place. */
  readonly span?: Span | null;
}

/** The mistake of a value that is there and is no union's. */
export function explainValue(error: ValueError, node: Node, problems: Problems): Explanation {
  const { schema, type, path } = error;
  if (schema[Kind] === PARSED) return explainParsed(schema, node, problems);
  const literals = literalsOf(schema);
  if (literals) return explainChoice(schema, literals, node, nameOf(path));
  const shown = showValue(node);
  const bad = (message: string, help: string | null = null): Explanation => ({
    code: "bad-value",
    message,
    help,
  });
  switch (type) {
    case Type.NumberMinimum:
    case Type.IntegerMinimum:
      return bad(`${shown} is too little: at least ${schema["minimum"]}`);
    case Type.NumberMaximum:
    case Type.IntegerMaximum:
      return bad(`${shown} is too much: at most ${schema["maximum"]}`);
    case Type.NumberExclusiveMinimum:
    case Type.IntegerExclusiveMinimum:
      return bad(`${shown} is too little: more than ${schema["exclusiveMinimum"]}`);
    case Type.NumberExclusiveMaximum:
    case Type.IntegerExclusiveMaximum:
      return bad(`${shown} is too much: less than ${schema["exclusiveMaximum"]}`);
    case Type.NumberMultipleOf:
    case Type.IntegerMultipleOf:
      return bad(`${shown} is not a multiple of ${schema["multipleOf"]}`);
    case Type.StringMinLength:
      return Number(schema["minLength"]) === 1
        ? bad(
            `${node.kind === "scalar" && node.origin ? shown : "the text"} is empty`,
            schema.description ?? null,
          )
        : bad(`${shown} is shorter than ${schema["minLength"]} characters`);
    case Type.StringMaxLength:
      return bad(`the text is longer than ${schema["maxLength"]} characters`);
    case Type.StringPattern:
      return explainPattern(schema, node, nameOf(path));
    case Type.ArrayMinItems:
      return Number(schema["minItems"]) === 1
        ? bad("the list is empty", itemHelp(schema))
        : bad(`the list has fewer than ${schema["minItems"]} items`);
    case Type.ArrayMaxItems:
      return bad(`the list has more than ${schema["maxItems"]} items`);
    case Type.ArrayUniqueItems:
      return explainRepeated(node, problems);
    case Type.ObjectMinProperties:
      return bad("the map is empty");
    default:
      return wrongType(schema, node);
  }
}

export function wrongType(schema: TSchema, node: Node): Explanation {
  return {
    code: "wrong-type",
    message: `expected ${describeSchema(schema)}, got ${describeNode(node)}`,
    help: typeHelp(schema, node),
  };
}

function typeHelp(schema: TSchema, node: Node): string | null {
  if (node.kind !== "scalar" || node.value === null || node.origin) return null;
  const alternatives = alternativesOf(schema);
  if (alternatives.some(isDuration)) return durationHelp(node.text);
  const space = alternatives.map((one) => spaceHelp(node.text, propertiesOf(one))).find(Boolean);
  if (space) return space;
  const literals = alternatives.flatMap((one) => literalsOf(one) ?? []);
  const suggestion = suggest(node.text, literals.map(String));
  if (suggestion) return suggestion;
  if (!node.isPlain) {
    const bare = coreScalar(node.text);
    const isWanted = alternatives.some((one) => one["type"] !== "string" && Value.Check(one, bare));
    if (isWanted) return `write ${node.text}, without quotes`;
  } else if (alternatives.some((one) => one[Kind] === "String")) {
    return `write ${quoteText(node.text)}, in quotes`;
  }
  const list = alternatives.find((one) => one[Kind] === "Array");
  return list ? listHelp(list["items"] as TSchema, node.text) : null;
}

/** `did you mean [websocket, sse]?` for `websocket, sse`; what is no item of such a list is not suggested. */
function listHelp(items: TSchema, text: string): string | null {
  const literals = literalsOf(items);
  const words = text.split(literals ? /[\s,]+/ : /\s*,\s*/).filter((word) => word !== "");
  const meant = words.map((word) =>
    Value.Check(items, word) ? word : closestWord(word, (literals ?? []).map(String)),
  );
  if (meant.length === 0 || meant.includes(null)) {
    return literals ? `write a list with some of ${literals.map(showLiteral).join(", ")}` : null;
  }
  return `did you mean [${meant.map((word) => inFlow(word!)).join(", ")}]?`;
}

function showLiteral(literal: unknown): string {
  return typeof literal === "string" ? quoteText(literal) : String(literal);
}

/** A word as it can stand in a list: in quotes if it would be something else without. */
function inFlow(word: string): string {
  const isBare = /^[\w./][\w./:@+-]*$/.test(word) && typeof coreScalar(word) === "string";
  return isBare ? word : quoteText(word);
}

/** For `path:/events`, which is one word to YAML. */
export function spaceHelp(text: string, known: object): string | null {
  const [, key, value] = /^([\w-]+):(\S.*)$/.exec(text) ?? [];
  if (key === undefined || !Object.hasOwn(known, key)) return null;
  return `a space is missing after the colon: "${key}: ${visibleText(value!)}"`;
}

function isDuration(schema: TSchema): boolean {
  return schema["pattern"] === DURATION_PATTERN;
}

function itemHelp(schema: TSchema): string {
  const items = schema["items"] as TSchema;
  return `list at least ${describeSchema(items)}`;
}

function explainChoice(
  schema: TSchema,
  literals: readonly unknown[],
  node: Node,
  name: string,
): Explanation {
  const noun = annotationsOf(schema)[Noun];
  const words = literals.map(String);
  if (node.kind !== "scalar" || (schema[Kind] === CHOICE && typeof node.value !== "string")) {
    return wrongType(schema, node);
  }
  const help = node.origin ? null : suggest(node.text, words);
  const message = noun
    ? `${showValue(node)} is not ${noun}`
    : `${showValue(node)} is not a value of ${name}`;
  return { code: "bad-value", message, help: help ?? `write ${describeSchema(schema)}` };
}

/** Text that its function refuses; the refusal may know which part of it, and what was meant. */
function explainParsed(schema: TSchema, node: Node, problems: Problems): Explanation {
  const {
    [Code]: code = "bad-value",
    [Noun]: noun = "another text",
    [Parse]: parse,
  } = annotationsOf(schema);
  if (node.kind !== "scalar" || (typeof node.value !== "string" && !node.isFilled)) {
    const message = `expected ${noun}, got ${describeNode(node)}`;
    return { code: "wrong-type", message, help: helpFor(parse!, node) };
  }
  try {
    parse!(node.text);
    return wrongType(schema, node);
  } catch (error) {
    const { message, help, part } = refusalOf(error);
    return {
      code,
      message: node.origin ? hide(message, node) : message,
      help: node.origin ? null : help,
      span: part ? partOf(problems, node, part) : node.span,
    };
  }
}

/** What the function would say of a number's letters: `8080` may have been meant as `127.0.0.1:8080`. */
function helpFor(parse: (text: string) => unknown, node: Node): string | null {
  if (node.kind !== "scalar" || node.value === null) return null;
  try {
    parse(node.text);
    return null;
  } catch (error) {
    const { help } = refusalOf(error);
    return help && /^(?:did you mean|write its unit)/.test(help) ? help : null;
  }
}

function refusalOf(error: unknown): Pick<Refusal, "message" | "help" | "part"> {
  if (error instanceof Refusal) return error;
  const { message, index, length } = error as Error & { index?: number; length?: number };
  const part = index === undefined || length === undefined ? null : { index, length };
  return { message, help: null, part };
}

/** Takes what came from outside out of a message. */
function hide(message: string, node: ScalarNode): string {
  const named = message.replaceAll(quoteText(node.text), showValue(node));
  // The message shows a part of it, which may be just what is secret.
  return named === message && /"/.test(message) ? `${showValue(node)} is refused` : named;
}

/** The place of a part of a text, where the source shows the text as it is. */
export function partOf(
  problems: Problems,
  { span, text }: { readonly span: Span; readonly text: string },
  { index, length }: { readonly index: number; readonly length: number },
): Span {
  const raw = problems.text.slice(span.start, span.end);
  const offset = raw === text ? 0 : raw.slice(1, -1) === text ? 1 : null;
  if (offset === null) return span;
  const start = span.start + offset + index;
  return { start, end: start + length };
}

function explainPattern(schema: TSchema, node: Node, name: string): Explanation {
  if (isDuration(schema) && node.kind === "scalar") {
    return {
      code: "bad-duration",
      message: `${showValue(node)} is not a duration`,
      help:
        (node.origin ? null : durationHelp(node.text)) ??
        `write a number and a unit (ms, s, m, h, d), such as "10m"`,
    };
  }
  const examples = (schema.examples as readonly unknown[] | undefined) ?? [];
  const bare = node.kind === "scalar" && !node.origin ? node.text : "";
  if (
    /^\^https?\??:\/\//.test(String(schema["pattern"])) &&
    /^[\w[][^\s:]*(?::\d|\/|\.)/.test(bare)
  ) {
    const message = `${showValue(node)} has no https:// or http:// at its start`;
    return { code: "bad-value", message, help: `did you mean ${quoteText(`https://${bare}`)}?` };
  }
  const such =
    examples.length > 0 ? `Such as ${examples.map((one) => JSON.stringify(one)).join(", ")}` : null;
  const help =
    [schema.description, such].filter(Boolean).join(" ") || `it has to match ${schema["pattern"]}`;
  return { code: "bad-value", message: `${showValue(node)} does not fit ${name}`, help };
}

/** Points at the item that stands there for the second time. */
function explainRepeated(node: Node, problems: Problems): Explanation {
  const seen = new Map<string, Span>();
  for (const item of node.kind === "list" ? node.items : []) {
    const key = JSON.stringify(item, (name, value) => {
      if (value instanceof Map) return [...value];
      return name === "span" || name === "key" ? undefined : (value as unknown);
    });
    const before = seen.get(key);
    if (before) {
      const help = `the first is on line ${problems.lineOf(before.start)}`;
      return {
        code: "repeated",
        message: `${showValue(item)} stands twice`,
        help,
        span: item.span,
      };
    }
    seen.set(key, item.span);
  }
  return { code: "repeated", message: "an item stands twice" };
}

/** The key that a pointer leads to, or the list that it leads into, in quotes. */
function nameOf(pointer: string): string {
  const parts = pointer.split("/").filter((part) => !/^\d*$/.test(part));
  return quoteText((parts.at(-1) ?? "").replaceAll("~1", "/").replaceAll("~0", "~"));
}
