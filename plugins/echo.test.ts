import { describe, expect, test } from "bun:test";
import { createFakeClient } from "../src/plugin/fake-client.ts";
import echo from "./echo.ts";
import { start } from "./testing.ts";

async function answer(prefix: string | undefined, data: unknown): Promise<unknown> {
  const { hooks } = await start(echo, prefix === undefined ? {} : { prefix });
  const client = createFakeClient("1");
  expect(await hooks.receive!(data, client, String(data))).toBeNull();
  expect(client.received).toHaveLength(1);
  return client.received[0];
}

describe("echo", () => {
  test("answers text with the prefix before it", async () => {
    expect(await answer("Server received: ", "Hello Server")).toBe("Server received: Hello Server");
  });

  test("answers JSON with the prefix and its text", async () => {
    expect(await answer("> ", { a: [1, null] })).toBe('> {"a":[1,null]}');
    expect(await answer("> ", null)).toBe("> null");
  });

  test("answers bytes with the prefix as bytes, which need not be UTF-8", async () => {
    expect(new Uint8Array((await answer("> ", new Uint8Array([255, 0]))) as Buffer)).toEqual(
      new Uint8Array([62, 32, 255, 0]),
    );
  });

  test.each([["text"], [""], [{ a: 1 }], [[1, 2]], [null], [0], [new Uint8Array([1, 255])]])(
    "answers %p as it is when there is no prefix",
    async (data) => {
      expect(await answer(undefined, data)).toBe(data);
    },
  );
});
