import { afterEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import type { CommittedMessage } from "tidewire";
import { BAD_HEADERS, complaint, start, until, type Running } from "./testing.ts";
import webhook from "./webhook.ts";

interface Hit {
  readonly headers: Headers;
  readonly body: string;
  readonly messages: { id: string; data: unknown; [name: string]: unknown }[];
  readonly time: number;
}

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Answer = (count: number) => Response | Promise<Response>;

/** A real receiver whose nth request (from 1) gets what `answer` gives, and a webhook to it. */
async function open(
  options: Record<string, unknown> = {},
  answer: Answer = () => new Response("ok"),
): Promise<Running & { readonly hits: Hit[]; send(...data: unknown[]): void }> {
  const hits: Hit[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const body = await request.text();
      const { headers } = request;
      hits.push({ headers, body, messages: JSON.parse(body), time: performance.now() });
      return answer(hits.length);
    },
  });
  cleanups.push(() => server.stop(true));
  const url = `http://127.0.0.1:${server.port}/hook?secret=1`;
  const running = await start(webhook, { url, drain: "100ms", ...options });
  cleanups.push(() => running.stop());
  let offset = 0;
  const send = (...data: unknown[]) =>
    void running.hooks.sink!(data.map((value) => message(++offset, value)));
  return { ...running, hits, send };
}

function message(offset: number, data: unknown): CommittedMessage {
  return { id: `e-${offset}`, channel: "prices", time: 5, event: undefined, key: undefined, data };
}

const dataOf = (hits: readonly Hit[]) => hits.map((hit) => hit.messages.map(({ data }) => data));
const messagesOf = (running: Running) => running.logs.map((line) => line.message);

