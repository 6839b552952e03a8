/** A worker that is started again reads its file itself: that it is another by then is said. */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Stage } from "./stage.testing.ts";

const CHANGED =
  "plugin's file is not what the server has loaded; its worker starts with it as it is now, and a reload brings it everywhere";
const BACK = "plugin's worker is there again";
const open = () =>
  Stage.open(
    [
      {
        setup: `return { transform: (draft) => (draft.data === "evil" ? process.exit(1) : { data: "old" }) };`,
      },
    ],
    { isIsolated: true },
  );

test("A worker that is started again from a file that changed since says so", async () => {
  await using stage = await open();
  const file = join(stage.folder, "plugin-0.ts");
  writeFileSync(file, readFileSync(file, "utf8").replace('"old"', '"new"'));
  await stage.channel.publish([{ data: "evil" }]);
  await stage.logged(BACK);
  await stage.channel.publish([{ data: 1 }]);
  expect(stage.data).toEqual(["new"]);
  expect(stage.said(CHANGED)).toEqual([{ file }]);
});

test("A worker that can't be started again for its file was broken since says both, until it is mended", async () => {
  await using stage = await open();
  const file = join(stage.folder, "plugin-0.ts");
  const before = readFileSync(file, "utf8");
  writeFileSync(file, before.replace("return {", "return {{"));
  await stage.channel.publish([{ data: "evil" }]);
  await stage.logged("plugin failed in setup");
  expect(stage.said(CHANGED)).toEqual([{ file }]);
  writeFileSync(file, before);
  await stage.logged(BACK);
  expect(stage.said(CHANGED)).toEqual([{ file }]);
});

test("A worker that is started again from the same file says nothing of it", async () => {
  await using stage = await open();
  await stage.channel.publish([{ data: "evil" }]);
  await stage.logged(BACK);
  expect(stage.said(CHANGED)).toEqual([]);
});
