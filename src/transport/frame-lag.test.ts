/** Subscriptions that lag on one socket, whose kernel takes as much at once as the test says. */
import { expect, test } from "bun:test";
import { LagBudget } from "../channel/lag-budget.ts";
import { openWorld } from "../channel/testing.ts";
import { FrameSocket, PROTOCOL } from "./frame-socket.ts";
import { PageCache } from "./page-cache.ts";
import type { Listener, Socket } from "./transport.ts";

const BUFFER = 64 * 1024;

/** A socket that is subscribed to two channels. */
function open(messageBytes: number) {
  const lagBudget = new LagBudget(BUFFER);
  const worlds = ["busy", "quiet"].map((name) =>
    openWorld({ name, slow: "drop-oldest", lagBudget, maxBytes: messageBytes }),
  );
  const [busy, quiet] = worlds.map(({ channel }) => channel);
  // By a real one this can't be brought about at will.
  const seen = { waiting: 0, sent: "", closed: null as number | null };
  const socket = {
    readyState: 1,
    send(text: string) {
      seen.waiting += text.length;
      seen.sent += text;
      return -1;
    },
    close: (code: number) => void (seen.closed = code),
    cork: (work: () => void) => work(),
    getBufferedAmount: () => seen.waiting,
    subscribe: () => {},
    unsubscribe: () => {},
  } as unknown as Socket;
  const listener: Listener = {
    upgrade: () => true,
    publish: (_, text) => void (seen.waiting += text.length),
    hold: () => {},
    push: () => null,
  };
  const subscriber = { id: "1", connect: () => {}, disconnect: () => {} };
  const frames = FrameSocket.forMany(
    {
      request: new Request("http://localhost/channels", {
        headers: { "sec-websocket-protocol": PROTOCOL },
      }),
      listener,
      nameOf: (name) => name,
      open: (name) => {
        const { channel } = worlds.find((world) => world.channel.name === name)!;
        return { channel, subscriber, submit: () => ({ id: null, isReplay: false }) };
      },
    },
    {
      options: {
        ...{ bufferBytes: BUFFER, messageBytes, retryMs: 1000, heartbeatMs: 15_000 },
        limits: { subscriptions: 2, polls: 1 },
      },
      sockets: new Set(),
      sentToMany: { bytes: 0 },
      pages: new PageCache(() => 0),
    },
  );
  frames.open(socket);
  for (const channel of ["busy", "quiet"]) {
    frames.message(socket, JSON.stringify({ type: "subscribe", channel }));
  }
  const publish = (channel: typeof busy, bytes: number, count = 1) => {
    for (let i = 0; i < count; i++) void channel!.publish([{ data: "x".repeat(bytes) }]);
    channel!.fanOut.flush();
  };
  return { frames, socket, seen, busy: busy!, quiet: quiet!, publish };
}

test("a channel that is never level leaves room for another one on the same slow socket", () => {
  const { frames, socket, seen, busy, quiet, publish } = open(1024);
  publish(busy, 1000, 100);
  publish(busy, 1000, 100);
  publish(quiet, 1);
  expect([busy.laggards.size, quiet.laggards.size]).toEqual([1, 1]);
  for (let drains = 0; drains < 3; drains++) {
    publish(busy, 1000, 100);
    seen.waiting = 0;
    frames.drain(socket);
    expect(busy.laggards.size).toBe(1);
  }
  expect(quiet.laggards.size).toBe(0);
});

test("messages that fill the buffer leave room for answers, and not for any number of them", () => {
  const { frames, socket, seen, busy, publish } = open(BUFFER);
  publish(busy, BUFFER / 2);
  publish(busy, BUFFER - 100);
  publish(busy, 1);
  expect(seen.waiting).toBeGreaterThan(BUFFER * 1.45);
  expect(busy.laggards.size).toBe(1);
  const answer = () =>
    frames.message(socket, JSON.stringify({ type: "publish", channel: "busy", ref: 1, data: 1 }));
  answer();
  expect(seen.closed).toBeNull();
  for (let i = 0; i < 2000 && seen.closed === null; i++) answer();
  expect(seen.closed).toBe(4008);
  expect(seen.waiting).toBeLessThan(2.1 * BUFFER);
});