describe("webhook", () => {
  test("POSTs messages as a JSON array with all that they have", async () => {
    const { hooks, hits } = await open({ headers: { Authorization: "Bearer x" } });
    await hooks.sink!([
      { id: "e-1", channel: "prices", time: 5, event: "trade", key: "A", data: { a: [1] } },
      { id: "e-2", channel: "prices", time: 6, event: undefined, key: undefined, data: "text" },
      { ...message(3, new Uint8Array([255, 0])) },
    ]);
    await until(() => hits.length > 0);
    expect(hits[0]!.messages).toEqual([
      { id: "e-1", channel: "prices", time: 5, event: "trade", key: "A", data: { a: [1] } },
      { id: "e-2", channel: "prices", time: 6, data: "text" },
      { id: "e-3", channel: "prices", time: 5, data: "/wA=", encoding: "base64" },
    ]);
    expect(hits[0]!.headers.get("content-type")).toBe("application/json");
    expect(hits[0]!.headers.get("authorization")).toBe("Bearer x");
  });

  test("lets a header of the options replace the content type, whatever its case", async () => {
    const { send, hits } = await open({ headers: { "Content-Type": "application/x-a+json" } });
    send(1);
    await until(() => hits.length > 0);
    expect(hits[0]!.headers.get("content-type")).toBe("application/x-a+json");
  });

  test("keeps the order and sends one request at a time, with what came meanwhile", async () => {
    const gate = Promise.withResolvers<void>();
    const { send, hits } = await open({ max_batch: 3 }, async (n) => {
      if (n === 1) await gate.promise;
      return new Response();
    });
    send(1);
    await until(() => hits.length === 1);
    send(2, 3);
    send(4);
    send(5);
    gate.resolve();
    await until(() => hits.length === 3);
    expect(dataOf(hits)).toEqual([[1], [2, 3, 4], [5]]);
  });

  test("waits max_wait for a fuller batch, and no longer than until it is full", async () => {
    const { send, hits } = await open({ max_batch: 3, max_wait: "40ms" });
    const began = performance.now();
    send(1);
    send(2);
    await until(() => hits.length === 1);
    expect(hits[0]!.time - began).toBeGreaterThanOrEqual(39);
    const again = await open({ max_batch: 2, max_wait: "1h" });
    again.send(1);
    again.send(2);
    await until(() => again.hits.length === 1);
    expect(dataOf(again.hits)).toEqual([[1, 2]]);
  });

  test("starts again each time that the queue was empty", async () => {
    const { send, hits } = await open();
    for (let i = 1; i <= 50; i++) {
      send(i);
      await until(() => hits.length === i);
    }
    expect(dataOf(hits).flat()).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  test("makes no body larger than max_batch_bytes, unless of one message", async () => {
    const { send, hits } = await open({ max_batch_bytes: 300 });
    send("a".repeat(100), "b".repeat(100), "c".repeat(500), "d");
    await until(() => hits.flatMap(({ messages }) => messages).length === 4);
    expect(hits.flatMap((hit) => hit.messages.map(({ id }) => id))).toEqual([
      "e-1",
      "e-2",
      "e-3",
      "e-4",
    ]);
    for (const hit of hits.filter(({ messages }) => messages.length > 1)) {
      expect(hit.body.length).toBeLessThanOrEqual(300);
    }
  });

  test("tries again after 408, 429 and 5xx, in order", async () => {
    const tryAgain = async (status: number) => {
      const running = await open({}, (n) => new Response(null, { status: n === 1 ? status : 204 }));
      const { send, hits } = running;
      send(1);
      await until(() => hits.length === 1);
      send(2);
      await until(() => hits.length === 3);
      expect(dataOf(hits)).toEqual([[1], [1], [2]]);
      expect(hits[1]!.time - hits[0]!.time).toBeGreaterThanOrEqual(245);
      // The receiver knows a repeat by its id.
      const ids = hits.map(({ headers }) => headers.get("webhook-id"));
      expect(ids[0]).toBe(ids[1]!);
      expect(ids[2]).not.toBe(ids[1]!);
      expect(messagesOf(running)).toEqual([
        `can't deliver; trying again: status ${status}`,
        "delivers again",
      ]);
      expect(JSON.stringify(running.logs)).not.toContain("secret");
    };
    await Promise.all([408, 429, 500, 503].map(tryAgain));
  });

  test("waits as long as Retry-After says", async () => {
    const { send, hits } = await open({}, (n) =>
      n === 1
        ? new Response(null, { status: 503, headers: { "retry-after": "1" } })
        : new Response(),
    );
    send(1);
    await until(() => hits.length === 2);
    expect(hits[1]!.time - hits[0]!.time).toBeGreaterThanOrEqual(990);
  });

  test.each([[400], [401], [404], [410], [302]])(
    "drops a batch that gets a %i, goes on, and logs the episode once",
    async (status) => {
      const running = await open({ max_batch: 1 }, (n) =>
        n <= 3
          ? new Response(null, { status, headers: { location: "/elsewhere" } })
          : new Response(),
      );
      running.send(1, 2, 3, 4, 5);
      await until(() => running.hits.length === 5 && running.logs.length === 2);
      expect(dataOf(running.hits)).toEqual([[1], [2], [3], [4], [5]]);
      expect(running.logs).toMatchObject([
        { level: "error", message: `receiver refused: status ${status}` },
        { level: "info", message: "messages were lost", fields: { lost: 3, refused: 3 } },
      ]);
    },
  );

  test("tries again when nobody listens or no answer comes", async () => {
    const free = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    const { port } = free;
    await free.stop(true);
    const running = await start(webhook, { url: `http://127.0.0.1:${port}`, timeout: "50ms" });
    cleanups.push(() => running.stop());
    await running.hooks.sink!([message(1, "x")]);
    await until(() => running.logs.length > 0);
    let hits = 0;
    const server = Bun.serve({
      port: port!,
      hostname: "127.0.0.1",
      fetch: () => (++hits === 1 ? new Promise<Response>(() => {}) : new Response()),
    });
    cleanups.push(() => server.stop(true));
    await until(() => hits >= 2 && running.logs.length === 2);
    expect(running.logs.map((line) => line.level)).toEqual(["warn", "info"]);
  });

  test("gives up on a batch in time, and goes on with the next", async () => {
    const running = await open({ give_up_after: "20ms", max_batch: 1 }, (n) =>
      n === 1 ? new Response(null, { status: 500 }) : new Response(),
    );
    running.send(1, 2);
    await until(() => running.hits.length === 2 && running.logs.length === 4);
    expect(dataOf(running.hits)).toEqual([[1], [2]]);
    expect(messagesOf(running)).toEqual([
      "can't deliver; trying again: status 500",
      "give_up_after is over; messages are dropped: status 500",
      "delivers again",
      "messages were lost",
    ]);
  });

  test("drops the oldest when the queue is full, logs that once and then how many", async () => {
    const gate = Promise.withResolvers<void>();
    const running = await open({ queue: 3, max_batch: 2 }, async (n) => {
      if (n === 1) await gate.promise;
      return new Response();
    });
    running.send(0);
    await until(() => running.hits.length === 1);
    for (let i = 1; i <= 9; i++) running.send(i);
    expect(messagesOf(running)).toEqual(["queue is full; the oldest messages are dropped"]);
    gate.resolve();
    await until(() => running.logs.length === 2);
    await until(() => running.hits.length === 3);
    expect(dataOf(running.hits)).toEqual([[0], [7, 8], [9]]);
    expect(running.logs[1]).toMatchObject({
      message: "messages were lost",
      fields: { lost: 6, overflow: 6 },
    });
  });

  test("drops the oldest when the queue has too many bytes, but never the newest", async () => {
    const gate = Promise.withResolvers<void>();
    const { send, hits } = await open({ queue_bytes: 500 }, async (n) => {
      if (n === 1) await gate.promise;
      return new Response();
    });
    send(0);
    await until(() => hits.length === 1);
    send("a".repeat(200), "b".repeat(200), "c");
    send("d".repeat(1000));
    gate.resolve();
    await until(() => hits.length === 2);
    expect(dataOf(hits)).toEqual([[0], ["d".repeat(1000)]]);
  });

  test("signs as Standard Webhooks has it", async () => {
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const { send, hits } = await open({ secret });
    const before = Math.floor(Date.now() / 1000);
    send("grüße");
    await until(() => hits.length > 0);
    const { headers, body } = hits[0]!;
    const [id, timestamp] = [headers.get("webhook-id"), headers.get("webhook-timestamp")];
    expect(Number(timestamp)).toBeGreaterThanOrEqual(before);
    expect(Number(timestamp)).toBeLessThanOrEqual(Date.now() / 1000);
    const signature = createHmac("sha256", Buffer.from(secret.slice(6), "base64"))
      .update(`${id}.${timestamp}.${body}`)
      .digest("base64");
    expect(headers.get("webhook-signature")).toBe(`v1,${signature}`);
  });

  test("takes a secret of another form as the key itself, and signs nothing without one", async () => {
    const signed = await open({ secret: "plain secret" });
    const unsigned = await open();
    for (const one of [signed, unsigned]) one.send(1);
    await until(() => signed.hits.length > 0 && unsigned.hits.length > 0);
    const { headers, body } = signed.hits[0]!;
    const signature = createHmac("sha256", "plain secret")
      .update(`${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`)
      .digest("base64");
    expect(headers.get("webhook-signature")).toBe(`v1,${signature}`);
    expect(unsigned.hits[0]!.headers.get("webhook-signature")).toBeNull();
  });

  test("sends what is in the queue before it closes", async () => {
    const running = await open({ max_batch: 2, max_wait: "1h", drain: "20s" });
    running.send(1);
    await running.stop();
    expect(dataOf(running.hits)).toEqual([[1]]);
    expect(running.logs).toEqual([]);
  });

  test("closes in bounded time, and says how many messages it could not send", async () => {
    const running = await open(
      { max_batch: 2, drain: "50ms", timeout: "1h" },
      () => new Promise(() => {}),
    );
    running.send(1, 2, 3, 4, 5);
    await until(() => running.hits.length === 1);
    // Within the limit of the test: no answer comes before the hour is over.
    await running.stop();
    expect(running.logs.at(-1)).toMatchObject({ level: "error", fields: { lost: 5, gaveUp: 5 } });
  });

  test.each([
    [{ url: "mailto:x@example.com" }, "/url"],
    [{ url: "http://x", secret: "whsec_not base64!" }, "what follows is not base64"],
    [{ url: "http://x", timeout: "0s" }, 'timeout is "0s"; it must be at least 1ms'],
    [{ url: "http://x", max_batch: 0 }, "/max_batch"],
  ])("refuses %j", async (options, message) => {
    expect(start(webhook, options)).rejects.toThrow(message);
  });

  test.each([
    [{ url: "https://[::1" }, "url", 'url is "https://[::1"'],
    [{ url: "http://x", timeout: "0s" }, "timeout", "at least 1ms"],
    [{ url: "http://x", secret: "whsec_not base64!" }, "secret", "what follows is not base64"],
    ...BAD_HEADERS.map(([headers, ...said]) => [{ url: "http://x", headers }, ...said] as const),
  ])("check() refuses %j without a start, at the option", (options, option, message) => {
    expect(complaint(webhook, options)).toEqual({
      option,
      message: expect.stringContaining(message),
    });
  });

  test("check() has nothing against options that setup takes", () => {
    expect(
      complaint(webhook, {
        url: "http://x",
        secret: "whsec_c2VjcmV0",
        headers: { "X-Token": "t" },
      }),
    ).toBeNull();
  });
});
