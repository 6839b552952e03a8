/** How a server stops: clients are told to come back, what is under way is finished, in a limited time. */
import { connect as connectHttp2 } from "node:http2";
import { describe, expect, test } from "bun:test";
import { gated } from "./gated-testing.ts";
import { connectTcp } from "./raw-http-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer } from "./testing.ts";
import { until } from "./until-testing.ts";

const free = { hostname: "127.0.0.1", port: 0 };
const text = { "content-type": "text/plain" };

async function expectNotReady(control: string): Promise<void> {
  expect((await fetch(`${control}/readyz`)).status).toBe(503);
  expect((await fetch(`${control}/healthz`)).status).toBe(200);
}

describe("stop()", () => {
  test("closes WebSockets with 1001", async () => {
    const server = await startTestServer({ channels: { prices: {} } });
    const sockets = [
      await TestSocket.open(`${server.urls.public}/channels/prices`),
      await TestSocket.open(`${server.urls.public}/channels`, "tidewire.v1"),
    ];
    const stopped = server.stop();
    for (const socket of sockets) {
      expect(await socket.next()).toEqual({ code: 1001, reason: "the server stops; come back" });
    }
    await stopped;
    expect(server.connections).toBe(0);
  });

  test("ends SSE streams after telling them when to come back", async () => {
    const server = await startTestServer({
      channels: { prices: {} },
      sse: { retryMs: 2000 },
      shutdown: { drainMs: 4000 },
    });
    const response = await fetch(`${server.urls.public}/channels/prices`, {
      headers: { accept: "text/event-stream" },
    });
    const body = response.text();
    await until(() => server.connections === 1);
    await server.stop();
    const retries = [...(await body).matchAll(/^retry: (\d+)$/gm)].map((match) => Number(match[1]));
    expect(retries[0]).toBe(2000);
    // Spread over half of the time that the server takes.
    expect(retries[1]).toBeGreaterThanOrEqual(2000);
    expect(retries[1]).toBeLessThanOrEqual(4000);
  });

  test("answers polls that wait with 204, when to come back and where to go on", async () => {
    const server = await startTestServer({ channels: { prices: {} }, shutdown: { drainMs: 100 } });
    const poll = fetch(`${server.urls.public}/channels/prices`);
    await until(() => server.connections === 1);
    await server.stop();
    const { status, headers } = await poll;
    expect(status).toBe(204);
    expect(headers.get("retry-after")).toMatch(/^[01]$/);
    expect(headers.get("link")).toMatch(/^<\/channels\/prices\?after=[0-9a-z]+-0>; rel="next"$/);
  });

  test("tells HTTP/2 push clients with a last line", async () => {
    const server = await startTestServer({
      channels: { prices: {} },
      server: { http2Push: { listen: free, tls: null } },
    });
    const session = connectHttp2(server.urls.http2Push!);
    session.on("error", () => {});
    const stream = session.request({
      ":path": "/channels/prices",
      accept: "application/vnd.tidewire.push",
    });
    let lines = "";
    const ended = new Promise((resolve) => stream.setEncoding("utf8").on("end", resolve));
    const subscribed = new Promise<void>((resolve) =>
      stream.on("data", (chunk: string) => {
        lines += chunk;
        resolve();
      }),
    );
    await subscribed;
    await server.stop();
    await ended;
    expect(JSON.parse(lines.trim().split("\n").at(-1)!)).toMatchObject({
      type: "closing",
      code: 1001,
    });
    session.destroy();
  });

  test("answers publishes under way, when they are committed", async () => {
    const gates = [gated("direct"), gated("controlled")];
    const [direct, controlled] = gates.map(({ plugin }) => ({ plugins: [plugin] }));
    const server = await startTestServer({
      channels: { direct: direct!, controlled: controlled! },
      control: { listen: free, token: null },
      shutdown: { drainMs: 5000 },
    });
    const answers = [
      fetch(`${server.urls.public}/channels/direct`, { method: "POST", body: "x", headers: text }),
      fetch(`${server.urls.control}/publish`, {
        method: "POST",
        body: JSON.stringify({ channel: "controlled", data: 1 }),
      }),
    ];
    for (const { begun } of gates) await begun;
    const stopped = server.stop();
    await expectNotReady(server.urls.control!);
    for (const { open } of gates) open();
    for (const answer of await Promise.all(answers)) {
      expect(answer.status).toBe(201);
      expect(await answer.text()).toMatch(/"id":"\w+-1"/);
    }
    await stopped;
  });

  test("takes no new connection, and no further subscriber on one that is there", async () => {
    const { plugin, begun, open } = gated();
    const server = await startTestServer({
      channels: { prices: {}, slow: { plugins: [plugin] } },
      control: { listen: free, token: null },
      shutdown: { drainMs: 5000 },
    });
    const poll = "GET /channels/prices HTTP/1.1\r\nHost: a\r\n\r\n";
    let got = "";
    let isClosed = false;
    const { hostname, port } = new URL(server.urls.public);
    await Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        open: (socket) => void socket.write(poll),
        // A client that comes back on its old connection at once, whatever it was told.
        data(socket, chunk) {
          got += chunk;
          if (got.includes(" 204 ") && !got.includes(" 503 ")) socket.write(poll);
        },
        close: () => void (isClosed = true),
      },
    });
    const post = fetch(`${server.urls.public}/channels/slow`, {
      method: "POST",
      body: "x",
      headers: text,
    });
    await begun;
    await until(() => server.connections === 1);
    const stopped = server.stop();
    await until(() => isClosed || got.includes(" 503 "));
    expect(got).toStartWith("HTTP/1.1 204 ");
    if (got.includes(" 503 ")) expect(got).toContain("urn:tidewire:problem:stopping");
    expect(server.connections).toBe(0);
    await expect(connectTcp(server.urls.public, "")).rejects.toThrow();
    await expectNotReady(server.urls.control!);
    open();
    expect((await post).status).toBe(201);
    await stopped;
  });

  test("takes no longer than shutdown.drain, whatever is under way", async () => {
    const { plugin, begun } = gated();
    const server = await startTestServer({
      channels: { prices: { plugins: [plugin] } },
      server: { http2Push: { listen: free, tls: null } },
      shutdown: { drainMs: 200 },
    });
    const post = fetch(`${server.urls.public}/channels/prices`, {
      method: "POST",
      body: "x",
      headers: text,
    });
    const failed = post.then(
      () => false,
      () => true,
    );
    // Half a body, which never comes to its end.
    const half = await connectTcp(
      server.urls.public,
      "POST /channels/prices HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
    );
    await begun;
    const started = performance.now();
    await server.stop();
    expect(performance.now() - started).toBeLessThan(1500);
    expect(await failed).toBe(true);
    half.terminate();
  });

  test("leaves its ports free, and is done once however often it is called", async () => {
    const server = await startTestServer({ channels: {}, control: { listen: free, token: null } });
    const listens = [server.urls.public, server.urls.control!].map((url) => ({
      hostname: "127.0.0.1",
      port: Number(new URL(url).port),
    }));
    expect(server.stop()).toBe(server.stop());
    await server.stop();
    const next = await startTestServer({
      channels: {},
      server: { listen: listens[0]! },
      control: { listen: listens[1]!, token: null },
    });
    await next.stop();
  });
});
