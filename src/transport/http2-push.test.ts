import { afterEach, expect, test } from "bun:test";
import { MemoryBroker } from "../broker/memory.ts";
import { Channel } from "../channel/channel.ts";
import { LagBudget } from "../channel/lag-budget.ts";
import type { SlowPolicy } from "../channel/lag.ts";
import { LIVE, parsePosition, type Start } from "../channel/position.ts";
import { run, runNode, startListener, until, type TestListener } from "../server/http2-testing.ts";
import { Http2PushTransport, PUSH_TYPE } from "./http2-push.ts";
import { SseTransport } from "./sse.ts";
import type { Exchange, SubscriberWays, TransportOptions } from "./transport.ts";

const OPTIONS: TransportOptions = {
  bufferBytes: 64 * 1024,
  messageBytes: 4 * 1024 * 1024,
  retryMs: 1000,
  heartbeatMs: 15_000,
  limits: { subscriptions: 10, polls: 10 },
};

interface World extends AsyncDisposable {
  readonly channel: Channel;
  readonly server: TestListener;
  readonly transport: Http2PushTransport;
  readonly clients: Set<SubscriberWays>;
  /** How often a client went. */
  gone: number;
  publish(...data: unknown[]): Promise<string[]>;
}

let broker: MemoryBroker | null = null;
let fallback: SseTransport | null = null;
afterEach(async () => {
  // Its heartbeat would go on for as long as the tests of all other files.
  await fallback?.shutdown(0);
  await broker?.close();
});

