/** History that many ask for at once is encoded once, whatever the transport. */
import { heapStats } from "bun:jsc";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { Message } from "../channel/message.ts";
import { parsePosition, type Start } from "../channel/position.ts";
import { openWorld, type World } from "../channel/testing.ts";
import { Http2PushTransport } from "./http2-push.ts";
import { LongPollTransport } from "./long-poll.ts";
import { SseTransport } from "./sse.ts";
import type { Exchange, Listener, PushPort, Socket, SocketHandlers } from "./transport.ts";
import { WebSocketTransport } from "./websocket.ts";

const CLIENTS = 50;
const OPTIONS = {
  bufferBytes: 1 << 20,
  messageBytes: 1024,
  retryMs: 1000,
  heartbeatMs: 15_000,
  limits: { subscriptions: 10, polls: 10 },
};

const { get: json } = Object.getOwnPropertyDescriptor(Message.prototype, "json")!;
const { get: text } = Object.getOwnPropertyDescriptor(Message.prototype, "text")!;
const { get: bytes } = Object.getOwnPropertyDescriptor(Message.prototype, "bytes")!;
/** How often the data of a message was asked for in the form that goes on the wire. */
let encoded = 0;

beforeEach(() => {
  encoded = 0;
  const counted = (get: (() => unknown) | undefined) => ({
    configurable: true,
    get(this: Message): unknown {
      encoded++;
      return get!.call(this);
    },
  });
  Object.defineProperties(Message.prototype, {
    json: counted(json),
    text: counted(text),
    bytes: counted(bytes),
  });
});

let stop: () => Promise<void> = async () => {};
afterEach(async () => {
  Object.defineProperties(Message.prototype, {
    json: { configurable: true, get: json! },
    text: { configurable: true, get: text! },
    bytes: { configurable: true, get: bytes! },
  });
  await stop();
});

/** 100 messages of JSON, sent out. */
async function filled(): Promise<World> {
  const world = openWorld();
  for (let i = 0; i < 100; i++) await world.channel.publish([{ data: { price: i } }]);
  world.channel.fanOut.flush();
  return world;
}

const after = ({ channel }: World, offset: number): Start => ({
  from: "after",
  position: parsePosition(`${channel.log.epoch}-${offset}`)!,
});

function exchangeOf(
  { channel }: World,
  start: Start,
  headers: Record<string, string> = {},
  listener: Partial<Listener> = {},
): Exchange {
  const url = "http://localhost/channels/prices?wait=0";
  return {
    channel,
    start,
    request: new Request(url, { headers }),
    query: new URL(url).searchParams,
    path: "/channels/prices",
    subscriber: { id: "1", connect: () => {}, disconnect: () => {} },
    submit: () => ({ id: null, isReplay: false }),
    reopen: () => {
      throw new Error("nobody asks for it");
    },
    listener: {
      upgrade: () => false,
      publish: () => {},
      hold: () => {},
      push: () => null,
      ...listener,
    },
  };
}

test("SSE: all get the very same chunk", async () => {
  const world = await filled();
  const transport = new SseTransport(OPTIONS);
  stop = () => transport.shutdown(0);
  const chunks = new Set<Uint8Array>();
  for (let i = 0; i < CLIENTS; i++) {
    const { body } = transport.serve(exchangeOf(world, after(world, 40)));
    const reader = body!.getReader();
    await reader.read();
    chunks.add((await reader.read()).value!);
    await reader.cancel();
  }
  expect(chunks.size).toBe(1);
  expect(encoded).toBe(60);
  expect(Buffer.from([...chunks][0]!).toString()).toStartWith(
    `id: ${world.channel.log.epoch}-41\ndata: {"price":40}\n\n`,
  );
});

test("WebSocket with tidewire.v1: frames are encoded once", async () => {
  const world = await filled();
  const transport = new WebSocketTransport(OPTIONS);
  stop = () => transport.shutdown(0);
  const sent: string[][] = [];
  const upgrade = (_request: Request, handlers: SocketHandlers) => {
    const frames: string[] = [];
    sent.push(frames);
    handlers.open({
      send: (frame) => frames.push(frame as string),
      cork: (work) => work(),
      subscribe: () => {},
      unsubscribe: () => {},
      close: () => {},
      getBufferedAmount: () => 0,
      readyState: 1,
    } as Partial<Socket> as Socket);
    return true;
  };
  for (let i = 0; i < CLIENTS; i++) {
    const headers = { "sec-websocket-protocol": "tidewire.v1" };
    transport.serve(exchangeOf(world, after(world, 40), headers, { upgrade }));
  }
  expect(sent).toHaveLength(CLIENTS);
  for (const frames of sent) {
    expect(frames).toEqual(sent[0]!);
    expect(frames).toHaveLength(61);
  }
  // An envelope asks for JSON, and that for nothing else.
  expect(encoded).toBe(60);
});

