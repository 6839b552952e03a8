import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rawGet, sendRaw } from "./raw-http-testing.ts";
import { startTestServer, type TestServer } from "./testing.ts";

const APP = "https://app.example";
const OTHER = "https://other.example";

let none: TestServer;
let some: TestServer;
let any: TestServer;
beforeAll(async () => {
  const start = (cors: "*" | string[]) =>
    startTestServer({ channels: { prices: {} }, server: { cors } });
  [none, some, any] = await Promise.all([start([]), start([APP]), start("*")]);
});
afterAll(() => Promise.all([none.stop(), some.stop(), any.stop()]));

function request(server: TestServer, origin: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${server.urls.public}/channels/prices?wait=0`, {
    ...init,
    headers: { ...(init.headers as Record<string, string>), origin },
  });
}

const POST = { method: "POST", body: "x", headers: { "content-type": "text/plain" } };

async function upgrade(
  server: TestServer,
  origin: string,
  path = "/channels/prices",
): Promise<number | null> {
  const handshake =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tidewire.v1\r\n";
  const answer = await sendRaw(
    server.urls.public,
    rawGet(path, `${handshake}Origin: ${origin}\r\n`),
  );
  return answer.status;
}

describe("a page of an allowed origin", () => {
  test("may read answers, and the headers that it needs to go on", async () => {
    const { headers } = await request(some, APP);
    expect(headers.get("access-control-allow-origin")).toBe(APP);
    for (const name of ["Link", "Location", "Retry-After", "Idempotent-Replayed"]) {
      expect(headers.get("access-control-expose-headers")!.split(", ")).toContain(name);
    }
    expect(headers.get("vary")).toBe("Origin, Accept, Accept-Encoding");
  });

  test("may read the answer to a poll that waited", async () => {
    const poll = fetch(`${some.urls.public}/channels/prices`, { headers: { origin: APP } });
    while (some.connections === 0) await new Promise(setImmediate);
    await request(some, APP, POST);
    const { status, headers } = await poll;
    expect([status, headers.get("access-control-allow-origin")]).toEqual([200, APP]);
  });

  test("may read what went wrong", async () => {
    const response = await request(some, APP, { method: "PUT" });
    expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([
      405,
      APP,
    ]);
  });

  test("may POST and open WebSockets", async () => {
    expect((await request(some, APP, POST)).status).toBe(201);
    expect(await upgrade(some, APP)).toBe(101);
    expect(await upgrade(some, APP, "/channels")).toBe(101);
  });

  test("is told so by the preflight", async () => {
    const { status, headers } = await request(some, APP, {
      method: "OPTIONS",
      headers: {
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-mine",
      },
    });
    expect(status).toBe(204);
    expect(headers.get("access-control-allow-origin")).toBe(APP);
    expect(headers.get("access-control-allow-methods")).toBe("GET, POST, OPTIONS");
    expect(headers.get("access-control-allow-headers")).toBe("content-type,x-mine");
    expect(headers.get("access-control-max-age")).toBe("600");
  });
});

describe("a page of a foreign origin", () => {
  for (const origin of [
    OTHER,
    "null",
    `${APP}:8443`,
    "http://app.example",
    `${APP}.evil.example`,
  ]) {
    test(`${origin} may not POST, open a WebSocket or read`, async () => {
      const response = await request(some, origin, POST);
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject({
        type: "urn:tidewire:problem:origin-not-allowed",
        detail: `pages of ${origin} may not use this server; the config may say "server: { cors: [${JSON.stringify(origin)}] }"`,
      });
      expect(await upgrade(some, origin)).toBe(403);
      expect(await upgrade(some, origin, "/channels")).toBe(403);
      const read = await request(some, origin);
      expect(read.headers.get("access-control-allow-origin")).toBeNull();
      // A cache must not hand the answer for one origin to another.
      expect(read.headers.get("vary")).toContain("Origin");
      const preflight = await request(some, origin, { method: "OPTIONS" });
      expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
    });
  }

  test("may do anything where the config says so, but not with credentials", async () => {
    const response = await request(any, OTHER, POST);
    expect(response.status).toBe(201);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-allow-credentials")).toBeNull();
    expect(await upgrade(any, OTHER)).toBe(101);
  });

  test("published nothing", async () => {
    expect(none.channels.peek("prices")!.channel.published).toBe(0);
    await request(none, OTHER, POST);
    expect(none.channels.peek("prices")!.channel.published).toBe(0);
  });
});

test("a page of the server's own origin may do everything, behind a proxy that ends the TLS too", async () => {
  const own = new URL(none.urls.public);
  for (const origin of [own.origin, `https://${own.host}`]) {
    expect((await request(none, origin, POST)).status).toBe(201);
    expect(await upgrade(none, origin.replace(own.host, "localhost"))).toBe(101);
  }
});

test("a client that is no page needs no origin", async () => {
  const response = await fetch(`${none.urls.public}/channels/prices`, POST);
  expect(response.status).toBe(201);
  expect(response.headers.get("access-control-allow-origin")).toBeNull();
});
