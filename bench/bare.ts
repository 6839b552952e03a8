/**
 * The yardstick: the least that Bun itself needs for each transport, with no product around it.
 * It has one channel, no checks, no clean ends. Arguments: the HTTP port and the HTTP/2 port.
 */
import { startBarePush } from "./bare-push.ts";

const [port, pushPort] = process.argv.slice(2).map(Number);
const PATH = "/channels/bench";
const HISTORY = 100;
const encoder = new TextEncoder();

interface Poll {
  after: number;
  answer: (response: Response) => void;
}

let top = 0;
let history: string[] = [];
let pending: string[] = [];
let polls: Poll[] = [];
const streams = new Set<ReadableStreamDefaultController<Uint8Array>>();
const push = startBarePush(pushPort!, PATH);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: port!,
  idleTimeout: 0,
  routes: { [PATH]: { GET: subscribe, POST: publish } },
  fetch: () => new Response(null, { status: 404 }),
  websocket: {
    open: (socket) => void socket.subscribe("bench"),
    message: () => {},
    closeOnBackpressureLimit: true,
    backpressureLimit: 1 << 20,
  },
});

function subscribe(request: Request): Response | Promise<Response> | undefined {
  const { headers } = request;
  if (headers.get("upgrade") === "websocket") {
    server.upgrade(request);
    return undefined;
  }
  if (headers.get("accept") === "text/event-stream") return openStream();
  const after = request.url.indexOf("after=");
  return poll(after < 0 ? top : Number(request.url.slice(after + 6)));
}

async function publish(request: Request): Promise<Response> {
  const data = await request.text();
  server.publish("bench", data, false);
  if (push.size > 0) push.send(data);
  keep(data);
  return new Response(null, { status: 204 });
}

function keep(data: string): void {
  top++;
  history.push(data);
  if (history.length > HISTORY) history.shift();
  if (pending.push(data) === 1) setImmediate(flush);
}

function flush(): void {
  const batch = pending;
  pending = [];
  if (streams.size > 0) {
    const bytes = encoder.encode(batch.map((data) => `data: ${data}\n\n`).join(""));
    for (const stream of streams) stream.enqueue(bytes);
  }
  const due = polls;
  polls = [];
  for (const { after, answer } of due) answer(messageAfter(after));
}

function openStream(): Response {
  let self: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      self = controller;
      streams.add(controller);
      controller.enqueue(encoder.encode(":\n\n"));
    },
    cancel: () => void streams.delete(self),
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

function poll(after: number): Response | Promise<Response> {
  if (after < top) return messageAfter(after);
  return new Promise((answer) => polls.push({ after, answer }));
}

function messageAfter(after: number): Response {
  const offset = Math.max(after + 1, top - history.length + 1);
  return new Response(history[history.length - 1 - (top - offset)]!, {
    headers: {
      "content-type": "application/json",
      etag: `"${offset}"`,
      "cache-control": "no-cache",
      link: `<${PATH}?after=${offset}>; rel="next"`,
    },
  });
}