test.each(["application/vnd.tidewire+json", "*/*"])("long-poll, %s", async (accept) => {
  const world = await filled();
  const transport = new LongPollTransport(OPTIONS);
  stop = () => transport.shutdown(0);
  const answers = new Set<string>();
  let once = 0;
  for (let i = 0; i < CLIENTS; i++) {
    const response = await transport.serve(exchangeOf(world, after(world, 40), { accept }));
    expect(response.status).toBe(200);
    answers.add(JSON.stringify([await response.text(), ...response.headers]));
    if (i === 0) once = encoded;
  }
  expect(once).toBe(accept === "*/*" ? 1 : 60);
  expect(encoded).toBe(once);
  expect(answers.size).toBe(1);
  // Others get their own.
  const other = exchangeOf(world, after(world, 41), { accept });
  const response = await transport.serve(other);
  expect(answers).not.toContain(JSON.stringify([await response.text(), ...response.headers]));
});

test("long-poll: a client with a gap is told of it, and no other", async () => {
  const world = openWorld({ size: 5 });
  for (let i = 0; i < 10; i++) world.publish(`${i}`);
  world.channel.fanOut.flush();
  const transport = new LongPollTransport(OPTIONS);
  stop = () => transport.shutdown(0);
  const gaps: boolean[] = [];
  for (const offset of [2, 5, 2, 5]) {
    const accept = "application/vnd.tidewire+json";
    const response = await transport.serve(exchangeOf(world, after(world, offset), { accept }));
    const page = (await response.json()) as { messages: unknown[]; gap: boolean };
    expect(page.messages).toHaveLength(5);
    expect(response.headers.has("tidewire-gap")).toBe(page.gap);
    gaps.push(page.gap);
  }
  expect(gaps).toEqual([true, false, true, false]);
});

test("the state is encoded once too, though it has holes", async () => {
  const world = openWorld({ latestByKey: true });
  for (const key of ["a", "b", "a", "c"]) await world.channel.publish([{ data: { key }, key }]);
  world.channel.fanOut.flush();
  const transports = [new SseTransport(OPTIONS), new LongPollTransport(OPTIONS)];
  stop = () => Promise.all(transports.map((transport) => transport.shutdown(0))).then(() => {});
  const start: Start = { from: "state", place: null };
  for (const [index, transport] of transports.entries()) {
    encoded = 0;
    const answers = new Set<string>();
    for (let i = 0; i < CLIENTS; i++) {
      const accept = "application/vnd.tidewire+json";
      const response = (await transport.serve(exchangeOf(world, start, { accept })))!;
      const reader = response.body!.getReader();
      const parts = [(await reader.read()).value!];
      if (index === 0) parts.push((await reader.read()).value!);
      answers.add(JSON.stringify([Buffer.concat(parts).toString(), ...response.headers]));
      await reader.cancel();
    }
    expect(answers.size).toBe(1);
    expect([...answers][0]!.match(/(?<=\{\W*key\W+)\w/g)).toEqual(["b", "a", "c"]);
    expect(encoded).toBe(3);
  }
});

test("long-poll: answers at URLs of a client's choice take no more memory than others", async () => {
  const world = await filled();
  const transport = new LongPollTransport(OPTIONS);
  stop = () => transport.shutdown(0);
  const heldBytes = () => {
    Bun.gc(true);
    const { heapSize, extraMemorySize } = heapStats();
    return heapSize + extraMemorySize;
  };
  const before = heldBytes();
  for (let i = 0; i < 500; i++) {
    // Three times as long where it is percent-encoded.
    const query = new URLSearchParams(`wait=0&x=${i}${"/".repeat(15_000)}`);
    const response = await transport.serve({ ...exchangeOf(world, after(world, 99)), query });
    expect(response.status).toBe(200);
  }
  // All of them together: 80 MB.
  expect(heldBytes() - before).toBeLessThan(40e6);
});

test("HTTP/2 push: headers and bodies are made once", async () => {
  const world = await filled();
  const transport = new Http2PushTransport(OPTIONS, new SseTransport(OPTIONS));
  stop = () => transport.shutdown(0);
  const made = new Set<object>();
  let pushes = 0;
  const port: PushPort = {
    connection: {},
    hasRoom: true,
    push(_path, headers, body) {
      pushes++;
      made.add(headers).add(body);
    },
  };
  for (let i = 0; i < CLIENTS; i++) {
    await transport.serve(exchangeOf(world, after(world, 40), {}, { push: () => port }));
  }
  expect(pushes).toBe(CLIENTS * 60);
  expect(made.size).toBe(2 * 60);
});
