import { expect, test } from "bun:test";
import { LagBudget } from "./lag-budget.ts";
import { LagWindow } from "./lag-window.ts";
import type { Message } from "./message.ts";

test("LagWindow.read() looks at few messages, however many keys wait", () => {
  const budget = new LagBudget(1e6);
  budget.enter({});
  const window = new LagWindow(true, budget);
  window.size = 1;
  let looks = 0;
  let top = 0;
  const message = (name: number) => {
    const at = ++top;
    return {
      channel: "prices",
      size: 800,
      get key() {
        looks++;
        return `${name}`;
      },
      get offset() {
        looks++;
        return at;
      },
    } as Message;
  };
  window.cover(Array.from({ length: 1000 }, (_, name) => message(name)));
  for (let name = 0; name < 100; name++) {
    window.cover([message(name)]);
    looks = 0;
    expect(window.read(500, 5, Infinity)).toHaveLength(5);
    expect(looks).toBeLessThan(50);
  }
});
