/** In which order a socket answers frames whose answers are known in another. */
import { expect, test } from "bun:test";
import { openWorld } from "../channel/testing.ts";
import { FrameSocket, PROTOCOL } from "./frame-socket.ts";
import { RequestError } from "./errors.ts";
import { PageCache } from "./page-cache.ts";
import { RawSocket } from "./raw-socket.ts";
import type { SocketContext } from "./socket-group.ts";
import type { Access, Exchange, Listener, Socket, Submitted } from "./transport.ts";

const request = new Request("http://localhost/channels", {
  headers: { "sec-websocket-protocol": PROTOCOL },
});
const listener: Listener = {
  upgrade: () => true,
  publish: () => {},
  hold: () => {},
  push: () => null,
};

function contextOf(): SocketContext {
  const limits = { subscriptions: 10, polls: 10 };
  const sizes = { bufferBytes: 1 << 20, messageBytes: 1 << 20 };
  return {
    options: { ...sizes, retryMs: 1000, heartbeatMs: 15_000, limits },
    sockets: new Set(),
    sentToMany: { bytes: 0 },
    pages: new PageCache(() => 0),
  };
}

/** What a socket is used for here, and what was sent through it. */
function fakeSocket() {
  const sent: string[] = [];
  const socket = {
    readyState: 1,
    send: (text: string) => sent.push(text),
    cork: (work: () => void) => work(),
    close: (code: number) => void sent.push(`closed with ${code}`),
    getBufferedAmount: () => 0,
    subscribe: () => {},
    unsubscribe: () => {},
  } as unknown as Socket;
  return { socket, sent };
}

/** A channel whose publishes end by hand; `takesAtOnce` is as it is when the next one comes. */
function accessByHand() {
  const ends: PromiseWithResolvers<Submitted>[] = [];
  const subscriber = { id: "1", takesAtOnce: true, connect: () => {}, disconnect: () => {} };
  const submit = () => {
    const end = Promise.withResolvers<Submitted>();
    ends.push(end);
    return end.promise;
  };
  const access: Access = { channel: openWorld().channel, subscriber, submit };
  return { access, subscriber, ends };
}

/** A `tidewire.v1` socket on which one channel is published to. */
function frameSocket() {
  const { access, subscriber, ends } = accessByHand();
  const { socket, sent } = fakeSocket();
  const nameOf = (name: string) => name;
  const exchange = { request, listener, nameOf, open: () => access };
  const frames = FrameSocket.forMany(exchange, contextOf());
  frames.open(socket);
  const publish = (ref: number) =>
    frames.message(socket, JSON.stringify({ type: "publish", channel: "news", data: 1, ref }));
  return { frames, publish, subscriber, ends, sent };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const refusal = new RequestError(403, "forbidden", "you may not", { closeCode: 4003 });
const typeAndRef = (text: string) => {
  const { type, ref } = JSON.parse(text) as { type: string; ref: number };
  return [type, ref];
};

for (const isRefused of [false, true]) {
  const what = isRefused ? "refused" : "acknowledged";
  test(`a frame that is ${what} sooner than one with its place before it is answered behind it`, async () => {
    const { publish, subscriber, ends, sent } = frameSocket();
    publish(1);
    // Such as after a reload that gave the channel a hook.
    subscriber.takesAtOnce = false;
    publish(2);
    if (isRefused) ends[1]!.reject(refusal);
    else ends[1]!.resolve({ id: null, isReplay: false });
    await turn();
    expect(sent).toEqual([]);
    ends[0]!.resolve({ id: "x-1", isReplay: false });
    await turn();
    expect(sent.map(typeAndRef)).toEqual([
      ["ack", 1],
      [isRefused ? "error" : "ack", 2],
    ]);
  });
}

test("a frame that is refused in the turn in which others are acknowledged is answered between them", async () => {
  const { publish, ends, sent } = frameSocket();
  for (const ref of [1, 2, 3]) publish(ref);
  ends[0]!.resolve({ id: "x-1", isReplay: false });
  ends[1]!.reject(refusal);
  ends[2]!.resolve({ id: "x-2", isReplay: false });
  await turn();
  expect(sent.map(typeAndRef)).toEqual([
    ["ack", 1],
    ["error", 2],
    ["ack", 3],
  ]);
});

test("a frame is acknowledged before its socket is closed, in the same turn", async () => {
  const { frames, publish, ends, sent } = frameSocket();
  publish(1);
  ends[0]!.resolve({ id: "x-1", isReplay: false });
  await ends[0]!.promise.then(() => frames.end(1000, "bye"));
  expect(sent.map((text) => text.slice(0, 13))).toEqual(['{"type":"ack"', "closed with 1"]);
});

test("a raw socket is closed for a frame that is refused when those with their place before it are published", async () => {
  const { access, subscriber, ends } = accessByHand();
  const { socket, sent } = fakeSocket();
  const exchange: Exchange = {
    ...{ ...access, request, listener, query: new URLSearchParams(), path: "/channels/news" },
    start: { from: "live" },
    reopen: () => access,
  };
  const frames = new RawSocket(exchange, contextOf());
  frames.open(socket);
  frames.message(socket, "one");
  subscriber.takesAtOnce = false;
  frames.message(socket, "two");
  ends[1]!.reject(refusal);
  await turn();
  expect(sent).toEqual([]);
  ends[0]!.resolve({ id: "x-1", isReplay: false });
  await turn();
  expect(sent).toEqual(["closed with 4003"]);
});
