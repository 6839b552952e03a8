import { describe, expect, test } from "bun:test";
import { compileExpression, ExpressionError } from "./expression.ts";

const CHANNEL = { name: "prices", params: {} };

function evaluate(text: string, data: unknown = null): Promise<unknown> {
  return compileExpression(text, "where").evaluate({ data }, CHANNEL);
}

async function failure(text: string): Promise<ExpressionError> {
  const error = await evaluate(text).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ExpressionError);
  return error as ExpressionError;
}

describe("compileExpression()", () => {
  test.each<[string, string, number]>([
    ["data.price >", "S0207", 12],
    ["data..", "S0201", 4],
    ['"abc', "S0101", 4],
    ["data.price > > 2", "S0211", 13],
    ["", "S0207", 0],
  ])("refuses %j with the place", (text, code, position) => {
    try {
      compileExpression(text, "where");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ExpressionError);
      expect(error).toMatchObject({ code, position });
      expect((error as Error).message).toStartWith("where: ");
    }
  });

  test("shows the line of the mistake with a caret under the word", () => {
    expect(() => compileExpression("data.a\n\t+ ]", "to")).toThrow(
      'to: The symbol "]" cannot be used as a unary operator, at character 11\n  \t+ ]\n  \t  ^',
    );
  });

  test("gives undefined when nothing is selected, and plain arrays", async () => {
    expect(await evaluate("data.none")).toBeUndefined();
    expect(await evaluate("data", { a: 1 })).toEqual({ a: 1 });
    expect(Object.keys((await evaluate("data.a", [{ a: 1 }, { a: 2 }])) as object)).toEqual([
      "0",
      "1",
    ]);
  });

  test("does not change the data", async () => {
    const data = Object.freeze({ list: Object.freeze([3, 1, 2]) });
    expect(await evaluate("$sort(data.list)", data)).toEqual([1, 2, 3]);
    expect(data.list).toEqual([3, 1, 2]);
  });

  test("ends endless recursion, endless loops and huge sequences", async () => {
    expect((await failure("($f := function($n){ 1 + $f($n) }; $f(1))")).code).toBe("D1011");
    expect((await failure("($f := function($n){ $f($n) }; $f(1))")).code).toBe("D1012");
    expect((await failure("[1..1000000]")).code).toBe("D2015");
  });

  test("refuses a function as the result", async () => {
    expect((await failure("$sum")).message).toBe("where gives a function; call it: $sum(…)");
    expect((await failure("function($x){ $x }")).code).toBe("result");
  });
});
