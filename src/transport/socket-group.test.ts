/** What sockets that get the same frames are sent compressed. */
import { expect, test } from "bun:test";
import { openWorld } from "../channel/testing.ts";
import type { Message } from "../channel/message.ts";
import { Codings } from "./coding/codings.ts";
import { PageCache } from "./page-cache.ts";
import { SocketGroup, type GroupSocket } from "./socket-group.ts";
import type { Listener, Socket, TransportOptions } from "./transport.ts";

const OPTIONS: TransportOptions = {
  bufferBytes: 1 << 20,
  messageBytes: 1 << 20,
  retryMs: 1000,
  heartbeatMs: 15_000,
  limits: { subscriptions: 10, polls: 10 },
  codings: new Codings({ http: [], websocket: true, minBytes: 1024 }),
};

const socket = { readyState: 1, subscribe: () => {}, getBufferedAmount: () => 0 };

const encode = ({ format, bytes, text }: Message) => (format === "bytes" ? bytes : text);

/** Whether each frame of a batch is to be compressed, where so many sockets get it. */
function compressedOf(sockets: number, ...data: (string | Uint8Array)[]): boolean[] {
  const compressed: boolean[] = [];
  const listener: Listener = {
    upgrade: () => false,
    publish: (_group, _data, compress) => void compressed.push(compress),
    hold: () => {},
    push: () => null,
  };
  const group = new SocketGroup(listener, "raw/prices", encode, {
    options: OPTIONS,
    sockets: new Set(),
    sentToMany: { bytes: 0 },
    pages: new PageCache(() => 0),
  });
  for (let i = 0; i < sockets; i++) {
    const tooSlow = () => {};
    group.add({
      socket: socket as unknown as Socket,
      hasMany: i % 2 === 0,
      tooSlow,
    } as GroupSocket);
  }
  const world = openWorld({ maxBytes: 1 << 20, maxBatchBytes: 1 << 22 });
  world.channel.fanOut.group("websocket/raw", () => group);
  void world.channel.publish(data.map((each) => ({ data: each })));
  world.channel.fanOut.flush();
  return compressed;
}

const LARGE = "a".repeat(1 << 20);
const SMALL = "a".repeat(1024);

test("SocketGroup compresses what is worth it: bytes mostly are already", () => {
  const bytes = new Uint8Array(5000);
  expect(compressedOf(1, "small", SMALL, LARGE, bytes)).toEqual([false, true, true, false]);
});

test("SocketGroup compresses 16 MiB of a batch for all its sockets: everybody waits for it", () => {
  expect(compressedOf(16, LARGE)).toEqual([true]);
  expect(compressedOf(17, LARGE)).toEqual([false]);
  // The smaller ones still have room.
  expect(compressedOf(10, LARGE, LARGE, SMALL)).toEqual([true, false, true]);
});
