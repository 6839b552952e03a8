/** Thousands of clients that know how far they are, and come back to that place all at once. */
import type { Socket } from "bun";
import { scanMarkers, type Carry } from "./marker.ts";
import type { ResumeTransport, Rush } from "./resume-spec.ts";
import type { Endpoint } from "./spec.ts";

interface Client extends Carry {
  /** Sequence number of the message that must come next. */
  expected: number;
  answered: boolean;
  /** Has all that was there when the rush began. */
  isLevel: boolean;
  /** Long-poll: the request for what comes after the answer that is being read. */
  next: string;
  /** Long-poll: bytes of the answer that are still to come. */
  remaining: number;
}

export class ResumeClients {
  readonly #transport: ResumeTransport;
  readonly #endpoint: Endpoint;
  readonly #clients: Client[] = [];
  readonly #sockets = new Set<Socket<Client>>();
  /** All below this are missed messages, for a client that comes back. */
  #target = 0;
  #level = 0;
  #answered = 0;
  #startMs = 0;
  #halfMs = NaN;
  #answeredMs = NaN;
  #isCut = false;
  #whenLevel: () => void = () => {};
  /** Messages that were not the next one of their client: lost, repeated or out of order. */
  wrong = 0;
  /** Connections that the server closed. */
  closed = 0;
  /** Why the server's answer is no subscription, when it is none. */
  refusal: string | null = null;

  constructor(transport: ResumeTransport, endpoint: Endpoint, count: number) {
    this.#transport = transport;
    this.#endpoint = endpoint;
    for (let i = 0; i < count; i++) {
      const own = { expected: 0, answered: false, isLevel: false, next: "", remaining: 0 };
      this.#clients.push({ ...own, tail: null, tailBytes: 0 });
    }
  }

  /** Connects all of them, at the beginning. */
  async open(atOnce: number): Promise<void> {
    // Who comes too late for the first message gets it from history.
    await this.#connectAll(atOnce, () => "after=earliest");
  }

  /** Resolves when each has had all messages before `target`. */
  async reach(target: number): Promise<void> {
    this.#target = target;
    this.#level = 0;
    for (const client of this.#clients) {
      client.isLevel = client.expected >= target;
      if (client.isLevel) this.#level++;
    }
    if (this.#level === this.#clients.length) return;
    await new Promise<void>((resolve) => (this.#whenLevel = resolve));
  }

  /** Cuts all connections. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.terminate();
    this.#sockets.clear();
  }

  /**
   * All come back at once, the client `i` after the message before `expectedOf(i)`.
   *
   * @param epoch Of the channel, whose first message has the sequence number 0.
   * @param target What each has to get, with all before it, until it is level.
   */
  async resume(
    epoch: string,
    target: number,
    atOnce: number,
    expectedOf: (index: number) => number,
  ): Promise<Rush> {
    this.#isCut = false;
    this.#answered = 0;
    for (const [index, client] of this.#clients.entries()) {
      client.expected = expectedOf(index);
      client.answered = false;
      client.tailBytes = client.remaining = 0;
      client.next = "";
    }
    this.#halfMs = this.#answeredMs = NaN;
    this.#startMs = performance.now();
    const level = this.reach(target);
    await this.#connectAll(atOnce, ({ expected }) => `after=${epoch}-${expected}`);
    await level;
    return {
      halfMs: this.#halfMs,
      levelMs: performance.now() - this.#startMs,
      answeredMs: this.#answeredMs,
    };
  }

  async #connectAll(atOnce: number, query: (client: Client) => string): Promise<void> {
    let started = 0;
    const one = async () => {
      while (started < this.#clients.length) {
        const client = this.#clients[started++]!;
        const socket = await Bun.connect<Client>({
          hostname: "127.0.0.1",
          port: this.#endpoint.port,
          data: client,
          socket: this.#handlers,
        });
        socket.write(this.#request(query(client)));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
  }

  #request(query: string): string {
    const { path, port } = this.#endpoint;
    const head = `GET ${path}?${query} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`;
    // The key is any 16 bytes (RFC 6455 §4.1); this is the RFC's own example.
    const upgrade =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    switch (this.#transport) {
      case "websocket":
        return `${head}${upgrade}\r\n`;
      case "websocket-v1":
        return `${head}${upgrade}Sec-WebSocket-Protocol: tidewire.v1\r\n\r\n`;
      case "sse":
        return `${head}Accept: text/event-stream\r\n\r\n`;
      case "long-poll":
        return `${head}Accept: application/vnd.tidewire+json\r\n\r\n`;
    }
  }

  readonly #handlers = {
    binaryType: "uint8array" as const,
    open: (socket: Socket<Client>) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
    },
    data: (socket: Socket<Client>, chunk: Uint8Array) => this.#read(socket, chunk),
    close: (socket: Socket<Client>) => {
      if (!this.#isCut && this.#sockets.delete(socket)) this.closed++;
    },
    error: (_socket: Socket<Client>, error: Error) => {
      this.refusal ??= error.message;
    },
    connectError: (_socket: Socket<Client>, error: Error) => {
      this.refusal ??= error.message;
    },
  };

  #read(socket: Socket<Client>, chunk: Uint8Array): void {
    const client = socket.data;
    if (!client.answered) this.#checkAnswer(client, chunk);
    if (this.#transport === "long-poll") this.#followPolls(client, chunk);
    scanMarkers(client, chunk, this.#found);
    if (!client.isLevel && client.expected >= this.#target) {
      client.isLevel = true;
      this.#level++;
      if (this.#level === Math.ceil(this.#clients.length / 2)) {
        this.#halfMs = performance.now() - this.#startMs;
      }
      if (this.#level === this.#clients.length) this.#whenLevel();
    }
    if (client.remaining === 0 && client.next !== "") {
      socket.write(client.next);
      client.next = "";
    }
  }

  readonly #found = (client: Client, sequence: number): void => {
    if (sequence === client.expected) client.expected++;
    else this.wrong++;
  };

  #checkAnswer(client: Client, chunk: Uint8Array): void {
    client.answered = true;
    this.#answered++;
    if (this.#answered === this.#clients.length) {
      this.#answeredMs = performance.now() - this.#startMs;
    }
    const start = Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, 300));
    const text = start.toString("latin1");
    if (!/^HTTP\/1\.1 (101|20[04]) /.test(text)) this.refusal ??= text;
  }

  /** Finds where an answer ends, and where the next poll goes. */
  #followPolls(client: Client, chunk: Uint8Array): void {
    if (client.remaining > 0) {
      client.remaining -= chunk.length;
      return;
    }
    const head = Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, 1000)).toString(
      "latin1",
    );
    const end = head.indexOf("\r\n\r\n") + 4;
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? "0";
    const next = /\r\nlink: <([^>]+)>/i.exec(head)?.[1];
    if (end < 4 || next === undefined) {
      this.refusal ??= head;
      return;
    }
    client.remaining = end + Number(length) - chunk.length;
    client.next = `GET ${next} HTTP/1.1\r\nHost: 127.0.0.1:${this.#endpoint.port}\r\nAccept: application/vnd.tidewire+json\r\n\r\n`;
  }
}
