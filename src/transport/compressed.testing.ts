/** Transports that compress, and requests to them, for tests of what is shared. */
import { spyOn } from "bun:test";
import type { World } from "../channel/testing.ts";
import { Codings } from "./coding/codings.ts";
import type { Access, Exchange, MergedExchange, Transport, TransportOptions } from "./transport.ts";

export const CLIENTS = 20;
export const LARGE = JSON.stringify({ text: "again and ".repeat(90) });
export const OPTIONS: TransportOptions = {
  bufferBytes: 1 << 20,
  messageBytes: 1 << 20,
  retryMs: 1000,
  heartbeatMs: 15_000,
  limits: { subscriptions: 10, polls: 1000 },
  codings: new Codings({ http: ["zstd", "gzip"], websocket: false, minBytes: 256 }),
};

const opened: Transport[] = [];
const spies: { mockRestore(): void }[] = [];

export function open<T extends Transport>(transport: T): T {
  opened.push(transport);
  return transport;
}

/** To be called after each test. */
export async function closeAll(): Promise<void> {
  for (const transport of opened.splice(0)) await transport.shutdown(0);
  for (const spy of spies.splice(0)) spy.mockRestore();
}

/** Calls of the encoder, which goes on encoding. */
export function callsOf<T extends object>(owner: T, name: keyof T): () => number {
  const spy = spyOn(owner, name as never);
  spies.push(spy);
  return () => spy.mock.calls.length;
}

const subscriber = { id: "1", connect: () => {}, disconnect: () => {} };

function accessOf({ channel }: World): Access {
  return { channel, subscriber, submit: () => ({ id: null, isReplay: false }) };
}

function requestOf(url: string, headers: Record<string, string>) {
  const request = new Request(url, { headers });
  const listener = { upgrade: () => false, publish: () => {}, hold: () => {}, push: () => null };
  return { request, query: new URL(url).searchParams, listener };
}

export function exchangeOf(world: World, headers: Record<string, string>, more = ""): Exchange {
  return {
    ...accessOf(world),
    ...requestOf(`http://localhost/channels/prices?${more}`, headers),
    path: "/channels/prices",
    start: { from: "live" },
    reopen: () => {
      throw new Error("nobody asks for it");
    },
  };
}

export function mergedOf(world: World, headers: Record<string, string>, more = ""): MergedExchange {
  return {
    ...requestOf(`http://localhost/channels?channel=prices${more}`, headers),
    path: "/channels",
    accesses: [accessOf(world)],
    startOf: () => ({ from: "live" }),
    connection: { connect: () => {}, disconnect: () => {} },
  };
}

/** The pieces that a stream was given, the last of which is the newest. */
export async function piecesOf({ body }: Response, count: number): Promise<Uint8Array[]> {
  const reader = body!.getReader();
  const pieces: Uint8Array[] = [];
  while (pieces.length < count) pieces.push((await reader.read()).value!);
  reader.releaseLock();
  return pieces;
}
