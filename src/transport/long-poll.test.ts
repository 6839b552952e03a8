/** How a poll that is held ends. What it is answered with is shown by the suites over all transports. */
import { afterEach, expect, test } from "bun:test";
import { openWorld } from "../channel/testing.ts";
import { LongPollTransport } from "./long-poll.ts";
import type { Exchange, Subscriber, SubscriberWays } from "./transport.ts";

let transport: LongPollTransport;
afterEach(() => transport.shutdown(0));

function open(): LongPollTransport {
  return (transport = new LongPollTransport({
    bufferBytes: 1 << 20,
    messageBytes: 1 << 20,
    retryMs: 1000,
    heartbeatMs: 15_000,
    limits: { subscriptions: 10, polls: 2 },
  }));
}

/** A subscriber whose channel goes at once when it comes, or who stays. */
function subscriberOf(calls: string[], isGone = false): Subscriber {
  return {
    id: "1",
    connect: (ways: SubscriberWays) => {
      calls.push("connect");
      if (isGone) ways.gone("it was taken away");
    },
    disconnect: () => void calls.push("disconnect"),
  };
}

function exchangeOf(subscriber: Subscriber, more: Partial<Exchange> = {}): Exchange {
  const request = new Request("http://localhost/channels/prices");
  return {
    channel: openWorld().channel,
    subscriber,
    submit: () => ({ id: null, isReplay: false }),
    request,
    query: new URL(request.url).searchParams,
    path: "/channels/prices",
    listener: { upgrade: () => false, publish: () => {}, hold: () => {}, push: () => null },
    start: { from: "live" },
    reopen: () => {
      throw new Error("nobody asks for it");
    },
    ...more,
  };
}

test("LongPollTransport answers a poll whose channel goes at the moment that it would be held", async () => {
  const calls: string[] = [];
  const refuse = (error: unknown) => new Response((error as Error).message, { status: 410 });
  const answer = await open().serve(exchangeOf(subscriberOf(calls, true), { refuse }));
  expect([answer.status, await answer.text()]).toEqual([410, "it was taken away"]);
  expect([calls, transport.held]).toEqual([["connect", "disconnect"], 0]);
});

test("LongPollTransport lets go of a poll whose client left, whether before it looked or after", async () => {
  const calls: string[] = [];
  const left = [new AbortController(), new AbortController()];
  const requests = left.map(({ signal }) => new Request("http://localhost/", { signal }));
  open();
  const held = requests.map((request) =>
    transport.serve(exchangeOf(subscriberOf(calls), { request })),
  );
  left[0]!.abort();
  // It looks: the first is gone then, the second is heard of later.
  expect(transport.held).toBe(1);
  await held[0];
  left[1]!.abort();
  expect(transport.held).toBe(0);
  await held[1];
  expect(calls).toEqual(["connect", "connect", "disconnect", "disconnect"]);
});

test("LongPollTransport looks by itself, where nobody asks how many polls there are", async () => {
  const calls: string[] = [];
  const left = new AbortController();
  const request = new Request("http://localhost/", { signal: left.signal });
  const held = open().serve(exchangeOf(subscriberOf(calls), { request }));
  left.abort();
  expect((await held).status).toBe(204);
  expect(calls).toEqual(["connect", "disconnect"]);
});

test("LongPollTransport refuses no poll for one whose client has left", async () => {
  const left = new AbortController();
  const request = new Request("http://localhost/", { signal: left.signal });
  open();
  const held = [request, new Request("http://localhost/")].map((one) =>
    transport.serve(exchangeOf(subscriberOf([]), { request: one })),
  );
  expect(() => transport.serve(exchangeOf(subscriberOf([])))).toThrow("2 long-polls wait");
  left.abort();
  expect(transport.held).toBe(1);
  const other = new AbortController();
  const again = new Request("http://localhost/", { signal: other.signal });
  held.push(transport.serve(exchangeOf(subscriberOf([]), { request: again })));
  other.abort();
  held.push(transport.serve(exchangeOf(subscriberOf([]))));
  await transport.shutdown(0);
  expect((await Promise.all(held)).map(({ status }) => status)).toEqual([204, 204, 204, 204]);
});
