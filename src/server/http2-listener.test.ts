import { expect, test } from "bun:test";
import { connect } from "node:net";
import { run, runNode, startListener, until } from "./http2-testing.ts";

const text = (value: string) => new Response(value, { headers: { "content-type": "text/plain" } });

test("listenHttp2() gives the handler method, URL, headers and body of a stream", async () => {
  await using server = await startListener(async (request) => {
    const { method, url, headers } = request;
    return Response.json({
      method,
      url,
      host: headers.get("host"),
      custom: headers.get("x-custom"),
      cookie: headers.get("cookie"),
      body: await request.text(),
    });
  });
  using client = await runNode(
    server.url,
    `const session = connect();
     const headers = { ":method": "POST", ":path": "//elsewhere.example/a?b=%20c", "x-custom": ["1", "2"], cookie: ["a=1", "b=2"] };
     const { status, text } = await request(session, headers, "é".repeat(100_000));
     const { body, ...rest } = JSON.parse(text);
     say({ status, length: body.length, ...rest });
     session.close();`,
  );
  expect(await client.next()).toEqual({
    status: 200,
    length: 100_000,
    method: "POST",
    url: `${server.url}//elsewhere.example/a?b=%20c`,
    host: `127.0.0.1:${server.listener.port}`,
    custom: "1, 2",
    cookie: "a=1; b=2",
  });
});

test("listenHttp2() leaves out the fields that only HTTP/1.1 knows and keeps each cookie", async () => {
  await using server = await startListener(() => {
    const headers = new Headers({ connection: "keep-alive", "transfer-encoding": "chunked" });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    return new Response("x", { status: 201, headers });
  });
  using client = await runNode(
    server.url,
    `const session = connect();
     const { status, headers } = await request(session, { ":path": "/" });
     say({ status, cookies: headers["set-cookie"], connection: headers.connection ?? null });
     session.close();`,
  );
  expect(await client.next()).toEqual({ status: 201, cookies: ["a=1", "b=2"], connection: null });
});

test("listenHttp2() serves TLS and cleartext to curl", async () => {
  for (const tls of [true, false]) {
    await using server = await startListener((request) => text(request.url), { tls });
    const { out } = await run(
      "curl",
      "-sSk",
      tls ? "--http2" : "--http2-prior-knowledge",
      "-w",
      " %{http_version} %{http_code}",
      `${server.url}/hello`,
    );
    expect(out).toBe(`${server.url}/hello 2 200`);
  }
});

test("listenHttp2() sends no body to HEAD, and none with 204 and 304", async () => {
  await using server = await startListener((request) => {
    const path = new URL(request.url).pathname;
    if (path === "/head") return text("a body");
    return new Response(null, { status: path === "/204" ? 204 : 304 });
  });
  using client = await runNode(
    server.url,
    `const session = connect();
     for (const [method, path] of [["HEAD", "/head"], ["GET", "/204"], ["GET", "/304"]]) {
       const { status, text } = await request(session, { ":method": method, ":path": path });
       say([status, text]);
     }
     session.close();`,
  );
  expect(await client.rest()).toEqual([
    [200, ""],
    [204, ""],
    [304, ""],
  ]);
});

test("listenHttp2() answers problem+json when the handler throws or the request is malformed", async () => {
  await using server = await startListener(() => {
    throw new Error("broken");
  });
  using client = await runNode(
    server.url,
    `const session = connect();
     const paths = [{ ":path": "/" }, { ":authority": "host:123456" }, { ":authority": "user@host" }, { ":method": "TRACE" }, { ":path": "*", ":method": "OPTIONS" }];
     for (const headers of paths) {
       const answer = await request(session, { ":path": "/", ...headers }).catch((error) => say(error.message));
       if (answer) say([answer.status, answer.headers["content-type"]]);
     }
     session.close();`,
  );
  const type = "application/problem+json";
  expect(await client.rest()).toEqual([
    [500, type],
    [400, type],
    // A user name in an authority is malformed (RFC 9113 §8.3.1): Bun resets the stream by itself.
    "Stream closed with error code NGHTTP2_PROTOCOL_ERROR",
    [501, type],
    [400, type],
  ]);
});

test("listenHttp2() streams a body as it comes and cancels it when the client leaves", async () => {
  const cancelled = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  let feed!: ReadableStreamDefaultController<Uint8Array>;
  await using server = await startListener((request) => {
    request.signal.addEventListener("abort", () => aborted.resolve());
    const start = (controller: typeof feed) => void (feed = controller);
    return new Response(new ReadableStream({ start, cancel: () => cancelled.resolve() }));
  });
  using client = await runNode(
    server.url,
    `const session = connect();
     const stream = session.request({ ":path": "/" });
     stream.setEncoding("utf8");
     stream.on("response", (headers) => say(headers[":status"]));
     stream.on("data", (chunk) => { say(chunk); if (chunk === "two") stream.close(constants.NGHTTP2_CANCEL); });
     stream.on("close", () => session.close());`,
  );
  // The headers come before there is any body.
  expect(await client.next()).toBe(200);
  feed.enqueue(new TextEncoder().encode("one"));
  expect(await client.next()).toBe("one");
  feed.enqueue(new TextEncoder().encode("two"));
  expect(await client.next()).toBe("two");
  await Promise.all([cancelled.promise, aborted.promise]);
});

