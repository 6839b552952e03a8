import { describe, expect, test } from "bun:test";
import { endTurn } from "./testing.ts";
import { atTurnEnd, commitAtTurnEnd } from "./turn.ts";

describe("atTurnEnd()", () => {
  test("runs work after all promises of the turn, in order", async () => {
    const steps: string[] = [];
    atTurnEnd({ flush: () => steps.push("first") });
    atTurnEnd({ flush: () => steps.push("second") });
    await Promise.resolve().then(() => steps.push("promise"));
    expect(steps).toEqual(["promise"]);
    await endTurn();
    expect(steps).toEqual(["promise", "first", "second"]);
  });

  test("runs what is asked for within work at the end of the next turn", async () => {
    const steps: string[] = [];
    const again = { flush: () => steps.push("again") };
    atTurnEnd({
      flush: () => {
        steps.push("first");
        atTurnEnd(again);
      },
    });
    atTurnEnd({ flush: () => steps.push("second") });
    await endTurn();
    expect(steps).toEqual(["first", "second"]);
    await endTurn();
    expect(steps).toEqual(["first", "second", "again"]);
  });

  test("lets work that throws keep none of the others from running", async () => {
    // In a process of its own: the test runner takes every uncaught error for a failure.
    const script = `
      import { atTurnEnd, commitAtTurnEnd } from ${JSON.stringify(import.meta.resolve("./turn.ts"))};
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      atTurnEnd({ flush() { throw new Error("boom"); } });
      atTurnEnd({ flush: () => console.log("second") });
      setImmediate(() => atTurnEnd({ flush: () => console.log("next turn") }));
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const lines = (await new Response(child.stdout).text()).trim().split("\n");
    expect(lines.toSorted()).toEqual(["next turn", "second", "uncaught boom"]);
    expect(await child.exited).toBe(0);
  });
});

test("commitAtTurnEnd() runs work before the rest of the turn, and what it queues within the turn", async () => {
  const steps: string[] = [];
  atTurnEnd({ flush: () => steps.push("fan-out") });
  commitAtTurnEnd({
    flush: () => {
      steps.push("commit");
      atTurnEnd({ flush: () => steps.push("fan-out of the commit") });
      commitAtTurnEnd({ flush: () => steps.push("next commit") });
      void Promise.resolve().then(() => steps.push("acknowledged"));
    },
  });
  await endTurn();
  expect(steps).toEqual(["commit", "fan-out", "fan-out of the commit", "acknowledged"]);
  await endTurn();
  expect(steps.at(-1)).toBe("next commit");
});
