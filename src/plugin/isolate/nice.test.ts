import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "bun:test";
import { Stage } from "./stage.testing.ts";

/** The nice values of this process' threads, by their names. @see man 5 proc_pid_stat */
function niceValues(): { name: string; nice: number }[] {
  return readdirSync("/proc/self/task").map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "latin1");
    const end = stat.lastIndexOf(")");
    const name = stat.slice(stat.indexOf("(") + 1, end);
    return { name, nice: Number(stat.slice(end + 2).split(" ")[16]) };
  });
}

test.skipIf(process.platform !== "linux")(
  "where both want the same core the server's thread goes before a worker",
  async () => {
    const own = () =>
      Number(/\) (.*)/.exec(readFileSync("/proc/self/stat", "latin1"))![1]!.split(" ")[16]);
    const before = own();
    await using _stage = await Stage.open([{ setup: "return { transform: (draft) => draft };" }], {
      isIsolated: true,
    });
    const [worker] = niceValues().filter(({ name }) => name.startsWith("plugin p0"));
    expect(worker?.nice).toBe(Math.max(10, before));
    expect(own()).toBe(before);
  },
);