test("listenHttp2() asks a body for no more than one chunk that the client does not take", async () => {
  let pulled = 0;
  await using server = await startListener(
    () =>
      new Response(
        new ReadableStream(
          { pull: (controller) => controller.enqueue(new Uint8Array(pulled++ < 20 ? 65_536 : 1)) },
          { highWaterMark: 0 },
        ),
      ),
  );
  using client = await runNode(
    server.url,
    `const session = connect({ initialWindowSize: 100_000 });
     const stream = session.request({ ":path": "/" });
     await once(stream, "response");
     await new Promise((resolve) => setTimeout(resolve, 200));
     say("stalled");
     stream.once("data", () => say("read"));`,
  );
  expect(await client.next()).toBe("stalled");
  // The window of 100,000 bytes, what Node itself reads ahead, and one chunk.
  expect(pulled).toBeLessThan(6);
  await client.next();
  await until(() => pulled > 20);
});

test("listenHttp2() resets the stream of a body that fails, and of one that is not taken in time", async () => {
  await using server = await startListener(
    (request) =>
      request.url.endsWith("/fails")
        ? new Response(
            new ReadableStream({
              pull(controller) {
                controller.enqueue(new Uint8Array(10));
                controller.error(new Error("broken"));
              },
            }),
          )
        : new Response(new Uint8Array(1_000_000)),
    { limits: { stallMs: 100 }, sweepMs: 50 },
  );
  using client = await runNode(
    server.url,
    `const session = connect();
     for (const path of ["/fails", "/stalls"]) {
       const stream = session.request({ ":path": path });
       if (path === "/fails") stream.resume();
       await closed(stream);
       say(stream.rstCode);
     }
     session.close();`,
  );
  expect(await client.rest()).toEqual([2, 2]);
});

test("listenHttp2() lets a stream that its client does not read hold up no other", async () => {
  let feed!: ReadableStreamDefaultController<Uint8Array>;
  await using server = await startListener((request) =>
    request.url.endsWith("/large")
      ? new Response(new Uint8Array(1_000_000))
      : new Response(new ReadableStream({ start: (controller) => void (feed = controller) })),
  );
  using client = await runNode(
    server.url,
    `const session = connect({ initialWindowSize: 10_000 });
     const live = session.request({ ":path": "/live" }).setEncoding("utf8").on("data", say);
     await once(live, "response");
     const large = session.request({ ":path": "/large" });
     await once(large, "response");
     say("stalled");`,
  );
  expect(await client.next()).toBe("stalled");
  for (const text of ["one", "two"]) {
    feed.enqueue(new TextEncoder().encode(text));
    expect(await client.next()).toBe(text);
  }
});

test("listenHttp2() closes a connection that has had no stream for the idle time, and no other", async () => {
  await using server = await startListener(
    (request) => (request.url.endsWith("/held") ? new Response(new ReadableStream()) : text("x")),
    { limits: { idleMs: 150 } },
  );
  using held = await runNode(
    server.url,
    `const session = connect();
     session.on("goaway", () => say("goaway"));
     const stream = session.request({ ":path": "/held" });
     await once(stream, "response");
     setTimeout(() => { say("still held"); session.destroy(); }, 600);`,
  );
  using idle = await runNode(
    server.url,
    `const session = connect();
     session.on("goaway", (code) => say(["goaway", code]));
     await request(session, { ":path": "/" });
     await closed(session);
     say("closed");`,
  );
  expect(await idle.rest()).toEqual([["goaway", 0], "closed"]);
  expect(await held.rest()).toEqual(["still held"]);
  await until(() => server.listener.connections === 0);
});

test("listenHttp2() ends the connection of a client that resets streams rapidly", async () => {
  await using server = await startListener(() => new Response(new ReadableStream()), {
    limits: { resets: { burst: 50, perSecond: 1 } },
  });
  using client = await runNode(
    server.url,
    `const session = connect();
     session.on("goaway", (code) => say(code));
     await once(session, "remoteSettings");
     for (let i = 0; i < 20 && !session.destroyed; i++) {
       for (let j = 0; j < 10 && !session.destroyed; j++) {
         const stream = session.request({ ":path": "/" });
         stream.on("error", () => {});
         stream.close(constants.NGHTTP2_CANCEL);
       }
       await new Promise((resolve) => setTimeout(resolve, 5));
     }`,
  );
  expect(await client.next()).toBe(11);
  await until(() => server.listener.connections === 0);
});

