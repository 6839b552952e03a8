/**
 * The server that bad input is thrown at, in a process of its own, so that its memory and files can be
 * counted. Writes its URLs as one line; for each line on stdin, one that tells how it stands.
 */
import { createLog } from "../../src/log.ts";
import { startServer } from "../../src/server/server.ts";
import { testConfig } from "../../src/server/testing.ts";

const listen = { hostname: "127.0.0.1", port: 0 };
const errors: string[] = [];

const server = await startServer({
  config: testConfig({
    channels: {
      check: { history: { size: 20, ttlMs: 60_000 } },
      closed: { publish: "nobody" },
      strict: {
        schema: { type: "object", properties: { text: { type: "string" }, child: { $ref: "#" } } },
      },
      stream: { transports: ["sse"] },
      // Streams of many channels have these beside `check`: bad input may rightly have filled the pattern's places.
      "room/a-quiet-one": {},
      "room/z-quiet-one": {},
      "room/{name}": { history: { size: 5, ttlMs: 60_000 } },
    },
    server: { http2Push: { listen, tls: null } },
    control: { listen, token: null },
    // Small, so that what they bound is reached and memory that is rightly held is little.
    limits: { message: 16_384, channels: 20, buffer: 65_536 },
  }),
  plugins: new Map(),
  log: createLog({ level: "error", format: "json", write: (line) => void errors.push(line) }),
});

process.on("uncaughtException", (error) => void errors.push(`uncaught: ${error.stack}`));
process.on("unhandledRejection", (error) => void errors.push(`unhandled: ${String(error)}`));

const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
say(server.urls);
for await (const _line of console) {
  Bun.gc(true);
  say({
    connections: server.connections,
    held: [...server.channels.live].reduce((sum, { held }) => sum + held, 0),
    subscribers: [...server.channels.live].reduce(
      (sum, { channel }) => sum + channel.fanOut.size,
      0,
    ),
    rss: process.memoryUsage.rss(),
    errors: errors.splice(0),
  });
}
