/** What a plugin posts from its worker by itself is not taken for an answer, and hurts no other. */
import { expect, test } from "bun:test";
import { Stage } from "./stage.testing.ts";

const open = (code: string) =>
  Stage.open(
    [
      {
        setup: `
          const { parentPort } = await import("node:worker_threads");
          return { transform(draft) { if (draft.data === "evil") { ${code} } return draft; } };`,
      },
    ],
    { isIsolated: true },
  );

test("postMessage of a plugin throws, and says what to do instead", async () => {
  await using stage = await open(`postMessage("hello");`);
  await stage.channel.publish([{ data: "evil" }, { data: "after" }]);
  expect(stage.data).toEqual(["after"]);
  expect((stage.lines[0]!.fields["error"] as Error).message).toContain(
    "nobody to post messages to",
  );
});

test.each([
  `"hello"`,
  `"5"`,
  `null`,
  `{ say: "emit" }`,
  `{ say: "emit", emitted: 5 }`,
  `{ say: "ask", id: 1 }`,
  `{ say: "log" }`,
  `{ say: "send" }`,
])("A worker that posts %s past the sdk is ended and started again", async (message) => {
  await using stage = await open(`parentPort.postMessage(${message});`);
  await stage.channel.publish([{ data: "evil" }]);
  const { fields } = await stage.logged("plugin's worker ended; it is started again");
  expect(fields["reason"]).toBe("posted a message that is no answer of a plugin");
  await stage.logged("plugin's worker is there again");
  await stage.channel.publish([{ data: "after" }]);
  expect(stage.data.at(-1)).toBe("after");
});
