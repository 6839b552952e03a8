/** Checks that a channel's `schema:` is a JSON Schema that says what its author meant. */
import { Ajv, type ErrorObject, type Options } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { quoteText } from "../diagnostic/visible-text.ts";
import { showValue } from "./describe.ts";
import { asText, locate, nodeAt, textAt, type MapNode, type Node, type TextNode } from "./node.ts";
import { readValue } from "./read-value.ts";
import type { Problems } from "./problems.ts";
import { checkKeywords } from "./schema-keywords.ts";
import { suggest } from "../suggest.ts";

type Draft = "2020-12" | "07";

const OPTIONS: Options = {
  allErrors: true,
  strict: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
};
/** One for each draft, to check schemas with: to make one costs several milliseconds. */
const checkers = new Map<Draft, Ajv | Ajv2020>();

export function checkDataSchema(schema: Node, problems: Problems): void {
  if (schema.kind !== "map") return;
  const draft = readDraft(schema, problems);
  if (!draft) return;
  let checker = checkers.get(draft);
  if (!checker) checkers.set(draft, (checker = createAjv(draft)));
  const before = problems.size;
  const value = readValue(schema) as Record<string, unknown>;
  const isValid = checker.validateSchema(value) === true;
  checkKeywords(schema, schema, checker, problems);
  if (!isValid) {
    for (const error of mostTelling(checker.errors ?? [])) reportInvalid(error, schema, problems);
  } else if (problems.size === before) tryToCompile(value, draft, schema, problems);
}

function createAjv(draft: Draft, options: Options = OPTIONS): Ajv | Ajv2020 {
  const ajv = draft === "07" ? new Ajv(options) : new Ajv2020(options);
  // Its default export is typed as a namespace here.
  (addFormats as unknown as (ajv: Ajv | Ajv2020) => void)(ajv);
  return ajv;
}

function readDraft(schema: MapNode, problems: Problems): Draft | null {
  const node = nodeAt(schema, "$schema");
  if (!node) return "2020-12";
  const uri = textAt(schema, "$schema")?.value ?? "";
  if (/^https?:\/\/json-schema\.org\/draft-07\/schema#?$/.test(uri)) return "07";
  if (/^https:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/.test(uri)) return "2020-12";
  problems.report(
    "bad-schema",
    node.span,
    `${showValue(node)} is not a draft that this version knows`,
    "it knows https://json-schema.org/draft/2020-12/schema and http://json-schema.org/draft-07/schema#",
  );
  return null;
}

/** Of the errors at one place the one that says most: a list of allowed values, else the first. */
function mostTelling(errors: readonly ErrorObject[]): ErrorObject[] {
  const best = new Map<string, ErrorObject>();
  for (const error of errors) {
    if (error.keyword === "anyOf" || error.keyword === "if" || error.keyword === "$ref") continue;
    // A list of what may be a map or a list is no mistake when the mistake is within the list.
    const isOuter = errors.some((other) => other.instancePath.startsWith(`${error.instancePath}/`));
    if (error.keyword === "type" && isOuter) continue;
    const before = best.get(error.instancePath);
    if (!before || (error.keyword === "enum" && before.keyword !== "enum"))
      best.set(error.instancePath, error);
  }
  return [...best.values()];
}

const WORDS: Readonly<Record<string, string>> = {
  object: "a map",
  array: "a list",
  string: "text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
};

function reportInvalid(error: ErrorObject, schema: MapNode, problems: Problems): void {
  const { node } = locate(schema, error.instancePath);
  if (node.kind === "broken") return;
  const keyword = error.instancePath.slice(error.instancePath.lastIndexOf("/") + 1);
  const params = error.params as {
    type?: string | string[];
    allowedValues?: string[];
  };
  const report = (message: string, help: string | null = null) =>
    problems.report("bad-schema", node.span, message, help);
  if (error.keyword === "enum" && params.allowedValues) {
    const text =
      node.kind === "scalar" && !node.origin ? suggest(node.text, params.allowedValues) : null;
    return report(
      `${showValue(node)} is not a JSON Schema type`,
      text ?? `write one of ${params.allowedValues.join(", ")}`,
    );
  }
  if (error.keyword === "type" && params.type) {
    const types = [params.type].flat().map((type) => WORDS[type] ?? type);
    return report(
      `${/^\d*$/.test(keyword) ? "a schema" : quoteText(keyword)} has to be ${types.join(" or ")}, not ${showValue(node)}`,
    );
  }
  report(`${quoteText(keyword)} ${error.message ?? "is wrong"}`);
}

/** Finds what the meta-schema can't: a `$ref` to nowhere, an unknown format, an `if` alone. */
function tryToCompile(value: object, draft: Draft, schema: MapNode, problems: Problems): void {
  try {
    // The meta-schema has had its say. `$id` of one channel is nothing to the next: each has its own.
    createAjv(draft, { ...OPTIONS, validateSchema: false }).compile(value);
  } catch (error) {
    const message = (error as Error).message
      .replace(/^strict mode: /, "")
      .replace(/ (?:from id|ignored in schema at path|\(at) .*$/, "");
    const node = findNamed(schema, message);
    const text = node?.origin ? `${showValue(node)} is refused` : message;
    problems.report("bad-schema", node?.span ?? firstKey(schema), text);
  }
}

/** The first text that a message names, which may be a secret. */
function findNamed(node: Node, message: string): TextNode | null {
  const text = asText(node);
  if (text) return text.value !== "" && message.includes(text.value) ? text : null;
  const children =
    node.kind === "list"
      ? node.items
      : node.kind === "map"
        ? Array.from(node.entries.values(), (entry) => entry.value)
        : [];
  for (const child of children) {
    const found = findNamed(child, message);
    if (found) return found;
  }
  return null;
}

function firstKey(schema: MapNode) {
  return schema.entries.values().next().value?.key ?? schema.span;
}
