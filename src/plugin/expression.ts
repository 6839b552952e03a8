/** JSONata over one message: compiled once with a good error, evaluated within bounds. */
import jsonata from "jsonata";
import type { Draft } from "../channel/message.ts";
import { OptionError } from "./option-error.ts";

/** Milliseconds one evaluation may take: the server waits meanwhile. */
const TIMEOUT_MS = 250;
/** Calls within calls: endless recursion ends here instead of at the end of the stack. */
const MAX_DEPTH = 250;
/** Items of one sequence, so that `[1..1e7]` does not take all memory. */
const MAX_SEQUENCE = 100_000;

/** What an expression sees besides the draft. */
export interface ExpressionScope {
  readonly name: string;
  readonly params: Readonly<Record<string, string>>;
}

export interface Expression {
  /** The expression as it was written. */
  readonly text: string;
  /**
   * Evaluates it over `{ data, event, key, format, channel, params }`; bytes are given as base64.
   *
   * @returns A JSON value, or undefined when the expression selects nothing.
   * @throws {ExpressionError} When it fails, takes longer than 250 ms, recurses more than 250 deep or
   *   makes a sequence of more than 100,000 items. A slow regular expression is not bounded.
   */
  evaluate(draft: Draft, channel: ExpressionScope): Promise<unknown>;
}

/** An expression that can't be compiled or evaluated; `position` is a zero-based index into its text. */
export class ExpressionError extends OptionError {
  /** JSONata's code, such as `S0203`; "result" when the result is not JSON. */
  readonly code: string;
  readonly position: number | null;
  constructor(
    option: string,
    message: string,
    code: string,
    position: number | null = null,
    length = 0,
  ) {
    super(option, message, position === null ? null : { index: position, length });
    this.name = "ExpressionError";
    this.code = code;
    this.position = position;
  }
}

/**
 * Compiles a JSONata expression.
 *
 * @param option Name of the option that it comes from, for the error.
 * @throws {ExpressionError} When it is not JSONata; the message shows the place with a caret.
 * @see https://docs.jsonata.org
 * @example
 * ```ts
 * const where = compileExpression("data.price > 100", "where");
 * await where.evaluate({ data: { price: 101 } }, { name: "prices", params: {} }); // true
 * ```
 */
export function compileExpression(text: string, option: string): Expression {
  const failed = (error: unknown) => wrap(error, text, option);
  let compiled: jsonata.Expression;
  try {
    compiled = jsonata(text, { timeout: TIMEOUT_MS, stack: MAX_DEPTH, sequence: MAX_SEQUENCE });
  } catch (error) {
    throw failed(error);
  }
  return {
    text,
    async evaluate(draft, channel) {
      const { data, event, key } = draft;
      const isBytes = data instanceof Uint8Array || data instanceof ArrayBuffer;
      const isText = typeof data === "string" && draft.format !== "json";
      const input = {
        data: isBytes ? toBase64(data) : data,
        event,
        key,
        format: isBytes ? "bytes" : isText ? "text" : "json",
        channel: channel.name,
        params: channel.params,
      };
      let result: unknown;
      try {
        result = await compiled.evaluate(input);
      } catch (error) {
        throw failed(error);
      }
      if (typeof result === "function" || isLambda(result)) {
        throw new ExpressionError(
          option,
          `${option} gives a function; call it: ${text}(…)`,
          "result",
        );
      }
      // JSONata marks its arrays with members of its own.
      return Array.isArray(result) ? [...result] : result;
    },
  };
}

/** JSONata's own functions and lambdas are objects that are marked so. */
function isLambda(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    ("_jsonata_lambda" in value || "_jsonata_function" in value)
  );
}

function toBase64(data: Uint8Array | ArrayBuffer): string {
  return Buffer.from(data as Uint8Array).toString("base64");
}

/** JSONata throws plain objects with a code and the position after the token that it stumbled on. */
function wrap(error: unknown, text: string, option: string): ExpressionError {
  const { code, position, message, token } = error as Partial<jsonata.JsonataError>;
  const what = `${option}: ${message ?? String(error)}`;
  if (typeof position !== "number") return new ExpressionError(option, what, code ?? "unknown");
  const length =
    typeof token === "string" && text.slice(0, position).endsWith(token) ? token.length : 0;
  const at = Math.max(0, Math.min(position - length, text.length));
  return new ExpressionError(
    option,
    `${what}, at character ${at + 1}\n${frame(text, at, length)}`,
    code ?? "unknown",
    at,
    length,
  );
}

/** The line of the text that `at` is in, with a caret under it. */
function frame(text: string, at: number, length: number): string {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  const line = text.slice(start).split("\n", 1)[0]!;
  const column = at - start;
  return `  ${line}\n  ${line.slice(0, column).replace(/[^\t]/g, " ")}${"^".repeat(Math.max(1, length))}`;
}