test("listenHttp2() tells a connection over the limit to go away, and serves the others", async () => {
  await using server = await startListener(() => text("x"), { maxConnections: 1 });
  using first = await runNode(
    server.url,
    `const session = connect();
     say((await request(session, { ":path": "/" })).status);
     process.stdin.once("data", async () => { say((await request(session, { ":path": "/" })).status); session.close(); process.stdin.destroy(); });`,
  );
  expect(await first.next()).toBe(200);
  using second = await runNode(
    server.url,
    `const session = connect();
     session.on("goaway", (code) => say(code));
     await closed(session);`,
  );
  expect((await second.rest())[0]).toBe(11);
  first.tell("again");
  expect(await first.next()).toBe(200);
});

test("close() lets streams under way finish, takes no new one, and cuts off the rest", async () => {
  const release = Promise.withResolvers<Response>();
  const arrived = Promise.withResolvers<void>();
  const server = await startListener((request) => {
    if (request.url.endsWith("/held")) return new Response(new ReadableStream());
    arrived.resolve();
    return release.promise;
  });
  using client = await runNode(
    server.url,
    `const session = connect();
     session.on("goaway", (code) => say(["goaway", code]));
     const held = session.request({ ":path": "/held" });
     const cut = closed(held);
     const slow = await request(session, { ":path": "/slow" });
     say([slow.status, slow.text]);
     await cut;
     say("cut off");`,
  );
  await arrived.promise;
  const closed = server.listener.close(500);
  expect(await client.next()).toEqual(["goaway", 0]);
  release.resolve(text("finished"));
  expect(await client.next()).toEqual([200, "finished"]);
  await closed;
  expect(await client.next()).toBe("cut off");
  expect((await run("curl", "-sS", "--http2-prior-knowledge", server.url)).code).toBe(7);
});

test("listenHttp2() outlives garbage, a half request and connections cut at any place", async () => {
  await using server = await startListener(() => text("fine"));
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  const samples = [
    Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
    Buffer.from([22, 3, 1, 0, 200, 1, 0]),
    preface.subarray(0, 10),
    // HEADERS whose block is no HPACK, DATA on a stream that is not open, an oversized frame.
    Buffer.concat([
      preface,
      settings,
      Buffer.from([0, 0, 4, 1, 5, 0, 0, 0, 1, 255, 255, 255, 255]),
    ]),
    Buffer.concat([preface, settings, Buffer.from([0, 0, 1, 0, 0, 0, 0, 0, 9, 1])]),
    Buffer.concat([preface, settings, Buffer.from([255, 255, 255, 1, 5, 0, 0, 0, 1])]),
    Buffer.concat([preface, settings, crypto.getRandomValues(new Uint8Array(500))]),
  ];
  for (const sample of samples) {
    const socket = connect(server.listener.port, "127.0.0.1");
    const gone = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {}).resume();
    socket.write(sample, () => setTimeout(() => socket.destroy(), 20));
    await gone;
  }
  await until(() => server.listener.connections === 0);
  const { out } = await run("curl", "-sS", "--http2-prior-knowledge", server.url);
  expect(out).toBe("fine");
});

test("listenHttp2() refuses header fields that are too large", async () => {
  await using server = await startListener(() => text("fine"));
  using client = await runNode(
    server.url,
    `const session = connect();
     const stream = session.request({ ":path": "/", "x-large": "x".repeat(60_000) });
     stream.on("response", (headers) => say(headers[":status"]));
     await Promise.race([closed(stream), closed(session)]);
     say("closed");
     session.destroy();`,
  );
  expect((await client.rest()).filter((said) => said === 200)).toEqual([]);
});

test("listenHttp2() gives the address of the client", async () => {
  await using server = await startListener((_request, _listener, address) => text(address));
  const { out } = await run("curl", "-sS", "--http2-prior-knowledge", server.url);
  expect(out).toBe("127.0.0.1");
});

test("listenHttp2() serves HTTP/1.1 to a TLS client that speaks no HTTP/2, without pushes", async () => {
  const left = Promise.withResolvers<void>();
  await using server = await startListener(
    async (request, listener, address) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/stream") {
        const start = (controller: ReadableStreamDefaultController) =>
          controller.enqueue(new TextEncoder().encode("first"));
        return new Response(new ReadableStream({ start, cancel: () => left.resolve() }));
      }
      if (pathname === "/throws") throw new Error("broken");
      const body = await request.text();
      return Response.json([request.url, body.length, listener.push(request), address]);
    },
    { tls: true },
  );
  const tls = { rejectUnauthorized: false };
  const post = await fetch(`${server.url}/a?b`, { method: "POST", body: "x".repeat(200_000), tls });
  expect(await post.json()).toEqual([`${server.url}/a?b`, 200_000, null, "127.0.0.1"]);
  const thrown = await fetch(`${server.url}/throws`, { tls });
  expect([thrown.status, thrown.headers.get("content-type")]).toEqual([
    500,
    "application/problem+json",
  ]);
  const head = await fetch(`${server.url}/a`, { method: "HEAD", tls });
  expect([head.status, await head.text()]).toEqual([200, ""]);
  const leave = new AbortController();
  const stream = await fetch(`${server.url}/stream`, { signal: leave.signal, tls });
  const { value } = await stream.body!.getReader().read();
  expect(new TextDecoder().decode(value)).toBe("first");
  leave.abort();
  await left.promise;
});
