import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rawGet, sendRaw } from "./raw-http-testing.ts";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    channels: {
      prices: {},
      "chat/{room}": {},
      "game/{id}/moves": { path: "/play/{id}" },
      "chat/lobby": { path: "/lobby" },
    },
  });
});
afterAll(() => server.stop());

async function publish(path: string): Promise<Response> {
  return fetch(server.urls.public + path, {
    method: "POST",
    body: "x",
    headers: { "content-type": "text/plain" },
  });
}

/** Names of the channels that are alive now. */
function alive(): string[] {
  return [...server.channels.live].map(({ name }) => name);
}

async function expectProblem(
  response: Response | Awaited<ReturnType<typeof sendRaw>>,
  status: number,
) {
  expect(response.status).toBe(status);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = (await new Response(response.body).json()) as Record<string, unknown>;
  expect(Object.keys(body)).toEqual(expect.arrayContaining(["type", "title", "status", "detail"]));
  expect(body["status"]).toBe(status);
  expect(body["type"]).toMatch(/^urn:tidewire:problem:[a-z0-9-]+$/);
  return body["detail"] as string;
}

describe("a path", () => {
  test("is the same channel however its letters are encoded", async () => {
    expect((await publish("/channels/chat/caf%C3%A9")).status).toBe(201);
    expect((await publish("/channels/chat/%63af%c3%a9")).status).toBe(201);
    expect(alive()).toContain("chat/café");
    expect(server.channels.peek("chat/café")!.channel.published).toBe(2);
    const raw = await sendRaw(
      server.urls.public,
      Buffer.from(rawGet("/channels/chat/café/messages"), "utf8"),
    );
    expect(JSON.parse(raw.body)).toMatchObject({ messages: [{}, {}] });
  });

  test("may hold an encoded slash within a parameter", async () => {
    const response = await publish("/channels/chat/a%2Fb");
    expect(response.status).toBe(201);
    expect(alive()).toContain("chat/a%2Fb");
    expect(server.channels.peek("chat/a%2Fb")!.params).toEqual({ room: "a/b" });
    // What the answer points at is the same channel again.
    const found = await fetch(server.urls.public + response.headers.get("location")!);
    expect(await found.text()).toBe("x");
  });

  test("of the next poll is encoded as the request wrote it", async () => {
    const path = "/channels/chat/%3Ca%3E%22%3B%0D%0AX:%20y";
    const response = await fetch(`${server.urls.public}${path}?wait=0&q=%3E%0D%0A`);
    expect(response.status).toBe(204);
    expect(response.headers.get("link")).toMatch(
      /^<\/channels\/chat\/%3Ca%3E%22%3B%0D%0AX:%20y\?wait=0&q=%3E%0D%0A&after=[0-9a-z]+-0>; rel="next"$/,
    );
    expect(response.headers.get("x")).toBeNull();
  });

  test("of the config stands for the channel's name", async () => {
    expect((await publish("/play/7")).status).toBe(201);
    expect(alive()).toContain("game/7/moves");
    await expectProblem(await publish("/channels/game/7/moves"), 404);
    expect((await publish("/lobby")).status).toBe(201);
    // A path of a pattern can mean a static channel's name: it is that channel.
    expect((await publish("/channels/chat/lobby")).status).toBe(201);
  });

  test("with broken percent-encoding, or bytes that are not UTF-8, is answered 400", async () => {
    for (const path of ["%zz", "%", "a%2", "%ff", "%c3%28", "%ed%a0%80"]) {
      const { status, body } = await sendRaw(server.urls.public, rawGet(`/channels/chat/${path}`));
      expect(status).toBe(400);
      expect(JSON.parse(body)).toMatchObject({
        type: "urn:tidewire:problem:bad-encoding",
        detail: `the path ${JSON.stringify(`channels/chat/${path}`)} has broken percent-encoding; each % is followed by two hex digits and the bytes are UTF-8`,
      });
    }
  });

  test("where nothing is served is answered 404, in a few words however long it is", async () => {
    for (const path of ["/", "/nothing", "/channels/unknown", "/channels/chat/a/b", "/channels/"]) {
      expect(await expectProblem(await fetch(server.urls.public + path), 404)).toStartWith(
        `nothing is served at ${path};`,
      );
    }
    const long = await fetch(`${server.urls.public}/${"x".repeat(10_000)}`);
    expect((await expectProblem(long, 404)).length).toBeLessThan(400);
    const tooLong = await fetch(`${server.urls.public}/channels/chat/${"x".repeat(257)}`);
    await expectProblem(tooLong, 404);
  });

  test("with dot segments can't leave where it is", async () => {
    for (const path of ["/channels/chat/..", "/channels/chat/%2e%2e", "/channels/chat/."]) {
      const { status } = await sendRaw(server.urls.public, rawGet(path));
      expect(status === 404 || status === 426).toBe(true);
    }
    expect(alive().some((name) => /\/\.{1,2}$/.test(name))).toBe(false);
  });
});

