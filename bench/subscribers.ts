/** Thousands of subscribers on raw TCP in one process, all served by one set of handlers. */
import type { Socket } from "bun";
import { Latency } from "./latency.ts";
import { scanMarkers, type Carry } from "./marker.ts";
import { OPENING_ANSWER, openingRequest, PING, PING_ACK, SETTINGS_ACK } from "./requests.ts";
import { Seen } from "./seen.ts";
import type { Endpoint, Transport } from "./spec.ts";

/** Connections that may be on their way at once: under every server's backlog. */
const OPENING_AT_ONCE = 200;
const SENT_TIMES = 1 << 16;

interface Subscriber extends Carry {
  readonly seen: Seen;
  answered: boolean;
  /** Long-poll: the request for what comes after the answer that is being read. */
  next: string;
  /** HTTP/2: the last bytes, which may be the start of a PING. */
  end: Uint8Array;
}

const NOTHING = new Uint8Array();

export class Subscribers {
  readonly #transport: Transport;
  readonly #endpoint: Endpoint;
  readonly #opening: Uint8Array;
  readonly #sentMs = new Float64Array(SENT_TIMES);
  readonly latency = new Latency();
  /** Connections that stand. */
  alive = 0;
  /** Connections whose first message has come. */
  reached = 0;
  deliveries = 0;
  repeated = 0;
  closed = 0;
  lastDeliveryMs = 0;
  /** Why the server's answer is not a subscription, when it is not. */
  refusal: string | null = null;
  /** Called after each chunk that brought messages. */
  onProgress: () => void = () => {};
  #nowMs = 0;

  constructor(transport: Transport, endpoint: Endpoint) {
    this.#transport = transport;
    this.#endpoint = endpoint;
    this.#opening = openingRequest(transport, endpoint);
  }

  /** Opens so many connections and sends their requests. */
  async open(count: number): Promise<void> {
    let started = 0;
    const one = async () => {
      while (started < count) {
        started++;
        await this.#connect();
      }
    };
    await Promise.all(Array.from({ length: OPENING_AT_ONCE }, one));
  }

  /** Notes when a message was sent; its latency counts from here. */
  sent(sequence: number): void {
    this.#sentMs[sequence & (SENT_TIMES - 1)] = performance.now();
  }

  resetCounts(): void {
    this.deliveries = this.repeated = this.closed = 0;
    this.latency.reset();
  }

  async #connect(): Promise<void> {
    await Bun.connect<Subscriber>({
      hostname: "127.0.0.1",
      port: this.#endpoint.port,
      data: { seen: new Seen(), answered: false, next: "", end: NOTHING, tail: null, tailBytes: 0 },
      socket: this.#handlers,
    });
  }

  readonly #handlers = {
    binaryType: "uint8array" as const,
    open: (socket: Socket<Subscriber>) => {
      this.alive++;
      socket.setNoDelay(true);
      send(socket, this.#opening);
    },
    data: (socket: Socket<Subscriber>, chunk: Uint8Array) => this.#read(socket, chunk),
    close: () => {
      this.alive--;
      this.closed++;
    },
    error: (_socket: Socket<Subscriber>, error: Error) => {
      this.refusal ??= error.message;
    },
  };

  #read(socket: Socket<Subscriber>, chunk: Uint8Array): void {
    const subscriber = socket.data;
    if (!subscriber.answered) this.#checkAnswer(socket, chunk);
    if (this.#transport === "long-poll") this.#findNext(subscriber, chunk);
    if (this.#transport === "http2-push") answerPings(socket, chunk);
    this.#nowMs = performance.now();
    const before = this.deliveries;
    scanMarkers(subscriber, chunk, this.#found);
    if (this.deliveries === before) {
      // Nothing came within the server's own wait: ask again.
      if (subscriber.next !== "" && isNoContent(chunk)) this.#askNext(socket);
      return;
    }
    this.lastDeliveryMs = this.#nowMs;
    if (this.#transport === "long-poll") this.#askNext(socket);
    this.onProgress();
  }

  readonly #found = (subscriber: Subscriber, sequence: number): void => {
    if (subscriber.seen.top < 0) this.reached++;
    if (!subscriber.seen.add(sequence)) {
      this.repeated++;
      return;
    }
    this.deliveries++;
    this.latency.add(this.#nowMs - this.#sentMs[sequence & (SENT_TIMES - 1)]!);
  };

  #checkAnswer(socket: Socket<Subscriber>, chunk: Uint8Array): void {
    socket.data.answered = true;
    if (this.#transport === "http2-push") send(socket, SETTINGS_ACK);
    const line = Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, 300));
    const text = line.toString("latin1");
    if (!text.startsWith(OPENING_ANSWER[this.#transport])) this.refusal ??= text;
    if (this.#endpoint.first) send(socket, new Uint8Array(this.#endpoint.first));
  }

  /** Reads where the next poll goes: `Link: <…>; rel="next"`, else the validators that Nchan gives. */
  #findNext(subscriber: Subscriber, chunk: Uint8Array): void {
    const head = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("latin1");
    if (!head.startsWith("HTTP/1.1 ")) return;
    const host = `Host: 127.0.0.1:${this.#endpoint.port}\r\n`;
    const link = /\r\nlink: <([^>]+)>/i.exec(head);
    if (link) {
      subscriber.next = `GET ${link[1]} HTTP/1.1\r\n${host}\r\n`;
      return;
    }
    const tag = /\r\netag: ([^\r]+)/i.exec(head)?.[1] ?? "";
    const time = /\r\nlast-modified: ([^\r]+)/i.exec(head)?.[1] ?? "";
    subscriber.next = `GET ${this.#endpoint.path} HTTP/1.1\r\n${host}If-None-Match: ${tag}\r\nIf-Modified-Since: ${time}\r\n\r\n`;
  }

  #askNext(socket: Socket<Subscriber>): void {
    send(socket, socket.data.next);
    socket.data.next = "";
  }
}

function answerPings(socket: Socket<Subscriber>, chunk: Uint8Array): void {
  const most = PING.length - 1;
  const seam = Buffer.concat([socket.data.end, chunk.subarray(0, most)]);
  if (seam.includes(PING)) send(socket, PING_ACK);
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
  for (let at = bytes.indexOf(PING); at >= 0; at = bytes.indexOf(PING, at + PING.length)) {
    send(socket, PING_ACK);
  }
  const last = Buffer.concat([socket.data.end, chunk.subarray(-most)]);
  socket.data.end = last.subarray(-most);
}

function isNoContent(chunk: Uint8Array): boolean {
  return chunk[9] === 0x32 && chunk[10] === 0x30 && chunk[11] === 0x34;
}

function send(socket: Socket<Subscriber>, data: string | Uint8Array): void {
  const written = socket.write(data);
  if (written !== data.length)
    throw new Error(`only ${written} of ${data.length} bytes were taken`);
}
