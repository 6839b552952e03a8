/** The public listener with TLS: HTTPS over HTTP/1.1, HTTP/2 and HTTP/3, and secure WebSockets. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startTestServer, type TestServer } from "./testing.ts";

let server: TestServer;
let id: string;
beforeAll(async () => {
  server = await startTestServer({
    channels: { prices: {} },
    server: { tls: "self-signed" },
    limits: { message: 1000 },
  });
  const answer = await curl(
    "/channels/prices",
    "--http1.1",
    "-H",
    "Content-Type: text/plain",
    "-d",
    "one",
  );
  ({ id } = JSON.parse(answer.body) as { id: string });
});
afterAll(() => server.stop());

interface Answer {
  /** The first line: `HTTP/2 200`. */
  readonly line: string;
  readonly head: string;
  readonly body: string;
}

/** Runs curl, which ends when the answer does, or when `until` has come. */
async function curl(path: string, ...options: string[]): Promise<Answer> {
  const child = Bun.spawn(
    ["curl", "-sSik", "--max-time", "5", ...options, server.urls.public + path],
    {
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  return cut(await new Response(child.stdout).text());
}

function cut(text: string): Answer {
  const end = text.indexOf("\r\n\r\n");
  const head = text.slice(0, end);
  return {
    line: head.split("\r\n")[0]!.trim(),
    head: head.toLowerCase(),
    body: text.slice(end + 4),
  };
}

test("has an https URL", () => {
  expect(server.urls.public).toStartWith("https://127.0.0.1:");
});

test("serves HTTP/1.1 and HTTP/2, whichever the client chooses", async () => {
  const one = await curl("/channels/prices?after=earliest", "--http1.1");
  expect([one.line, one.body]).toEqual(["HTTP/1.1 200 OK", "one"]);
  const two = await curl("/channels/prices?after=earliest", "--http2");
  expect([two.line, two.body]).toEqual(["HTTP/2 200", "one"]);
  expect(two.head).toContain(`etag: "${id}"`);
});

test("serves SSE over HTTP/2", async () => {
  const child = Bun.spawn(
    [
      "curl",
      "-sSikN",
      "--http2",
      "-H",
      "Accept: text/event-stream",
      `${server.urls.public}/channels/prices?after=earliest`,
    ],
    { stdout: "pipe" },
  );
  let text = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("data: one\n\n")) break;
  }
  child.kill();
  await child.exited;
  expect(cut(text).line).toBe("HTTP/2 200");
  expect(text).toContain(`id: ${id}\ndata: one\n\n`);
});

/** Not by curl: it takes an answer that comes before the end of the body for a broken stream. */
function post(protocol: string, data: string, origin?: string): Promise<Response> {
  return fetch(`${server.urls.public}/channels/prices`, {
    method: "POST",
    body: data,
    headers: { "content-type": "text/plain", ...(origin ? { origin } : {}) },
    protocol,
    tls: { rejectUnauthorized: false },
  } as RequestInit);
}

for (const protocol of ["http1.1", "http2", "http3"]) {
  test(`takes publishes over ${protocol}, and refuses those that are too large`, async () => {
    expect((await post(protocol, "two")).status).toBe(201);
    const refused = await post(protocol, "x".repeat(1001));
    expect(refused.status).toBe(413);
    expect(await refused.json()).toMatchObject({ type: "urn:tidewire:problem:too-large" });
  });

  test(`knows a page of its own over ${protocol}, and no other`, async () => {
    expect((await post(protocol, "x", server.urls.public)).status).toBe(201);
    expect((await post(protocol, "x", "https://other.example")).status).toBe(403);
  });
}

test("answers problems over HTTP/2 as over HTTP/1.1", async () => {
  for (const [path, status] of [
    ["/channels/none", 404],
    ["/channels/prices?wait=x", 400],
    ["/channels", 426],
  ]) {
    const { line, body } = await curl(path as string, "--http2");
    expect(line).toBe(`HTTP/2 ${status}`);
    expect(JSON.parse(body)).toMatchObject({ status });
  }
});

test("upgrades to a secure WebSocket", async () => {
  const socket = new WebSocket(
    `${server.urls.public.replace("https", "wss")}/channels/prices?after=earliest`,
    {
      tls: { rejectUnauthorized: false },
    } as unknown as string[],
  );
  const first = await new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = () => reject(new Error("the socket failed"));
  });
  expect(first).toBe("one");
  socket.close();
});

test("serves HTTP/3", async () => {
  const response = await fetch(`${server.urls.public}/channels/prices?after=earliest`, {
    protocol: "http3",
    tls: { rejectUnauthorized: false },
  } as RequestInit);
  expect(response.status).toBe(200);
  expect(await response.text()).toBe("one");
});
