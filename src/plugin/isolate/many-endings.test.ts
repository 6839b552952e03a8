/** A worker that ends again and again: nothing is left of those that were, and what else goes on does so. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { Stage } from "./stage.testing.ts";

const ENDED = "plugin's worker ended; it is started again";
const BACK = "plugin's worker is there again";

test.skipIf(process.platform !== "linux")(
  "hundreds of ends of one use leave no thread, no descriptor and no memory",
  async () => {
    const count = (what: "task" | "fd") => readdirSync(`/proc/self/${what}`).length;
    const setup = `
      const big = Buffer.alloc(1 << 20, 1);
      return { joined() {}, transform: (draft) => (draft.data === "evil" ? process.exit(1) : { data: big.length }) };`;
    // By a clock of its own the delay does not grow to half a minute.
    await using stage = await Stage.open([{ setup }], { isIsolated: true, isPrompt: true });
    let ends = 0;
    const end = async () => {
      ends++;
      await stage.channel.publish([{ data: "evil" }]);
      await stage.logged(BACK, ends);
    };
    while (ends < 20) await end();
    Bun.gc(true);
    const before = { task: count("task"), fd: count("fd"), rss: process.memoryUsage.rss() };
    while (ends < 80) await end();
    while (count("task") > before.task + 2) await new Promise((resolve) => setTimeout(resolve, 10));
    Bun.gc(true);
    expect(count("fd")).toBeLessThanOrEqual(before.fd + 4);
    // A worker kept would be some 8 MiB, and 1 MiB of its plugin's.
    expect(process.memoryUsage.rss() - before.rss).toBeLessThan(200 * 1024 ** 2);
    expect(stage.said(ENDED)).toHaveLength(80);
    await stage.channel.publish([{ data: "fine" }]);
    expect(stage.data).toEqual([1 << 20]);
  },
  120_000,
);