describe("a request's target and Host", () => {
  const raw = (head: string) => sendRaw(server.urls.public, `${head}\r\n\r\n`);
  const page = "/channels/prices/messages";

  test("may be of absolute form", async () => {
    expect((await raw(`GET http://other.example:81${page} HTTP/1.1\r\nHost: a`)).status).toBe(200);
  });

  test("may do without Host in HTTP/1.0", async () => {
    for (const path of [page, `${page}?u=http://x/y`, `/x/..${page}`]) {
      expect((await raw(`GET ${path} HTTP/1.0`)).status).toBe(200);
    }
    expect((await raw(`GET /channels//x HTTP/1.0`)).status).toBe(404);
  });

  test("may have any host that is one", async () => {
    for (const host of [
      "a",
      "a.example:8080",
      "A.Example",
      "[::1]:80",
      "127.0.0.1",
      "xn--caf-dma.de",
    ]) {
      expect((await raw(`GET ${page} HTTP/1.1\r\nHost: ${host}`)).status).toBe(200);
    }
  });

  test("is answered 400 when the host is none, or there are two", async () => {
    for (const host of [
      "a b",
      "[::1",
      "x:99999",
      "evil/x?y#z",
      "user@a",
      "",
      "a\r\nHost: b",
      "é",
    ]) {
      const answer = await raw(`GET ${page} HTTP/1.1\r\nHost: ${host}`);
      expect([host, answer.status]).toEqual([host, 400]);
      if (answer.body !== "") expect(await expectProblem(answer, 400)).toContain("Host is ");
    }
  });

  test("is answered 400 when it is an authority", async () => {
    const answer = await raw("CONNECT other.example:443 HTTP/1.1\r\nHost: a");
    expect(await expectProblem(answer, 400)).toContain("target is not a path");
  });
});

describe("methods", () => {
  const request = (method: string, path: string) => fetch(server.urls.public + path, { method });

  test("that a channel does not take are answered 405 with those that it takes", async () => {
    for (const method of ["PUT", "DELETE", "PATCH", "HEAD"]) {
      const response = await request(method, "/channels/prices");
      expect(response.status).toBe(405);
      expect(response.headers.get("allow")).toBe("GET, POST, OPTIONS");
      if (method === "HEAD") continue;
      expect(await expectProblem(response, 405)).toBe(
        `${method} is not allowed here; allowed are GET, POST, OPTIONS`,
      );
    }
  });

  test("that a channel's history does not take are answered 405", async () => {
    for (const path of ["/channels/prices/messages", "/channels/prices/messages/abc-1"]) {
      const response = await request("POST", path);
      expect(response.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
      await expectProblem(response, 405);
    }
  });

  test("that /channels does not take are answered 405; GET asks for a WebSocket", async () => {
    const response = await request("POST", "/channels");
    expect(response.headers.get("allow")).toBe("GET, OPTIONS");
    await expectProblem(response, 405);
    const get = await request("GET", "/channels");
    expect(get.headers.get("upgrade")).toBe("websocket");
    expect(await expectProblem(get, 426)).toContain('subprotocol "tidewire.v1"');
  });

  test("OPTIONS answers 204 with what is allowed", async () => {
    const allowed = {
      "/channels/prices": "GET, POST, OPTIONS",
      "/channels/prices/messages": "GET, HEAD, OPTIONS",
      "/channels": "GET, OPTIONS",
    };
    for (const [path, allow] of Object.entries(allowed)) {
      const response = await request("OPTIONS", path);
      expect([response.status, response.headers.get("allow")]).toEqual([204, allow]);
    }
    await expectProblem(await request("OPTIONS", "/nothing"), 404);
  });

  test("HEAD of the history answers what GET does, without the body", async () => {
    const { headers } = await publish("/channels/prices");
    for (const path of ["/channels/prices/messages", headers.get("location")!]) {
      const head = await request("HEAD", path);
      const get = await request("GET", path);
      expect(head.status).toBe(200);
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type")!);
      expect(head.headers.get("content-length")).toBe(String((await get.bytes()).length));
      expect(await head.text()).toBe("");
    }
  });
});
