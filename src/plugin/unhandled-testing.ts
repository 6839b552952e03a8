import { afterEach, beforeEach, expect } from "bun:test";
import { settled } from "./fake-clock.ts";

/**
 * Fails each test of a file that leaves a rejection behind: it would end the server.
 *
 * @param end What every test ends with, before it is looked.
 */
export function allowNoUnhandled(end: () => unknown = () => {}): void {
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown) => void unhandled.push(error);
  beforeEach(() => {
    unhandled.length = 0;
    process.on("unhandledRejection", onUnhandled);
  });
  afterEach(async () => {
    await end();
    await settled();
    process.off("unhandledRejection", onUnhandled);
    expect(unhandled).toEqual([]);
  });
}
