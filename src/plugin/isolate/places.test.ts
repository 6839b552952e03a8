import { expect, test } from "bun:test";
import { Stage } from "./stage.testing.ts";
import { takePlace } from "./places.ts";

const open = (workers: number) =>
  Stage.open([{ setup: "return { transform: (draft) => draft };" }], {
    isIsolated: true,
    limits: { workers },
  });

test("A worker of a pattern channel beyond the limit is refused, until one has ended", async () => {
  const others = [takePlace("chat/a", 2), takePlace("chat/b", 2)];
  try {
    const refused: unknown = await open(2).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      name: "PluginError",
      message:
        'plugin "p0", setup, channel "chat/lobby": no worker can be started for it: those of pattern channels are 2, and "limits: { workers: 2 }" allows no more',
    });
    others[0]!();
    const stage = await open(2);
    expect(() => takePlace("chat/c", 2)).toThrow(RangeError);
    await stage.stop();
    takePlace("chat/c", 2)();
  } finally {
    for (const give of others) give();
  }
});

test("A channel that has a place may have more, as in a reload", () => {
  const [one, again] = [takePlace("chat/a", 1), takePlace("chat/a", 1)];
  one();
  one();
  expect(() => takePlace("chat/b", 1)).toThrow("those of pattern channels are 1");
  again();
  takePlace("chat/b", 1)();
});

test("A worker that could not be set up holds no place", async () => {
  const setup = `throw new Error("odd");`;
  const limits = { workers: 1 };
  for (let i = 0; i < 2; i++) {
    const failed: unknown = await Stage.open([{ setup }], { isIsolated: true, limits }).catch(
      (error: unknown) => error,
    );
    expect((failed as Error).message).toContain("odd");
  }
});
