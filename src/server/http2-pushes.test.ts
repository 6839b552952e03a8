import { expect, test } from "bun:test";
import { connect } from "node:net";
import { runNode, startListener, until, type TestListener } from "./http2-testing.ts";

const encoder = new TextEncoder();

interface PushingListener extends TestListener {
  /** Resolves when a request is there. */
  readonly asked: Promise<void>;
  /** Pushes one response for each on the stream of the last request. */
  push(texts: readonly string[]): void;
  readonly errors: (Error | null)[];
}

/** Holds each request open. */
async function startPushing(): Promise<PushingListener> {
  const errors: (Error | null)[] = [];
  let push: PushingListener["push"] = () => {};
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const server = await startListener((request, listener) => {
    const port = listener.push(request)!;
    push = (texts) => {
      for (const text of texts) {
        const body = encoder.encode(text);
        port.push("/m", { "content-type": "text/plain" }, body, (error) => errors.push(error));
      }
    };
    resolve();
    const first = (controller: ReadableStreamDefaultController) =>
      controller.enqueue(encoder.encode("held"));
    return new Response(new ReadableStream({ start: first }));
  });
  return { ...server, asked, push: (texts) => push(texts), errors };
}

const texts = (count: number) => Array.from({ length: count }, (_, i) => `message ${i}`);

test("Http2Pushes promises no more than 64 before it responds: a client that reserves as many gets all", async () => {
  await using server = await startPushing();
  using client = await runNode(
    server.url,
    `const session = connect({}, { maxReservedRemoteStreams: 64 });
     const texts = [];
     session.on("stream", async (stream) => {
       texts.push(await read(stream));
       if (texts.length === 100) say(texts);
     });
     session.request({ ":path": "/" }).on("data", () => say("held"));`,
  );
  expect(await client.next()).toBe("held");
  server.push(texts(100));
  expect(await client.next()).toEqual(texts(100));
});

test("Http2Pushes loses nothing for a client of Bun's that did not read for a while", async () => {
  await using server = await startPushing();
  using client = await runNode(
    server.url,
    // By itself it takes 200 of what it reads at once. Its socket is stopped between, so that it does.
    `import { Duplex } from "node:stream";
     import net from "node:net";
     const socket = net.connect(new URL(url).port, "127.0.0.1");
     const held = [];
     let isStopped = false;
     const duplex = new Duplex({ read() {}, write: (data, _, done) => socket.write(data, done) });
     socket.on("data", (data) => isStopped ? held.push(data) : duplex.push(data));
     const session = connect({}, { createConnection: () => duplex });
     const texts = [];
     session.on("stream", async (stream) => {
       texts.push(await read(stream));
       if (texts.length === 1000) say(texts);
     });
     session.request({ ":path": "/" }).once("data", () => { isStopped = true; say("stopped"); });
     process.stdin.once("data", () => { isStopped = false; duplex.push(Buffer.concat(held)); });`,
    process.execPath,
  );
  expect(await client.next()).toBe("stopped");
  for (let i = 0; i < 1000; i += 20) {
    server.push(texts(1000).slice(i, i + 20));
    await new Promise(setImmediate);
  }
  client.tell("read");
  expect(await client.next()).toEqual(texts(1000));
});

/** A client over a bare socket: counts the promises that come, and answers PING when it is told to. */
function countPromises(url: string): {
  promised: () => number;
  answer: () => void;
  end: () => void;
} {
  const frame = (type: number, flags: number, id: number, payload: Uint8Array) =>
    Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, id]), payload]);
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {});
  // GET, http, / and the authority "x" by HPACK's static table (RFC 7541, appendix A).
  const request = Buffer.from([0x82, 0x86, 0x84, 0x41, 1, 0x78]);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(Buffer.concat([preface, frame(4, 0, 0, Buffer.of()), frame(1, 5, 1, request)]));
  const pings: Uint8Array[] = [];
  let [promised, isAnswering] = [0, false];
  let rest = Buffer.alloc(0);
  const answer = () => {
    isAnswering = true;
    for (const payload of pings.splice(0)) socket.write(frame(6, 1, 0, payload));
  };
  socket.on("data", (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      if (rest[3] === 5) promised++;
      if (rest[3] === 6) pings.push(rest.subarray(9, end));
      rest = rest.subarray(end);
    }
    if (isAnswering) answer();
  });
  return { promised: () => promised, answer, end: () => socket.destroy() };
}

test("Http2Pushes promises no more than 128 that its client has not answered for", async () => {
  await using server = await startPushing();
  const client = countPromises(server.url);
  await server.asked;
  for (let i = 0; i < 5; i++) server.push(texts(100));
  await until(() => client.promised() >= 128);
  // A stream that waited for nothing but its turn would be promised by now.
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  expect(client.promised()).toBe(128);
  client.answer();
  await until(() => client.promised() === 500);
  expect(server.errors.filter((error) => error !== null)).toEqual([]);
  client.end();
});
