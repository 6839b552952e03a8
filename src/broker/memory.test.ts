import { describe, expect, jest, test } from "bun:test";
import { sealDraft } from "../channel/message.ts";
import { MemoryBroker } from "./memory.ts";

const LIMIT = { through: Infinity, count: Infinity, bytes: Infinity };
const draft = (data: string) => [sealDraft({ data }, 1024)];

function open() {
  let nowMs = 1_000_000;
  const broker = new MemoryBroker(() => nowMs);
  const log = broker.open("prices", { size: 100, ttlMs: 1000 }, () => {});
  /** What is kept in truth: a log that looks at an earlier time hides nothing. */
  const kept = async () => {
    const now = nowMs;
    nowMs = 0;
    const { messages } = await log.read(0, LIMIT);
    nowMs = now;
    return messages.map(({ offset }) => offset);
  };
  return { broker, log, kept, wait: (ms: number) => void (nowMs += ms) };
}

describe("MemoryBroker", () => {
  test("lets go of messages that are too old though nobody reads", async () => {
    const { broker, log, kept, wait } = open();
    await log.append(draft("a"));
    wait(500);
    await log.append(draft("b"));
    wait(500);
    expect(await kept()).toEqual([1, 2]);
    broker.sweep();
    expect(await kept()).toEqual([2]);
    await broker.close();
  });

  test("does so by itself every second, until it is closed", async () => {
    jest.useFakeTimers();
    try {
      const { broker, log, kept, wait } = open();
      await log.append(draft("a"));
      wait(1000);
      jest.advanceTimersByTime(999);
      expect(await kept()).toEqual([1]);
      jest.advanceTimersByTime(1);
      expect(await kept()).toEqual([]);
      await log.append(draft("b"));
      await broker.close();
      wait(1000);
      jest.advanceTimersByTime(5000);
      expect(await kept()).toEqual([2]);
    } finally {
      jest.useRealTimers();
    }
  });

  test("starts a closed log in another epoch: nothing of it is kept", () => {
    const { broker, log } = open();
    log.close();
    const again = broker.open("prices", { size: 100, ttlMs: 1000 }, () => {});
    expect(again.epoch).not.toBe(log.epoch);
    return broker.close();
  });

  test("lets the process end", async () => {
    const script = `
      import { MemoryBroker } from ${JSON.stringify(import.meta.resolve("./memory.ts"))};
      new MemoryBroker();
    `;
    expect(await Bun.spawn([process.execPath, "-e", script]).exited).toBe(0);
  });
});
