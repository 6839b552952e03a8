import { describe, expect, test } from "bun:test";
import { PluginError } from "./errors.ts";
import { checkHooks, HOOKS } from "./hooks.ts";

function refusal(returned: unknown): PluginError {
  try {
    checkHooks(returned, "round", "prices");
  } catch (error) {
    expect(error).toBeInstanceOf(PluginError);
    return error as PluginError;
  }
  throw new Error("it was accepted");
}

describe("checkHooks()", () => {
  test("takes every hook, none, and those that are undefined as absent", () => {
    const all = Object.fromEntries(HOOKS.map((name) => [name, () => name]));
    const bound = checkHooks(all, "round", "prices");
    for (const name of HOOKS) expect(bound[name]!()).toBe(name);
    expect(checkHooks({}, "round", "prices")).toEqual({});
    expect(checkHooks({ transform: undefined }, "round", "prices")).toEqual({});
  });

  test("binds the hooks of an object and of an instance of a class", () => {
    class Counter {
      #count = 1;
      transform() {
        return ++this.#count;
      }
    }
    const { transform } = checkHooks(new Counter(), "round", "prices");
    expect(transform!()).toBe(2);
    const plain = {
      sink: () => {},
      transform(): unknown {
        return this.sink;
      },
    };
    expect(checkHooks(plain, "round", "prices").transform!()).toBe(plain.sink);
  });

  test("refuses an unknown hook and suggests the one that was meant", () => {
    const error = refusal({ tranform: () => null });
    expect(error).toMatchObject({
      code: "bad-hooks",
      plugin: "round",
      hook: "setup",
      channel: "prices",
    });
    expect(error.message).toBe(
      `plugin "round", setup, channel "prices": there is no hook "tranform"; did you mean "transform"?`,
    );
    expect(refusal({ frobnicate: () => {} }).message).toEndWith(
      `the hooks are ${HOOKS.join(", ")}`,
    );
  });

  test("refuses an authorize that is misspelt or no function: nothing would be refused by it", () => {
    expect(refusal({ authorise: () => "deny" }).message).toContain('did you mean "authorize"?');
    expect(refusal({ authorize: true }).message).toContain('hook "authorize" is a boolean');
  });

  test.each([
    [{ transform: "yes" }, `hook "transform" is a string; it must be a function`],
    [{ sink: null }, `hook "sink" is null; it must be a function`],
    [undefined, "setup returned nothing; it must return an object of hooks"],
    [null, "setup returned null"],
    [[], "setup returned an array"],
    [() => ({}), "setup returned a function"],
  ])("refuses %p", (returned, says) => {
    expect(refusal(returned).message).toContain(says);
  });
});
