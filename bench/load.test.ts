/** The load process against real servers: what it counts is what was sent. */
import { expect, test } from "bun:test";
import { runLoad } from "./run-load.ts";
import { SERVERS } from "./servers.ts";
import { TRANSPORTS, type FanOutResult, type IdleResult, type LoadSpec } from "./spec.ts";

const small = {
  subscribers: 20,
  payloadBytes: 128,
  rate: 50,
  seconds: 0.2,
  warmUpSeconds: 0,
  quietMs: 300,
  publishers: 4,
  pipeline: 1,
  window: 16,
} as const;

for (const transport of TRANSPORTS) {
  test.concurrent(`the load counts every delivery of bare Bun's ${transport}`, async () => {
    const running = await SERVERS.bare.start();
    const spec = {
      ...{ ...small, transport, pid: running.pid, publish: running.publish },
      subscribe: running.subscribe(transport),
    };
    const fanOut = await runLoad<FanOutResult>({ ...spec, mode: "fan-out" });
    await running.stop();
    const whole = { lost: 0, repeated: 0, closed: 0, publishErrors: 0 };
    expect(fanOut).toMatchObject({
      paced: { ...whole, published: 10, deliveries: 200 },
      saturated: whole,
    });
    expect((fanOut as FanOutResult).saturated.deliveries).toBeGreaterThan(200);
  });
}

test.concurrent("the load measures the memory of connections that truly subscribe", async () => {
  const running = await SERVERS.bare.start();
  const { pid, publish } = running;
  const result = await runLoad<IdleResult>({
    ...{ ...small, mode: "idle", transport: "websocket", pid, publish, subscribers: 2000 },
    subscribe: running.subscribe("websocket"),
  });
  await running.stop();
  expect(result).toMatchObject({ connections: 2000, reached: 2000 });
  const { bytesBefore, bytesAfter } = result as IdleResult;
  expect((bytesAfter - bytesBefore) / 2000).toBeWithin(500, 20_000);
});

/** An SSE server that does wrong with each tenth message. */
function faulty(onTenth: (stream: ReadableStreamDefaultController<string>) => void) {
  const streams = new Set<ReadableStreamDefaultController<string>>();
  let published = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      if (request.method === "POST") {
        const event = `data: ${await request.text()}\n\n`;
        if (++published % 10 === 0) for (const stream of streams) onTenth(stream);
        else for (const stream of streams) stream.enqueue(event);
        return new Response(null, { status: published === 5 ? 500 : 204 });
      }
      const body = new ReadableStream<string>({
        start(controller) {
          streams.add(controller);
          controller.enqueue(":\n\n");
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
  });
  const endpoint = { port: server.port!, path: "/" };
  const spec: LoadSpec = {
    ...{ ...small, mode: "fan-out", transport: "sse", pid: process.pid, seconds: 0.4 },
    ...{ publish: endpoint, subscribe: endpoint },
  };
  return { spec, server };
}

test.concurrent("the load tells lost deliveries and refused publishes", async () => {
  const { spec, server } = faulty(() => {});
  const result = (await runLoad<FanOutResult>(spec)) as FanOutResult;
  await server.stop(true);
  expect(result.paced).toMatchObject({
    published: 20,
    lost: 40,
    deliveries: 360,
    publishErrors: 1,
  });
});

test.concurrent("the load says how a server refuses its subscribers", async () => {
  const { spec, server: faultless } = faulty(() => {});
  const refusing = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response("no", { status: 404 }),
  });
  const subscribe = { ...spec.subscribe, port: refusing.port! };
  const result = await runLoad<FanOutResult>({ ...spec, transport: "websocket", subscribe });
  await Promise.all([faultless.stop(true), refusing.stop(true)]);
  expect(result).toBeInstanceOf(Error);
  expect((result as Error).message).toContain("0 of 20 subscribers were reached");
  expect((result as Error).message).toContain("HTTP/1.1 404");
});
