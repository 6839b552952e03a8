/** Limits of a config file, in the executable: what Bun itself enforces has to hold there too. */
import { afterAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { Folder, start } from "./executable.ts";

const CONFIG = `
server: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
limits:
  connections_per_address: 1
  publishes: { per_second: 1, burst: 2, loopback: true }
  headers: 8KiB
  body: { time: 200ms, rate: 1KiB }
channels: { news: { publish: clients, history: { bytes: 1KiB } } }
`;

const folder = new Folder({ "tidewire.yaml": CONFIG });
afterAll(() => folder[Symbol.dispose]());

/** All that comes back until the server ends the connection; a byte is sent now and then. */
function exchange(url: string, request: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  let text = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => (text += chunk.toString("latin1")));
  socket.write(request);
  const timer = setInterval(() => socket.write("x"), 20);
  return new Promise((resolve) =>
    socket.on("close", () => {
      clearInterval(timer);
      resolve(text);
    }),
  );
}

test("the executable refuses what is over the limits of its config, and reports them", async () => {
  await using server = await start(folder);
  const url = server.publicUrl;
  const long = `GET /channels/news HTTP/1.1\r\nHost: a\r\nX-Long: ${"x".repeat(9000)}\r\n\r\n`;
  expect(await exchange(url, long)).toStartWith("HTTP/1.1 431 ");

  const fields = "Host: a\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n";
  const slow = await exchange(url, `POST /channels/news HTTP/1.1\r\n${fields}\r\n`);
  expect(slow).toStartWith("HTTP/1.1 408 ");

  const post = (body: string) =>
    fetch(`${url}/channels/news`, {
      method: "POST",
      body,
      headers: { "content-type": "text/plain" },
    });
  for (const each of ["a", "b"]) expect((await post(each.repeat(1000))).status).toBe(201);
  const refused = await post("c");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);

  const headers = { accept: "text/event-stream" };
  const stream = await fetch(`${url}/channels/news`, { headers });
  expect(stream.status).toBe(200);
  expect((await fetch(`${url}/channels/news`, { headers })).status).toBe(429);

  const report = (await (await fetch(`${server.controlUrl}/channels`)).json()) as Report;
  expect(report.limits["connections_per_address"]).toEqual({ limit: 1, now: 1 });
  expect(report.limits["publishes"]).toEqual({
    per_second: 1,
    burst: 2,
    loopback: true,
    addresses: 1,
  });
  expect(report.limits["headers"]).toBe(8192);
  // Of two messages of 1,000 bytes, one fits.
  expect(report.channels[0]!.history).toMatchObject({ count: 1, bytes: 1000, maxBytes: 1024 });
  await stream.body!.cancel();
});

interface Report {
  readonly limits: Readonly<Record<string, unknown>>;
  readonly channels: readonly { readonly history: object }[];
}
