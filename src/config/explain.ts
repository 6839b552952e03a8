/** Tells in words, and at its place, what TypeBox finds wrong with a value. */
import { Kind, type TSchema } from "@sinclair/typebox";
import { ValueErrorType as Type, type ValueError } from "@sinclair/typebox/errors";
import { describeSchema, literalsOf } from "./describe.ts";
import { explainValue, spaceHelp, wrongType, type Explanation } from "./explain-value.ts";
import { annotationsOf, Noun, PARSED } from "./kinds.ts";
import { locate, type Node } from "./node.ts";
import type { Problems, Span } from "./problems.ts";
import { alternativeFor, alternativesOf, propertiesOf } from "./schema-walk.ts";
import { suggest } from "../suggest.ts";
import { PluginSpec } from "./spec-plugin.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

/** What is being checked: keys of the config, or options of a plugin. */
export interface Subject {
  readonly problems: Problems;
  readonly root: Node;
  /** Where to point when something is missing in `root` itself; null for the file as a whole. */
  readonly place: Span | null;
  readonly keyNoun: "key" | "option";
  /** What `root` is called: `a config`, `plugin "clock"`. */
  readonly noun: string;
}

/** Reports one error of `Value.Errors`. */
export function explain(error: ValueError, subject: Subject): void {
  const { problems, root } = subject;
  const { node, key, missing } = locate(root, error.path);
  if (node.kind === "broken") return;
  // A missing key is told of as such; that nothing is not a number is no news.
  if (missing.length > 0 && error.type !== Type.ObjectRequiredProperty) return;
  if (error.type === Type.Union) {
    const inner = explainUnion(error, node, subject);
    if (!inner) return;
    problems.report(inner.code, inner.span ?? node.span, inner.message, inner.help);
    return;
  }
  const told =
    error.type === Type.ObjectRequiredProperty
      ? explainMissing(error, missing, node === root ? subject.place : (key ?? node.span), subject)
      : error.type === Type.ObjectAdditionalProperties
        ? explainUnknownKey(error, key, subject)
        : explainValue(error, node, problems);
  if (!told) return;
  problems.report(
    told.code,
    told.span === undefined ? node.span : told.span,
    told.message,
    told.help,
  );
}

function explainMissing(
  { schema }: ValueError,
  missing: readonly string[],
  span: Span | null,
  { keyNoun, noun }: Subject,
): Explanation | null {
  const name = missing[0];
  // The key is there, and its value is broken.
  if (name === undefined) return null;
  const about = schema.description ? `: ${lowerFirst(schema.description)}` : "";
  const help = `${name} is ${describeSchema(schema)}${about}`;
  const of = keyNoun === "option" ? ` of ${noun}` : "";
  return { code: "missing-key", message: `the ${keyNoun} "${name}"${of} is missing`, help, span };
}

/** As it goes on after a colon; JSONata and URL keep their capitals. */
function lowerFirst(text: string): string {
  const isName = /^\w*[A-Z]/.test(text.slice(1));
  return (isName ? text : text.charAt(0).toLowerCase() + text.slice(1)).replace(/\.$/, "");
}

function explainUnknownKey(
  { schema, path }: ValueError,
  span: Span | null,
  { keyNoun, noun }: Subject,
): Explanation {
  const name = path
    .slice(path.lastIndexOf("/") + 1)
    .replaceAll("~1", "/")
    .replaceAll("~0", "~");
  const known = Object.keys(propertiesOf(schema));
  const list =
    known.length > 0 ? `its ${keyNoun}s: ${known.join(", ")}` : `it takes no ${keyNoun}s`;
  const whole = annotationsOf(schema)[Noun] ?? noun;
  // What stands beside `use` is mostly an option: `{ use: clock, every: 1s }`.
  const isBesideUse = schema === PluginSpec;
  const options = isBesideUse ? "; the plugin's options go under with" : "";
  return {
    code: "unknown-key",
    message: `${quoteText(name)} is not ${keyNoun === "option" ? "an option" : "a key"} of ${whole}`,
    help: spaceHelp(name, propertiesOf(schema)) ?? suggest(name, known) ?? list + options,
    span,
  };
}

/** Of the alternatives the one that was probably meant tells what is wrong. */
function explainUnion(error: ValueError, node: Node, subject: Subject): Explanation | null {
  const { schema } = error;
  if (literalsOf(schema)) return explainValue(error, node, subject.problems);
  const meant = alternativeFor(schema, node);
  const direct = schema["anyOf"] as TSchema[];
  const errors =
    meant && error.errors[direct.findIndex((one) => alternativesOf(one).includes(meant))];
  const isClear =
    node.kind !== "scalar" ||
    (typeof node.value === "string" && meant?.["type"] === "string" && meant[Kind] === PARSED);
  if (!meant || !errors || !isClear) return wrongType(schema, node);
  for (const inner of errors) explain(inner, subject);
  return null;
}
