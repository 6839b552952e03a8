import { describe, expect, test } from "bun:test";
import type { RequestError } from "../transport/errors.ts";
import { fingerprintOf, keyOfClient, readIdempotencyKey } from "./idempotency-key.ts";

function read(text: string): string | null {
  try {
    return readIdempotencyKey(new Headers({ "idempotency-key": text }));
  } catch (error) {
    const { status, code } = error as RequestError;
    return `${status} ${code}`;
  }
}

describe("readIdempotencyKey()", () => {
  test("gives null where there is none", () => {
    expect(readIdempotencyKey(new Headers())).toBeNull();
  });

  test.each([
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ["8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ['"with space, comma; \\"quotes\\" and \\\\"', 'with space, comma; "quotes" and \\'],
    ['"a";p=1', "a"],
    ["a/b:c=~", "a/b:c=~"],
    [`"${"x".repeat(255)}"`, "x".repeat(255)],
  ])("takes %s", (text, key) => {
    expect(read(text)).toBe(key);
  });

  test.each(["", '""', '"', '"a', 'a"', '"a" b', "a b", "a, b", '"\\a"', "x".repeat(256), "é"])(
    "refuses %p",
    (text) => {
      expect(read(text)).toBe("400 bad-idempotency-key");
    },
  );
});

test("keyOfClient() keeps those of different credentials apart", () => {
  const of = (authorization?: string) =>
    keyOfClient(new Headers(authorization === undefined ? {} : { authorization }), "k");
  expect(new Set([of(), of("Bearer a"), of("Bearer b")]).size).toBe(3);
  expect(of("Bearer a")).toBe(of("Bearer a"));
  // What is kept tells nobody the credentials.
  expect(of("Bearer secret")).not.toContain("secret");
});

test("fingerprintOf() tells kind, event, key and body apart, wherever one ends and the next begins", () => {
  const all = [
    fingerprintOf("json", {}, "1"),
    fingerprintOf("text", {}, "1"),
    fingerprintOf("json", { event: "1" }, ""),
    fingerprintOf("json", { key: "1" }, ""),
    fingerprintOf("json", { event: "a", key: "b" }, "c"),
    fingerprintOf("json", { event: "ab" }, "c"),
    fingerprintOf("json", { event: "a" }, "bc"),
  ];
  expect(new Set(all).size).toBe(all.length);
  expect(fingerprintOf("json", {}, new TextEncoder().encode("é"))).toBe(
    fingerprintOf("json", {}, "é"),
  );
});
