import { expect, test } from "bun:test";
import { parseOptions } from "./options.ts";

test("parseOptions() measures everything, unless told what to leave out", () => {
  expect(parseOptions([])).toMatchObject({
    transports: ["websocket", "sse", "long-poll", "http2-push"],
    plugins: true,
    sqlite: true,
    servers: ["tidewire", "bare", "nchan", "ws", "socket.io", "better-sse"],
    connections: 10_000,
  });
  const some = parseOptions(["--only", "sse", "--servers", "bare,nchan", "--secs", "2"]);
  expect(some).toMatchObject({ transports: ["sse"], servers: ["bare", "nchan"], seconds: 2 });
  expect([some.plugins, some.sqlite]).toEqual([false, false]);
  expect(parseOptions(["--only", "plugins"])).toMatchObject({ transports: [], plugins: true });
  expect(parseOptions(["--only", "sqlite"])).toMatchObject({ transports: [], sqlite: true });
});

for (const [args, reason] of [
  [["--only", "sse,ws"], '--only does not know "ws"; it knows websocket, sse, long-poll'],
  [["--secs", "0"], '--secs takes a whole number from 1, not "0"'],
  [["--subs", "1e9"], '--subs takes a whole number from 1, not "1e9"'],
  [["--frob"], "--frob"],
] as const) {
  test(`parseOptions() refuses ${args.join(" ")}`, () => {
    expect(() => parseOptions(args)).toThrow(reason);
  });
}
