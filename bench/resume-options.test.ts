import { expect, test } from "bun:test";
import { parseResumeOptions } from "./resume-options.ts";

test("parseResumeOptions() reads what is given, and has defaults for the rest", () => {
  const options = parseResumeOptions(["--transport", "sse,long-poll", "--live", "0"]);
  expect(options).toMatchObject({ transports: ["sse", "long-poll"], clients: 10_000, live: 0 });
  const restarted = parseResumeOptions(["--broker", "sqlite", "--restart"]);
  expect(restarted).toMatchObject({ isDurable: true, restart: true, live: 0 });
});

test.each([
  [["--transport", "carrier-pigeon"], "it knows websocket, websocket-v1, sse, long-poll"],
  [["--clients", "many"], '--clients takes a whole number from 1, not "many"'],
  [["--live", "-1"], "--live"],
  [["--broker", "redis"], 'does not know "redis"'],
  [["--restart"], "--restart needs --broker sqlite"],
  [["--fast"], "--fast"],
])("parseResumeOptions() refuses %p", (args, message) => {
  expect(() => parseResumeOptions(args)).toThrow(message);
});
