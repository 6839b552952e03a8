import { afterEach, describe, expect, test } from "bun:test";
import httpPoll from "./http-poll.ts";
import { BAD_HEADERS, complaint, start, until, type Running } from "./testing.ts";

type Answer = (request: Request, count: number) => Response | Promise<Response>;

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A real server whose nth request (from 1) gets what `answer` gives, and a plugin that polls it. */
async function poll(
  answer: Answer,
  options: Record<string, unknown> = {},
): Promise<Running & { readonly requests: Request[]; readonly times: number[] }> {
  const requests: Request[] = [];
  const times: number[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      times.push(performance.now());
      return answer(request, requests.push(request.clone() as Request));
    },
  });
  cleanups.push(() => server.stop(true));
  const url = `http://127.0.0.1:${server.port}/status?secret=1`;
  const running = await start(httpPoll, { url, every: "10ms", ...options });
  cleanups.push(() => running.stop());
  running.run();
  return { ...running, requests, times };
}

const messagesOf = (running: Running) => running.logs.map((line) => line.message);

describe("http-poll", () => {
  test("publishes the first answer, then only those that changed", async () => {
    const { yielded, requests } = await poll((_request, n) =>
      Response.json({ n: n < 4 ? 1 : n < 6 ? 2 : 3 }),
    );
    await until(() => requests.length >= 8);
    expect(yielded.map((draft) => draft.data)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });

  test("asks with the ETag that it has, and takes 304 for no change", async () => {
    const { yielded, requests } = await poll((request, n) => {
      const etag = n < 4 ? '"a"' : '"b"';
      return request.headers.get("if-none-match") === etag
        ? new Response(null, { status: 304 })
        : new Response(etag, { headers: { etag, "last-modified": "yesterday" } });
    });
    await until(() => requests.length >= 6);
    expect(yielded.map((draft) => draft.data)).toEqual(['"a"', '"b"']);
    const asked = requests.slice(0, 5).map((request) => request.headers.get("if-none-match"));
    expect(asked).toEqual([null, '"a"', '"a"', '"a"', '"b"']);
    expect(requests[1]!.headers.get("if-modified-since")).toBeNull();
  });

  test("asks with Last-Modified where there is no ETag", async () => {
    const date = "Wed, 21 Oct 2015 07:28:00 GMT";
    const { yielded, requests } = await poll((request) =>
      request.headers.get("if-modified-since") === date
        ? new Response(null, { status: 304 })
        : new Response("x", { headers: { "last-modified": date } }),
    );
    await until(() => requests.length >= 3);
    expect(yielded).toHaveLength(1);
    expect(requests[2]!.headers.get("if-modified-since")).toBe(date);
  });

  test("publishes nothing for a new ETag on the same body", async () => {
    const { yielded, requests } = await poll(
      (_request, n) => new Response("same", { headers: { etag: `"${n}"` } }),
    );
    await until(() => requests.length >= 4);
    expect(yielded).toHaveLength(1);
  });

  test.each<[string, string | Uint8Array<ArrayBuffer>, unknown]>([
    ["application/json", '{"a":1}', { a: 1 }],
    ["application/problem+json; charset=utf-8", "[1]", [1]],
    ["application/json", '"text"', "text"],
    ["text/plain", "1", "1"],
    ["text/plain; charset=iso-8859-1", new Uint8Array([0xe9]), "é"],
    ["text/html; charset=nonsense", "é", "é"],
    ["application/xml", "<a/>", "<a/>"],
    ["image/svg+xml", "<svg/>", "<svg/>"],
    ["application/octet-stream", "ab", new Uint8Array([97, 98])],
  ])("reads %s", async (type, body, expected) => {
    const { yielded } = await poll(() => new Response(body, { headers: { "content-type": type } }));
    await until(() => yielded.length > 0);
    const { data, format } = yielded[0]!;
    expect(data instanceof Uint8Array ? new Uint8Array(data) : data).toEqual(expected);
    expect(format).toBe(type.includes("json") ? "json" : data === expected ? "text" : undefined);
  });

  test("sends method, headers and body, and gives event and key", async () => {
    const seen: string[] = [];
    const { yielded } = await poll(
      async (request) => {
        seen.push(request.method, request.headers.get("x-a") ?? "", await request.text());
        return new Response("x");
      },
      { method: "POST", headers: { "X-A": "1" }, body: "{}", event: "status", key: "k" },
    );
    await until(() => yielded.length > 0);
    expect(seen.slice(0, 3)).toEqual(["POST", "1", "{}"]);
    expect(yielded[0]).toMatchObject({ event: "status", key: "k" });
  });

  test("logs once when it starts to fail and once when it is over, and backs off between", async () => {
    const running = await poll((_request, n) =>
      n >= 2 && n <= 5 ? new Response("down", { status: 500 }) : new Response(`answer ${n < 2}`),
    );
    await until(() => running.yielded.length === 2);
    expect(messagesOf(running)).toEqual(["can't fetch; trying again", "answers again"]);
    const [failed, recovered] = running.logs;
    expect(failed!.level).toBe("warn");
    expect(String(failed!.fields.error)).toContain("status 500");
    expect(recovered!.fields.failures).toBe(4);
    expect(JSON.stringify(running.logs)).not.toContain("secret");
    const waits = running.times.slice(1, 6).map((time, i) => time - running.times[i]!);
    // Intervals after failures 1 to 4: 20, 40, 80, 160 ms, less up to a quarter of chance.
    for (const [i, wait] of waits.slice(1).entries()) {
      expect(wait).toBeGreaterThanOrEqual(10 * 2 ** (i + 1) * 0.75 - 1);
    }
  });

  test("asks for the whole body again after a failure to read it", async () => {
    const { yielded, requests } = await poll((_request, n) =>
      n === 1
        ? Response.json({ n }, { headers: { etag: '"1"' } })
        : n === 2
          ? new Response("{broken", {
              headers: { etag: '"2"', "content-type": "application/json" },
            })
          : Response.json({ n: 3 }, { headers: { etag: '"3"' } }),
    );
    await until(() => yielded.length === 2);
    expect(requests[2]!.headers.get("if-none-match")).toBe('"1"');
    expect(yielded[1]!.data).toEqual({ n: 3 });
  });

  test("waits as long as Retry-After of a 429 or 503 says, and of no other", async () => {
    const failWith = (status: number) =>
      poll((_request, n) =>
        n === 1
          ? // Were the hour heeded, the 500 would see no second request.
            new Response(null, {
              status,
              headers: { "retry-after": status === 500 ? "3600" : "1" },
            })
          : new Response("up"),
      );
    const all = await Promise.all([429, 503, 500].map(failWith));
    await until(() => all.every(({ yielded }) => yielded.length > 0));
    const waits = all.map(({ times }) => times[1]! - times[0]!);
    expect(Math.min(waits[0]!, waits[1]!)).toBeGreaterThanOrEqual(990);
  });

  test("gives up on an answer that takes longer than the timeout", async () => {
    const running = await poll(
      (_request, n) =>
        n === 1
          ? // Starts to answer and never ends.
            new Response(new ReadableStream({ start: (body) => body.enqueue("x") }))
          : new Response("in time"),
      { timeout: "60ms" },
    );
    await until(() => running.yielded.length > 0);
    expect(running.yielded[0]!.data).toBe("in time");
    expect(String(running.logs[0]!.fields.error)).toContain("no answer within 60ms");
  });

  test("does not read a body that is longer than max_bytes to its end", async () => {
    let cancelled = false;
    const endless = new ReadableStream({
      async pull(body) {
        body.enqueue(new Uint8Array(1024));
        await Bun.sleep(1);
      },
      cancel: () => void (cancelled = true),
    });
    const running = await poll((_request, n) => new Response(n === 1 ? endless : "short"), {
      max_bytes: 5000,
    });
    await until(() => running.yielded.length > 0 && cancelled);
    expect(String(running.logs[0]!.fields.error)).toContain("body has over 5000 bytes (max_bytes)");
  });

  test("goes on where nobody listens, until somebody does", async () => {
    const free = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    const { port } = free;
    await free.stop(true);
    const running = await start(httpPoll, { url: `http://127.0.0.1:${port}`, every: "10ms" });
    cleanups.push(() => running.stop());
    running.run();
    await until(() => running.logs.length > 0);
    const server = Bun.serve({
      port: port!,
      hostname: "127.0.0.1",
      fetch: () => new Response("x"),
    });
    cleanups.push(() => server.stop(true));
    await until(() => running.yielded.length > 0);
    expect(messagesOf(running)).toEqual(["can't fetch; trying again", "answers again"]);
  });

  test("ends at the abort while an answer is waited for, without a word", async () => {
    const running = await poll(() => new Promise<Response>(() => {}), { timeout: "1h" });
    await until(() => running.requests.length > 0);
    await running.stop();
    expect(running.logs).toEqual([]);
    expect(running.yielded).toEqual([]);
  });

  test.each([
    [{ url: "ftp://example.com" }, "/url"],
    [{ url: "http://" }, 'url is "http://"'],
    [{ url: "http://x", every: "1ms" }, "must be at least 10ms"],
    [{ url: "http://x", max_bytes: 0 }, "/max_bytes"],
  ])("refuses %j", async (options, message) => {
    expect(start(httpPoll, options)).rejects.toThrow(message);
  });

  test.each([
    [{ url: "http://" }, "url", 'url is "http://"'],
    [{ url: "http://x", every: "1ms" }, "every", 'every is "1ms"; it must be at least 10ms'],
    [{ url: "http://x", timeout: "0s" }, "timeout", 'timeout is "0s"; it must be at least 10ms'],
    ...BAD_HEADERS.map(([headers, ...said]) => [{ url: "http://x", headers }, ...said] as const),
  ])("check() refuses %j without a start, at the option", (options, option, message) => {
    expect(complaint(httpPoll, options)).toEqual({
      option,
      message: expect.stringContaining(message),
    });
  });

  test("check() has nothing against options that setup takes", () => {
    expect(
      complaint(httpPoll, {
        url: "https://example.com:8443/a?b",
        headers: { Authorization: "Bearer é\t1" },
      }),
    ).toBeNull();
  });
});
