import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sendRaw } from "./raw-http-testing.ts";
import { TestSocket } from "./socket-testing.ts";
import { startTestServer, type TestServer } from "./testing.ts";

const listen = { hostname: "127.0.0.1", port: 0 };

let server: TestServer;
let url: string;
beforeAll(async () => {
  server = await startTestServer({
    channels: { prices: {}, "chat/{room}": {} },
    control: { listen, token: null },
  });
  url = server.urls.control!;
});
afterAll(() => server.stop());

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Publishes one message to each channel, which brings it to life. */
async function publish(channels: readonly string[]): Promise<void> {
  const response = await fetch(`${url}/publish`, {
    method: "POST",
    body: JSON.stringify({ channels, data: 1 }),
  });
  expect(response.status).toBe(201);
}

describe("GET", () => {
  const get = async (path: string): Promise<Answer> => {
    const response = await fetch(url + path);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  test("/channels tells of every channel that is alive, and of patterns that are not", async () => {
    const socket = await TestSocket.open(`${server.urls.public}/channels/chat/seen`, "tidewire.v1");
    await socket.json();
    const { body } = await get("/channels");
    expect(body["channels"]).toContainEqual({
      name: "chat/seen",
      pattern: "chat/{room}",
      params: { room: "seen" },
      transports: ["websocket", "sse", "long-poll", "http2-push"],
      id: expect.stringMatching(/-0$/),
      published: 0,
      connections: { websocket: 1 },
      slow: { policy: "disconnect", lagging: 0, dropped: 0 },
      history: { count: 0, bytes: 0, size: 100, ttlMs: 600_000 },
      plugins: [],
    });
    expect(body["idle"]).toEqual([]);
    socket.close();
  });

  test("/channels/<name> finds names with slashes, encoded or not", async () => {
    await publish(["chat/x", "chat/y%2Fz", "chat/é"]);
    for (const [path, name] of [
      ["chat/x", "chat/x"],
      ["chat%2Fx", "chat/x"],
      ["chat/y%2Fz", "chat/y%2Fz"],
      ["chat/%C3%A9", "chat/é"],
    ]) {
      expect((await get(`/channels/${path}`)).body).toMatchObject({ name, published: 1 });
    }
  });

  test("/channels/<name> answers 404, and says whether it is declared", async () => {
    const unknown = await get("/channels/nowhere");
    expect([unknown.status, unknown.body["detail"]]).toEqual([
      404,
      'there is no channel "nowhere"',
    ]);
    const idle = await get("/channels/chat/nobody");
    expect([idle.status, idle.body["detail"]]).toEqual([
      404,
      'channel "chat/nobody" is declared, but nobody uses it now',
    ]);
    expect((await get("/channels/chat/%zz")).status).toBe(400);
  });

  test("/healthz and /readyz answer, to old probes too", async () => {
    expect(await get("/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
    expect(await get("/readyz")).toEqual({ status: 200, body: { status: "ready" } });
    expect((await sendRaw(url, "GET /healthz HTTP/1.0\r\n\r\n")).status).toBe(200);
    expect((await fetch(`${url}/healthz`, { method: "HEAD" })).status).toBe(200);
  });
});

describe("a request that there is nothing for", () => {
  test("is answered 405 with the method that would be right", async () => {
    for (const [method, path, allow] of [
      ["GET", "/publish", "POST"],
      ["PUT", "/publish", "POST"],
      ["POST", "/channels", "GET"],
      ["DELETE", "/channels/chat/x", "GET"],
      ["POST", "/healthz", "GET, HEAD"],
    ] as const) {
      const response = await fetch(url + path, { method });
      expect([method, path, response.status]).toEqual([method, path, 405]);
      expect(response.headers.get("allow")).toBe(allow);
      expect(await response.json()).toMatchObject({
        type: "urn:tidewire:problem:method-not-allowed",
      });
    }
  });

  test("is answered 404 with what there is", async () => {
    const response = await fetch(`${url}/${"x".repeat(5000)}`);
    expect(response.status).toBe(404);
    const { detail } = (await response.json()) as { detail: string };
    expect(detail).toStartWith("the control listener serves POST /publish, GET /channels,");
    expect(detail.length).toBeLessThan(400);
  });

  test("is answered 400 when its Host or target is none", async () => {
    for (const head of ["GET /channels HTTP/1.1\r\nHost: a b", "CONNECT x:1 HTTP/1.1\r\nHost: a"]) {
      const { status, body } = await sendRaw(url, `${head}\r\n\r\n`);
      expect(status).toBe(400);
      expect(JSON.parse(body)).toMatchObject({ status: 400 });
    }
  });
});

describe("access", () => {
  const status = async (host: string, headers = "") =>
    (await sendRaw(url, `GET /channels HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`)).status;

  test("without a token is for names of this machine alone", async () => {
    for (const host of ["localhost", "127.0.0.1:9090", "127.8.8.8", "[::1]:9090", "LOCALHOST"]) {
      expect([host, await status(host)]).toEqual([host, 200]);
    }
    // DNS rebinding: a page of a foreign name whose address is now this machine's.
    for (const host of [
      "evil.example",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "10.0.0.1",
    ]) {
      expect([host, await status(host)]).toEqual([host, 403]);
    }
    expect((await sendRaw(url, "GET /channels HTTP/1.0\r\n\r\n")).status).toBe(403);
  });

  test("is not for pages of other origins", async () => {
    for (const origin of ["https://evil.example", "null", "http://localhost:1"]) {
      expect([origin, await status("localhost", `Origin: ${origin}\r\n`)]).toEqual([origin, 403]);
    }
    expect(await status("localhost:8", "Origin: http://localhost:8\r\n")).toBe(200);
  });

  test("with a token needs it, from everywhere, health aside", async () => {
    const guarded = await startTestServer({ channels: {}, control: { listen, token: "s3cret" } });
    const ask = (path: string, authorization?: string) =>
      fetch(guarded.urls.control! + path, { headers: authorization ? { authorization } : {} });
    for (const wrong of [
      undefined,
      "Bearer",
      "Bearer wrong",
      "Bearer s3cret2",
      "Basic s3cret",
      "s3cret",
    ]) {
      const response = await ask("/channels", wrong);
      expect([wrong, response.status]).toEqual([wrong, 401]);
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
      expect(await response.json()).toMatchObject({
        detail:
          "the control listener needs its token: Authorization: Bearer <control.token of the config>",
      });
    }
    for (const right of ["Bearer s3cret", "bearer  s3cret"]) {
      expect((await ask("/channels", right)).status).toBe(200);
    }
    expect((await ask("/healthz")).status).toBe(200);
    expect((await ask("/readyz")).status).toBe(200);
    const elsewhere = `GET /channels HTTP/1.1\r\nHost: control.internal\r\nAuthorization: Bearer s3cret\r\n\r\n`;
    expect((await sendRaw(guarded.urls.control!, elsewhere)).status).toBe(200);
    await guarded.stop();
  });
});

test("a control listener on a unix socket serves there, and takes the place of a dead one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-"));
  const unix = join(folder, "control.sock");
  const start = () =>
    startTestServer({ channels: { prices: {} }, control: { listen: { unix }, token: null } });
  const first = await start();
  expect(first.urls.control).toBe(`unix:${unix}`);
  const response = await fetch("http://tidewire/publish", {
    unix,
    method: "POST",
    body: JSON.stringify({ channel: "prices", data: 1 }),
  });
  expect(response.status).toBe(201);
  await first.stop();
  // A server that was killed leaves its socket behind.
  await Bun.spawn([
    "node",
    "-e",
    `require("net").createServer().listen(${JSON.stringify(unix)}, () => process.kill(process.pid, 9))`,
  ]).exited;
  expect((await stat(unix)).isSocket()).toBe(true);
  const second = await start();
  expect((await fetch("http://tidewire/healthz", { unix })).status).toBe(200);
  // Whoever uses a socket names some host, often the shortest.
  const named = await fetch("http://x/channels/prices", { unix });
  expect(await named.json()).toMatchObject({ name: "prices" });
  // One that is alive is not pushed aside.
  expect(start()).rejects.toThrow(`can't listen on unix:${unix}: another program listens there`);
  expect((await fetch("http://tidewire/healthz", { unix })).status).toBe(200);
  await second.stop();
  await rm(folder, { recursive: true });
});