/** A channel behind a real listener: every URL is the channel's, `?after=` says where to start. */
async function createWorld(
  options: {
    tls?: boolean;
    bufferBytes?: number;
    history?: number;
    slow?: SlowPolicy;
    /** In which one push has to be taken. */
    stallMs?: number;
  } = {},
): Promise<World> {
  const memory = (broker = new MemoryBroker());
  const channel = new Channel({
    name: "prices",
    maxBytes: OPTIONS.messageBytes,
    maxBatchBytes: 1_000_000,
    slow: options.slow ?? "disconnect",
    lagBudget: new LagBudget(options.bufferBytes ?? OPTIONS.bufferBytes),
    maxWaiting: 100,
    transforms: [],
    onTransformError: () => {},
    onFanOutError: (error) => {
      throw error;
    },
    openLog: (onCommit) =>
      memory.open("prices", { size: options.history ?? 1000, ttlMs: 600_000 }, onCommit),
  });
  const transportOptions = { ...OPTIONS, bufferBytes: options.bufferBytes ?? OPTIONS.bufferBytes };
  const sse = (fallback = new SseTransport(transportOptions));
  const transport = new Http2PushTransport(transportOptions, sse);
  const clients = new Set<SubscriberWays>();
  const server = await startListener(
    (request, listener) => {
      const url = new URL(request.url);
      let ways: SubscriberWays;
      const exchange: Exchange = {
        request,
        listener,
        channel,
        query: url.searchParams,
        path: url.pathname,
        start: startOf(url.searchParams.get("after")),
        subscriber: {
          id: "1",
          connect: (given) => clients.add((ways = given)),
          disconnect: () => {
            world.gone++;
            clients.delete(ways);
          },
        },
        submit: () => ({ id: null, isReplay: false }),
        reopen: () => {
          throw new Error("no frames come here");
        },
      };
      return transport.matches(request) ? transport.serve(exchange) : sse.serve(exchange);
    },
    {
      tls: options.tls ?? false,
      ...(options.stallMs && { sweepMs: 50, limits: { stallMs: options.stallMs } }),
    },
  );
  const world: World = {
    channel,
    server,
    transport,
    clients,
    gone: 0,
    publish: async (...data) => {
      const drafts = data.map((item) => ({ data: item }));
      return (await channel.publish(drafts)).map((message) => message.id);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return world;
}

function startOf(after: string | null): Start {
  if (after === null) return LIVE;
  return after === "earliest"
    ? { from: "earliest" }
    : { from: "after", position: parsePosition(after)! };
}

/** Says `["promise", path]`, `["response", path, headers, text]` and `["line", value]` as they come. */
const SUBSCRIBE = `
const subscribe = (session, path, onPush = () => true) => {
  session.on("stream", (stream, headers) => {
    const path = headers[":path"];
    say(["promise", path]);
    if (!onPush(stream, path)) return;
    let response;
    stream.on("push", (headers) => (response = headers));
    read(stream).then((text) => say(["response", path, response, text]), () => {});
  });
  const stream = session.request({ ":path": path, accept: "${PUSH_TYPE}" });
  stream.on("response", (headers) => say(["status", headers[":status"], headers["content-type"]]));
  let rest = "";
  stream.setEncoding("utf8").on("data", (chunk) => {
    const lines = (rest + chunk).split("\\n");
    rest = lines.pop();
    for (const line of lines) say(["line", JSON.parse(line)]);
  });
  stream.on("close", () => say(["close", stream.rstCode]));
  stream.on("error", () => {});
  return stream;
};
`;

test("http2-push promises each message at its own URL and answers it with the data", async () => {
  for (const tls of [false, true]) {
    await using world = await createWorld({ tls });
    using client = await runNode(
      world.server.url,
      `${SUBSCRIBE} subscribe(connect(), "/channels/caf%C3%A9");`,
    );
    const start = world.channel.position;
    expect(await client.next()).toEqual(["status", 200, PUSH_TYPE]);
    expect(await client.next()).toEqual([
      "line",
      { type: "subscribed", channel: "prices", id: start },
    ]);
    const ids = await world.publish({ ask: 1.5 }, "Grüße\r\n", new Uint8Array([65, 66]), "");
    const said = [];
    for (let i = 0; i < 8; i++) said.push(await client.next());
    const path = (id: string) => `/channels/caf%C3%A9/messages/${id}`;
    const promises = said.filter(([what]) => what === "promise");
    expect(promises).toEqual(ids.map((id) => ["promise", path(id)]));
    const types = ["application/json", "text/plain;charset=utf-8", "application/octet-stream"];
    const texts = [`{"ask":1.5}`, "Grüße\r\n", "AB", ""];
    const responses = said.filter(([what]) => what === "response");
    expect(responses.map(([, at, , text]) => [at, text])).toEqual(
      ids.map((id, i) => [path(id), texts[i]!]),
    );
    for (const [i, [, , headers]] of responses.entries()) {
      expect(headers).toMatchObject({
        ":status": 200,
        "content-type": types[i % 3 === 0 && i > 0 ? 1 : i],
        etag: `"${ids[i]}"`,
        "cache-control": "private, max-age=31536000, immutable",
      });
    }
  }
});

test("http2-push replays what comes after a position, says so, and goes on live", async () => {
  await using world = await createWorld();
  const ids = await world.publish(1, 2, 3);
  using client = await runNode(
    world.server.url,
    `${SUBSCRIBE} subscribe(connect(), "/c?after=${ids[0]}");`,
  );
  const said = [];
  for (let i = 0; i < 6; i++) said.push(await client.next());
  const last = said.pop();
  expect(last).toEqual(["line", { type: "subscribed", channel: "prices", id: ids[2] }]);
  const replayed = said.filter(([what]) => what === "promise").map(([, path]) => path);
  expect(replayed).toEqual([`/c/messages/${ids[1]}`, `/c/messages/${ids[2]}`]);
  const [live] = await world.publish(4);
  expect(await client.next()).toEqual(["promise", `/c/messages/${live}`]);
});

test("http2-push tells of a gap before anything that comes after it", async () => {
  await using world = await createWorld({ history: 2 });
  const ids = await world.publish(1, 2, 3, 4, 5);
  // The held stream's window is shut, the session's is not: DATA has to wait where PUSH_PROMISE need not.
  using client = await runNode(
    world.server.url,
    `${SUBSCRIBE}
     const session = connect({ initialWindowSize: 0 });
     subscribe(session, "/c?after=${ids[0]}");
     process.stdin.once("data", () => { session.settings({ initialWindowSize: 65535 }); process.stdin.destroy(); });`,
  );
  expect((await client.next())[0]).toBe("status");
  client.tell("open the window");
  expect(await client.next()).toEqual([
    "line",
    { type: "gap", channel: "prices", after: ids[0], id: ids[2] },
  ]);
  const said = [];
  for (let i = 0; i < 5; i++) said.push(await client.next());
  expect(said.filter(([what]) => what === "promise")).toEqual([
    ["promise", `/c/messages/${ids[3]}`],
    ["promise", `/c/messages/${ids[4]}`],
  ]);
});

test("http2-push gives SSE for the same request to a client that has pushes off", async () => {
  await using world = await createWorld();
  using client = await runNode(
    world.server.url,
    `${SUBSCRIBE}
     const session = connect({ enablePush: false });
     session.on("stream", () => say("pushed"));
     const stream = session.request({ ":path": "/c", accept: "${PUSH_TYPE}" });
     stream.on("response", (headers) => say(headers["content-type"]));
     let text = "";
     stream.setEncoding("utf8").on("data", (chunk) => {
       text += chunk;
       if (/data: 2/.test(text)) { say(text.match(/data: .*/g)); session.destroy(); }
     });`,
  );
  expect(await client.next()).toBe("text/event-stream");
  await until(() => world.channel.fanOut.size === 1);
  await world.publish(1, 2);
  expect(await client.rest()).toEqual([["data: 1", "data: 2"]]);
  expect(world.gone).toBe(1);
});

test("http2-push gives SSE to curl, which takes no pushes", async () => {
  await using world = await createWorld();
  await world.publish("from curl");
  const { out } = await run(
    ...["curl", "-sS", "--http2-prior-knowledge", "-m", "0.3", "-i", "-H", `accept: ${PUSH_TYPE}`],
    `${world.server.url}/c?after=earliest`,
  );
  expect(out).toContain("content-type: text/event-stream");
  expect(out).toContain("data: from curl");
});

test("http2-push waits while the client takes no streams, and loses nothing", async () => {
  await using world = await createWorld();
  using client = await runNode(
    world.server.url,
    `const session = connect({ maxConcurrentStreams: 0 });
     const seen = [];
     session.on("stream", (stream, headers) => {
       seen.push(headers[":path"]);
       stream.resume();
       if (seen.length === 50) say(seen);
     });
     const stream = session.request({ ":path": "/c", accept: "${PUSH_TYPE}" });
     stream.on("data", () => say("live"));
     process.stdin.on("data", () => { say(seen.length); session.settings({ maxConcurrentStreams: 1000 }); });`,
  );
  expect(await client.next()).toBe("live");
  const ids = await world.publish(...Array.from({ length: 50 }, (_, i) => i));
  await new Promise(setImmediate);
  client.tell("go on");
  expect(await client.next()).toBe(0);
  expect(await client.next()).toEqual(ids.map((id) => `/c/messages/${id}`));
});

test("http2-push opens no more streams than nghttp takes, and loses nothing", async () => {
  await using world = await createWorld();
  const ids = await world.publish(...Array.from({ length: 30 }, (_, i) => i));
  const child = Bun.spawn(
    [
      ...["nghttp", "-v", "--max-concurrent-streams=1", "-H", `accept: ${PUSH_TYPE}`],
      `${world.server.url}/c?after=earliest`,
    ],
    { stdout: "pipe", stderr: "ignore" },
  );
  await until(() => world.channel.fanOut.size === 1);
  for (const ways of world.clients) ways.gone("after all of them");
  const out = await new Response(child.stdout).text();
  const promised = [...out.matchAll(/:path: (\/c\/messages\/\S+)/g)].map(([, path]) => path!);
  expect(promised).toEqual(ids.map((id) => `/c/messages/${id}`));
  // One is promised only when the last has ended (flags 1 is END_STREAM): P, E, P, E …
  const frames = out.matchAll(
    /recv (PUSH_PROMISE) frame|recv DATA frame <.*flags=0x01.*=\d*[02468]>/g,
  );
  const order = Array.from(frames, ([, promise]) => (promise ? "P" : "E")).join("");
  expect(order).toBe("PE".repeat(30));
  expect(out).not.toContain("REFUSED_STREAM");
});

test("http2-push ends the stream of a slow consumer, whose position still works", async () => {
  await using world = await createWorld();
  const data = "x".repeat(20_000);
  using stalled = await runNode(
    world.server.url,
    // Takes the promises and reads nothing of them: the windows fill up.
    `${SUBSCRIBE} subscribe(connect({ initialWindowSize: 10_000 }), "/c", () => false);`,
  );
  using brisk = await runNode(world.server.url, `${SUBSCRIBE} subscribe(connect(), "/c");`);
  for (const client of [stalled, brisk]) {
    await client.next();
    expect((await client.next())[1].type).toBe("subscribed");
  }
  const ids: string[] = [];
  const taken: string[] = [];
  while (world.channel.fanOut.size === 2) {
    ids.push(...(await world.publish(data)));
    // Nobody else notices.
    for (let next = await brisk.next(); next[0] !== "response"; next = await brisk.next()) {
      taken.push(next[1]);
    }
    expect(ids.length).toBeLessThan(20);
  }
  expect(taken).toEqual(ids.map((id) => `/c/messages/${id}`));
  const said = [];
  for (;;) {
    const next = await stalled.next();
    if (next[0] === "line") {
      expect(next[1]).toMatchObject({ type: "closing", code: 4008 });
      break;
    }
    said.push(next);
  }
  // What was promised is a prefix: the client can go on after any of it.
  expect(said).toEqual(ids.slice(0, said.length).map((id) => ["promise", `/c/messages/${id}`]));
  expect(said.length).toBeGreaterThan(0);
  using again = await runNode(
    world.server.url,
    `${SUBSCRIBE} subscribe(connect(), "/c?after=${ids[0]}");`,
  );
  const rest: string[] = [];
  for (let next = await again.next(); next[0] !== "line"; next = await again.next()) {
    if (next[0] === "promise") rest.push(next[1]);
  }
  expect(rest).toEqual(ids.slice(1).map((id) => `/c/messages/${id}`));
});

/** A subscriber that takes no stream until it is told something. */
async function subscribeWithoutStreams(world: World) {
  const client = await runNode(
    world.server.url,
    `${SUBSCRIBE}
     const session = connect({ maxConcurrentStreams: 0 });
     subscribe(session, "/c");
     process.stdin.once("data", () => {
       session.settings({ maxConcurrentStreams: 100 });
       process.stdin.destroy();
     });`,
  );
  await client.next();
  expect((await client.next())[1].type).toBe("subscribed");
  return client;
}

test("http2-push tells a client that lags what it never gets of a channel that goes", async () => {
  await using world = await createWorld({ slow: "drop-oldest", history: 0 });
  const { channel } = world;
  using stalled = await subscribeWithoutStreams(world);
  while (channel.laggards.size === 0) {
    await world.publish("x".repeat(20_000));
    channel.fanOut.flush();
  }
  await world.publish("never", "seen");
  channel.fanOut.flush();
  for (const ways of world.clients) ways.gone("it is gone");
  expect(channel.laggards.size).toBe(0);
  stalled.tell("read on");
  let promised = 0;
  const lines: Record<string, unknown>[] = [];
  while (lines.at(-1)?.["type"] !== "closing") {
    const [what, value] = await stalled.next();
    if (what === "promise") promised++;
    if (what === "line") lines.push(value);
  }
  const { epoch } = channel.log;
  expect(lines).toMatchObject([
    { type: "gap", after: `${epoch}-${promised}`, id: channel.position },
    { type: "closing", code: 4004, reason: "it is gone" },
  ]);
});

test.each([
  // The window holds three messages.
  ["drop-oldest", ["gap 5..13", 14, 15, 16, 17]],
  ["latest", ["gap 5..10", 11, "gap 11..14", 15, 16, 17]],
] as const)("http2-push lets a slow consumer lag where slow is %s", async (slow, expected) => {
  await using world = await createWorld({ slow, history: 0 });
  const { channel } = world;
  using stalled = await subscribeWithoutStreams(world);
  const publish = async (key: string) => {
    await channel.publish([{ data: "x".repeat(20_000), key }]);
    channel.fanOut.flush();
  };
  // Four fill the buffer, behind the one that is on its way.
  for (const key of "aaaabbbbccbaaaac") await publish(key);
  expect(channel.laggards.size).toBe(1);
  expect(world.gone).toBe(0);
  stalled.tell("take streams");
  const said: (string | number)[] = [];
  const read = async () => {
    const [what, value] = await stalled.next();
    if (what === "promise") said.push(Number(value.split("-").at(-1)));
    if (what !== "line") return;
    const offsets = [value.after, value.id].map((id) => id.split("-").at(-1));
    said.push(`${value.type} ${offsets.join("..")}`);
  };
  while (channel.laggards.size > 0 || !said.includes(16)) await read();
  await publish("d");
  while (!said.includes(17)) await read();
  expect(said).toEqual([1, 2, 3, 4, 5, ...expected]);
});

test("http2-push opens no more streams than a buffer holds, and the others when those are taken", async () => {
  await using world = await createWorld({ bufferBytes: 64 * 1024 });
  using client = await runNode(world.server.url, `${SUBSCRIBE} subscribe(connect(), "/c");`);
  await client.next();
  expect((await client.next())[1].type).toBe("subscribed");
  const ids = await world.publish(...Array.from({ length: 20 }, (_, i) => `message ${i}`));
  let [promised, most, taken] = [0, 0, 0];
  const paths: string[] = [];
  while (taken < ids.length) {
    const [what, path] = await client.next();
    if (what === "promise") {
      paths.push(path);
      most = Math.max(most, ++promised - taken);
    }
    if (what === "response") taken++;
  }
  expect(paths).toEqual(ids.map((id) => `/c/messages/${id}`));
  expect(most).toBeLessThanOrEqual(5);
});

test("http2-push lets a message that its client does not read hold up no later one", async () => {
  await using world = await createWorld();
  using client = await runNode(
    world.server.url,
    `${SUBSCRIBE}
     let isFirst = true;
     const onPush = () => !isFirst || (isFirst = false);
     subscribe(connect({ initialWindowSize: 10_000 }), "/c", onPush);`,
  );
  await client.next();
  expect((await client.next())[1].type).toBe("subscribed");
  const [large] = await world.publish("x".repeat(30_000));
  expect(await client.next()).toEqual(["promise", `/c/messages/${large}`]);
  // Each of them alone, and nothing that the client says between them.
  for (const text of ["one", "two"]) {
    const [id] = await world.publish(text);
    expect(await client.next()).toEqual(["promise", `/c/messages/${id}`]);
    expect((await client.next()).at(-1)).toBe(text);
  }
});

test("http2-push pushes 1 MiB whole", async () => {
  await using world = await createWorld();
  using client = await runNode(
    world.server.url,
    `${SUBSCRIBE}
     const session = connect();
     session.on("stream", async (stream) => { const text = await read(stream); say([text.length, text.at(-1)]); });
     session.request({ ":path": "/c", accept: "${PUSH_TYPE}" }).on("data", () => say("live"));`,
  );
  expect(await client.next()).toBe("live");
  await world.publish("a".repeat(1024 * 1024 - 1) + "z");
  expect(await client.next()).toEqual([1024 * 1024, "z"]);
});

test.each(["NGHTTP2_CANCEL", "NGHTTP2_REFUSED_STREAM", "NGHTTP2_ENHANCE_YOUR_CALM"])(
  "http2-push ends the stream of a client that resets a push with %s, and says after what to come back",
  async (code) => {
    await using world = await createWorld({ bufferBytes: 1024 * 1024 });
    using client = await runNode(
      world.server.url,
      `${SUBSCRIBE}
       let count = 0;
       // Reads the first message, and the last; the second is still on its way when the third is reset.
       subscribe(connect({ initialWindowSize: 10_000 }), "/c", (stream) => {
         count++;
         if (count === 3) stream.on("error", () => {}).close(constants.${code});
         return count === 1 || count === 4;
       });`,
    );
    await client.next();
    expect((await client.next())[1].type).toBe("subscribed");
    const texts = ["one", "x".repeat(20_000), "x".repeat(20_000), "four"];
    const ids = await world.publish(...texts);
    const said = [];
    do said.push(await client.next());
    while (said.at(-1)[0] !== "line");
    expect(said.filter(([what]) => what === "promise").length).toBeGreaterThanOrEqual(3);
    expect(said.at(-1)[1]).toMatchObject({ type: "closing", code: 4008, after: ids[0] });
    expect(said.at(-1)[1].reason).toContain(`come back with ?after=${ids[0]}`);
    expect(world.channel.fanOut.size).toBe(0);
  },
);

test("http2-push ends the stream of a client that does not take a push in time, and says after what to come back", async () => {
  await using world = await createWorld({ stallMs: 1 });
  using client = await runNode(
    world.server.url,
    // The session's window stays open, and that of the push shut.
    `${SUBSCRIBE} subscribe(connect({ initialWindowSize: 1000 }), "/c", () => false);`,
  );
  await client.next();
  const [, { id }] = await client.next();
  const [large] = await world.publish("x".repeat(2000));
  expect(await client.next()).toEqual(["promise", `/c/messages/${large}`]);
  const [what, line] = await client.next();
  expect([what, line.type, line.code, line.after]).toEqual(["line", "closing", 4008, id]);
  expect(line.reason).toStartWith("the client did not take the push in time");
});

test("http2-push lets go of a client that vanishes in the middle of a message", async () => {
  await using world = await createWorld();
  using client = await runNode(
    world.server.url,
    `${SUBSCRIBE}
     subscribe(connect(), "/c", (stream) => stream.once("data", () => process.exit(0)) && false);`,
  );
  await client.next();
  await client.next();
  await world.publish("x".repeat(3_000_000), "after");
  await until(() => world.gone === 1);
  expect(world.channel.fanOut.size).toBe(0);
  await until(() => world.server.listener.connections === 0);
  expect(world.server.lines.filter((line) => line.includes(`"level":"error"`))).toEqual([]);
});

test("http2-push sends what is for one client as a line of its held stream, and closes it when told", async () => {
  await using world = await createWorld();
  using client = await runNode(world.server.url, `${SUBSCRIBE} subscribe(connect(), "/c");`);
  await client.next();
  await client.next();
  const [ways] = world.clients;
  ways!.send({ hello: 1 }, "greeting");
  expect(await client.next()).toEqual([
    "line",
    { type: "message", channel: "prices", event: "greeting", data: { hello: 1 } },
  ]);
  ways!.close(4000, "that is all");
  expect(await client.next()).toEqual([
    "line",
    { type: "closing", code: 4000, reason: "that is all" },
  ]);
  expect(await client.next()).toEqual(["close", 0]);
  expect(world.gone).toBe(1);
});

test("shutdown() tells every client that the server goes away, spread over the window", async () => {
  await using world = await createWorld();
  const scripts = [1, 2, 3].map(() =>
    runNode(world.server.url, `${SUBSCRIBE} subscribe(connect(), "/c");`),
  );
  const clients = await Promise.all(scripts);
  await until(() => world.channel.fanOut.size === 3);
  await world.transport.shutdown(100);
  expect(world.gone).toBe(3);
  for (const client of clients) {
    using _client = client;
    const said = [await client.next(), await client.next(), await client.next()];
    expect(said[2]).toEqual([
      "line",
      { type: "closing", code: 1001, reason: "the server is going away" },
    ]);
  }
});

test("http2-push keeps the order of publishing over many turns, on a connection that has other work", async () => {
  await using world = await createWorld({ bufferBytes: 1024 * 1024 });
  using client = await runNode(
    world.server.url,
    `const session = connect();
     const seen = [];
     session.on("stream", (stream, headers) => {
       seen.push(Number(headers[":path"].split("-").at(-1)));
       stream.resume().on("close", () => seen.length === 600 && stream.rstCode === 0 && say(seen.every((n, i) => n === i + 1)));
     });
     session.request({ ":path": "/c", accept: "${PUSH_TYPE}" }).on("data", () => say("live"));
     session.request({ ":path": "/other", accept: "text/event-stream" }).resume();`,
  );
  expect(await client.next()).toBe("live");
  await until(() => world.channel.fanOut.size === 2);
  for (let i = 0; i < 60; i++) {
    await world.publish(...Array.from({ length: 10 }, (_, j) => `${i}.${j}`));
    await new Promise(setImmediate);
  }
  expect(await client.next()).toBe(true);
});

test("http2-push is understood by nghttp", async () => {
  await using world = await createWorld({ tls: true });
  const ids = await world.publish("one", "two");
  const child = Bun.spawn(
    [
      "nghttp",
      "-v",
      "-t",
      "2",
      "-H",
      `accept: ${PUSH_TYPE}`,
      `${world.server.url}/c?after=earliest`,
    ],
    { stdout: "pipe", stderr: "ignore" },
  );
  await until(() => world.channel.fanOut.size === 1);
  for (const ways of world.clients) ways.close(1000, "done");
  const out = await new Response(child.stdout).text();
  expect(out.match(/PUSH_PROMISE frame/g)).toHaveLength(2);
  for (const id of ids) expect(out).toContain(`:path: /c/messages/${id}`);
  expect(out).toContain(`"type":"closing"`);
});

test("http2-push tells a client of a message for which it has no stream left, though it refuses it in silence", async () => {
  await using world = await createWorld();
  using client = await runNode(
    world.server.url,
    // Node's client counts its own stream among those that it takes.
    `${SUBSCRIBE} subscribe(connect({ maxConcurrentStreams: 1 }), "/c");`,
  );
  await client.next();
  const [, { id }] = await client.next();
  await world.publish("one");
  const [what, line] = await client.next();
  expect([what, line.type, line.code, line.after]).toEqual(["line", "closing", 4008, id]);
  expect(line.reason).toContain("the client reset the push (code 11)");
});

test("http2-push loses nothing for a client that takes few streams, its own among them", async () => {
  await using world = await createWorld({ bufferBytes: 1024 * 1024 });
  using client = await runNode(
    world.server.url,
    `${SUBSCRIBE} subscribe(connect({ maxConcurrentStreams: 3 }), "/c");`,
  );
  await client.next();
  await client.next();
  const ids = await world.publish(...Array.from({ length: 40 }, (_, i) => i));
  const said = [];
  while (said.length < 80) said.push(await client.next());
  const responses = said.filter(([what]) => what === "response");
  expect(responses.map(([, path]) => path)).toEqual(ids.map((id) => `/c/messages/${id}`));
});

test.each([false, true])(
  "http2-push brings everything to clients with small windows that read in fits and starts (TLS: %p)",
  async (tls) => {
    const sizes = Array.from({ length: 120 }, (_, i) => [1, 200, 3000, 17_000, 60_000][i % 5]!);
    await using world = await createWorld({ tls, bufferBytes: 1024 * 1024 });
    const start = world.channel.position;
    using client = await runNode(
      world.server.url,
      `const subscribe = (initialWindowSize, pauseMs) => {
         const session = connect({ initialWindowSize });
         const lengths = [];
         let left = ${sizes.length};
         session.on("stream", (stream, headers) => {
           const index = Number(headers[":path"].split("-").at(-1)) - 1;
           let length = 0;
           stream.on("data", (chunk) => {
             length += chunk.length;
             if (pauseMs === 0 || length % 3) return;
             stream.pause();
             setTimeout(() => stream.resume(), pauseMs);
           });
           stream.on("end", () => {
             lengths[index] = length;
             if (--left === 0) { say(lengths); session.destroy(); }
           });
         });
         const accept = "${PUSH_TYPE}";
         session.request({ ":path": "/c?after=${start}", accept }).once("data", () => say("level"));
       };
       const windows = [1000, 5000, 65_535];
       for (const window of windows) for (const pauseMs of [0, 3]) subscribe(window, pauseMs);`,
    );
    // Half of it is history, and the other half live where a client is level by then.
    await world.publish(...sizes.slice(0, 60).map((size) => "x".repeat(size)));
    let level = 0;
    const done: number[][] = [];
    const read = async () => {
      const said = await client.next();
      if (said === "level") level++;
      else done.push(said);
    };
    while (level < 6) await read();
    for (const size of sizes.slice(60)) await world.publish("x".repeat(size));
    while (done.length < 6) await read();
    expect(done).toEqual(Array.from({ length: 6 }, () => sizes));
  },
);
